package batch

import (
	"encoding/binary"
	"math/bits"
)

// escaper writes a line as JSON string content while a scanner reads it.
type escaper struct {
	high uint64 // all bytes of strings, or'ed together, to find bytes that are not ASCII

	copying bool   // the line is short enough for an event, so it is escaped
	out     []byte // the line as JSON string content, up to last
	wrote   int    // bytes of out that are written
	last    int    // bytes of the line that are in out
}

const (
	// leastOut is the smallest size of the buffer for escaped lines.
	leastOut = 16 << 10
	// outRoom is how much may be written past the last byte of a line: whole words, or the bytes of
	// a slot.
	outRoom = 64
)

// start prepares for a line.
func (e *escaper) start(line []byte) {
	e.high, e.wrote, e.last = 0, 0, 0
	if e.copying = len(line) <= MaxEventBytes; !e.copying {
		return
	}
	if need := 2*len(line) + outRoom; need > len(e.out) { // escaping at most doubles valid JSON
		e.out = make([]byte, max(leastOut, need+need/8))
	}
}

// ascii reports whether the strings of a line, which must be an object, certainly hold only ASCII.
func (e *escaper) ascii() bool { return e.high&highs == 0 }

// catchUp copies the bytes between strings to out, up to index i of the line. Only white space
// among them could need an escape, and space handles that.
func (e *escaper) catchUp(b []byte, i int) {
	if !e.copying {
		return
	}
	from, n := e.last, i-e.last
	e.last = i
	if n <= 16 && from+16 <= len(b) {
		p, q := b[from:from+16], e.out[e.wrote:e.wrote+16]
		binary.LittleEndian.PutUint64(q, binary.LittleEndian.Uint64(p))
		binary.LittleEndian.PutUint64(q[8:], binary.LittleEndian.Uint64(p[8:]))
		e.wrote += n
		return
	}
	e.wrote += copy(e.out[e.wrote:], b[from:i])
}

// known writes the bytes of a slot, which are at index last of the line.
func (e *escaper) known(l *slot) {
	e.last += l.length
	if e.copying {
		*(*[len(l.escaped)]byte)(e.out[e.wrote:]) = l.escaped
		e.wrote += l.wrote
	}
}

// space skips white space, and escapes the characters that a JSON string must not contain.
func (e *escaper) space(b []byte, i int) int {
	for i < len(b) {
		switch b[i] {
		case ' ':
		case '\t', '\r', '\n':
			e.catchUp(b, i)
			if e.copying {
				e.wrote = len(appendEscape(e.out[:e.wrote], b[i]))
				e.last = i + 1
			}
		default:
			return i
		}
		i++
	}
	return i
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special marks the bytes of w that are special in a JSON string: '"', '\\' and control characters.
// Only the lowest mark is reliable, because a borrow can set the marks above it wrongly. So use the
// lowest mark and load again after it.
func special(w uint64) uint64 {
	// control also finds '"': the xor turns it into 0x20, and a space into 0x22.
	control := (w ^ (ones * 2)) - ones*0x21
	backslash := (w ^ (ones * '\\')) - ones
	return (control | backslash) &^ w & highs // bytes from 0x80 on are neither
}

// str returns the index after the string whose opening quote is b[i], or -1.
func (e *escaper) str(b []byte, i int) int {
	i++
	if e.copying {
		e.catchUp(b, i-1)
		e.out[e.wrote], e.out[e.wrote+1] = '\\', '"'
		e.wrote += 2
	}
	return e.text(b, i)
}

// text returns the index after the string whose first byte after the opening quote is b[i], or -1.
// The quote is already in out.
func (e *escaper) text(b []byte, i int) int {
	if !e.copying {
		return e.longText(b, i)
	}
	p, q, high := b[i:], e.out[e.wrote:], e.high
	for {
		n := 0 // the distance to the next special byte
		for len(p) >= 16 && len(q) >= 16 {
			v, w := binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(p[8:16])
			binary.LittleEndian.PutUint64(q, v)
			binary.LittleEndian.PutUint64(q[8:16], w)
			high |= v | w
			if m := special(v); m != 0 {
				n = bits.TrailingZeros64(m) >> 3
				goto found
			}
			if m := special(w); m != 0 {
				n = 8 + bits.TrailingZeros64(m)>>3
				goto found
			}
			p, q = p[16:], q[16:]
		}
		for n < len(p) && p[n] >= 0x20 && p[n] != '"' && p[n] != '\\' {
			high |= uint64(p[n])
			q[n] = p[n]
			n++
		}
		if n == len(p) {
			return -1
		}
	found:
		p, q = p[n:], q[n:]
		if p[0] == '"' {
			q[0], q[1] = '\\', '"'
			e.high, e.wrote, e.last = high, len(e.out)-len(q)+2, len(b)-len(p)+1
			return e.last
		}
		if len(p) < 2 || p[0] != '\\' {
			return -1
		}
		esc := &escapes[p[1]]
		if esc.length == 0 || p[1] == 'u' && escapeLength(p) < 0 {
			return -1
		}
		binary.LittleEndian.PutUint32(q, esc.text)
		p, q = p[2:], q[esc.length:] // the digits after \u are copied like any other text
	}
}

// longText is text for a line that is too long to be escaped.
func (e *escaper) longText(b []byte, i int) int {
	for {
		for i+8 <= len(b) {
			w := binary.LittleEndian.Uint64(b[i:])
			e.high |= w
			m := special(w)
			if m == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(m) >> 3
			goto found
		}
		for i < len(b) && b[i] >= 0x20 && b[i] != '"' && b[i] != '\\' {
			e.high |= uint64(b[i])
			i++
		}
		if i >= len(b) {
			return -1
		}
	found:
		if b[i] == '"' {
			return i + 1
		}
		n := escapeLength(b[i:])
		if n < 0 {
			return -1
		}
		i += n
	}
}

// escapeLength returns the length of the escape at the start of p, or -1 if there is none.
func escapeLength(p []byte) int {
	if len(p) < 2 || p[0] != '\\' {
		return -1 // a control character, or the end
	}
	if p[1] == 'u' {
		if len(p) >= 6 && isHex(p[2]) && isHex(p[3]) && isHex(p[4]) && isHex(p[5]) {
			return 6
		}
		return -1
	}
	if escapes[p[1]].length == 0 {
		return -1
	}
	return 2
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

// escapes maps the second byte of an escape to the escaped form of the whole escape. Length 0 means
// that it is not an escape. The digits after \u need no change.
var escapes = func() (all [256]struct {
	text   uint32 // little-endian
	length int
}) {
	for _, c := range []byte(`/bfnrtu"\`) {
		text := append([]byte(nil), '\\', '\\')
		if c == '"' || c == '\\' {
			text = append(text, '\\')
		}
		text = append(text, c)
		all[c].length = len(text)
		all[c].text = binary.LittleEndian.Uint32(append(text, 0))
	}
	return all
}()
