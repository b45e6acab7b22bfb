package batch

// The lines of one program mostly have the same members in the same order. So a scan remembers the
// bytes before each value of earlier lines, such as `,"expertKey":"`. If the same bytes are there
// again, they need not be scanned: they are valid JSON, and their name and escaped form are known.

import "encoding/binary"

const (
	slots = 16 // how many members of a line are remembered, from the first one on
	// slotBytes is how many bytes are remembered for each at most: three words, which are compared
	// without a branch.
	slotBytes = 24
)

// slot holds the bytes before the value of a line's k-th member, from the comma before its name on.
type slot struct {
	words [slotBytes / 8]uint64
	masks [slotBytes / 8]uint64 // which bits of words count
	// length is the number of bytes; 0 means that nothing is known. If text is set, the last byte
	// is the opening quote of the value.
	length  int
	text    bool
	field   headField
	escaped [slotBytes + 8]byte // the bytes as JSON string content
	wrote   int                 // how many bytes of escaped are used
}

// standsAt reports whether the slot's bytes are at b[i].
func (l *slot) standsAt(b []byte, i int) bool {
	if l.length == 0 || len(b)-i < slotBytes {
		return false
	}
	p := b[i : i+slotBytes]
	return (binary.LittleEndian.Uint64(p)^l.words[0])&l.masks[0]|
		(binary.LittleEndian.Uint64(p[8:])^l.words[1])&l.masks[1]|
		(binary.LittleEndian.Uint64(p[16:])^l.words[2])&l.masks[2] == 0
}

// learn remembers b[from:start], from the comma to the value. A scan has accepted these bytes as a
// name with its punctuation.
func (l *slot) learn(b []byte, from, start int, f headField) {
	l.length = 0
	l.text = start < len(b) && b[start] == '"'
	if l.text {
		start++
	}
	n := start - from
	if n > slotBytes {
		return
	}
	var raw [slotBytes]byte
	escaped := l.escaped[:0]
	for i, c := range b[from:start] {
		switch {
		case c == '"':
			if len(escaped)+2 > len(l.escaped) {
				return
			}
			escaped = append(escaped, '\\', '"')
		case c < 0x20, c == '\\', c >= 0x80, len(escaped) == len(l.escaped):
			return // rare, so these are scanned each time
		default:
			escaped = append(escaped, c)
		}
		raw[i] = c
	}
	for i := range l.words {
		l.words[i] = binary.LittleEndian.Uint64(raw[8*i:])
		l.masks[i] = ^uint64(0) >> (8 * uint(8-min(max(n-8*i, 0), 8)))
	}
	l.length, l.field, l.wrote = n, f, len(escaped)
}
