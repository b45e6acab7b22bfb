package batch

import (
	"encoding/binary"
	"math/bits"
)

// This file understands a line of JSON without decoding it: one pass says whether the whole line is one valid JSON object and
// where the few top-level members lie that an event is made from.

// maxDepth is how deep a line may nest and still count as JSON; encoding/json draws the line at the same place, so whoever
// reads the events with it agrees with us about what is an object.
const maxDepth = 10000

// head is what a scan found. The slices are the raw JSON values (a string with its quotes), alias the line, and are nil where
// the member is absent. Of members that repeat, the last counts, as in encoding/json and jq.
type head struct {
	typ, id, expertKey, timestamp, jobID, runID, usage, err []byte

	brace   int  // index of the object's '{'
	members bool // the object has a member
	aws     bool // it has a top-level member _aws, however that is spelled
}

// scanner scans lines, and on the way escapes those that are not long for the request body: what a scan looks for in a string are just the bytes
// that need an escape there, so each eight bytes are loaded once. Its zero value is ready, and it is kept from line to line.
type scanner struct {
	isObject [maxDepth/64 + 1]uint64 // the stack of open containers, a bit each: object or array
	high     uint64                  // all bytes of strings, or'ed together: is any of them no ASCII?

	copying bool   // the line is short enough to be escaped on the way
	out     []byte // the line as JSON string content, up to last
	wrote   int    // so much of out
	last    int    // so much of the line is in out
	rest    int    // where in out the bytes behind the object's '{' begin
}

// scratchBytes is the longest line that is escaped on the way: what fits the processor's nearest cache twice.
const scratchBytes = 16 << 10

// escaped returns what stands behind the first '{' of a line that object took for an object, as JSON string content; ok is false where the line was too
// long for that. It is valid until the next scan.
func (s *scanner) escaped() (content []byte, ok bool) {
	return s.out[s.rest:s.wrote], s.copying
}

// ascii reports whether the strings of the line that object took for an object hold nothing but ASCII for certain.
func (s *scanner) ascii() bool { return s.high&highs == 0 }

// catchUp copies the bytes between strings, up to the line's index i, to out. They hold nothing that needs an escape but white space.
func (s *scanner) catchUp(b []byte, i int) {
	if !s.copying {
		return
	}
	from, n := s.last, i-s.last
	s.last = i
	if n <= 8 && from+8 <= len(b) {
		binary.LittleEndian.PutUint64(s.out[s.wrote:], binary.LittleEndian.Uint64(b[from:]))
		s.wrote += n
		return
	}
	s.wrote += copy(s.out[s.wrote:], b[from:i])
}

// space is skipSpace for white space that is there: it escapes what must not stand in a JSON string.
func (s *scanner) space(b []byte, i int) int {
	for i < len(b) {
		switch b[i] {
		case ' ':
		case '\t', '\r', '\n':
			s.catchUp(b, i)
			if s.copying {
				s.wrote = len(appendEscape(s.out[:s.wrote], b[i]))
				s.last = i + 1
			}
		default:
			return i
		}
		i++
	}
	return i
}

// skip skips white space from i on, of which there mostly is none.
func (s *scanner) skip(b []byte, i int) int {
	if i < len(b) && b[i] > ' ' {
		return i
	}
	return s.space(b, i)
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special marks the bytes of w that mean something in a JSON string: '"', '\\' and control characters. The lowest marked byte is right; the
// marks above it may be wrong (a borrow), so look at the lowest and load anew behind it.
func special(w uint64) uint64 {
	q := w ^ (ones * '"')
	b := w ^ (ones * '\\')
	return ((q-ones)&^q | (b-ones)&^b | (w-ones*0x20)&^w) & highs
}

// object reports whether line is one valid JSON object with nothing but white space around it, and fills h. Where it is not, h holds
// what was found before the first fault: enough to attribute a line that is too long to be read whole. UTF-8 is not looked at.
func (s *scanner) object(line []byte, h *head) bool {
	*h = head{}
	s.high, s.wrote, s.last = 0, 0, 0
	if s.copying = len(line) <= scratchBytes; s.copying && s.out == nil {
		s.out = make([]byte, 2*scratchBytes+2*escapeRoom) // valid JSON grows to its double at most
	}
	i := s.skip(line, 0)
	if i >= len(line) || line[i] != '{' {
		return false
	}
	h.brace = i
	i++
	s.catchUp(line, i)
	s.rest = s.wrote
	i = s.skip(line, i)
	if i < len(line) && line[i] == '}' {
		return s.done(line, i+1)
	}
	h.members = true
	for {
		if i >= len(line) || line[i] != '"' {
			return false
		}
		keyStart := i + 1
		if i = s.str(line, i); i < 0 {
			return false
		}
		key := line[keyStart : i-1]
		if i = s.skip(line, i); i >= len(line) || line[i] != ':' {
			return false
		}
		start := s.skip(line, i+1)
		if i = s.value(line, start); i < 0 {
			return false
		}
		end := i
		if i = s.skip(line, i); i >= len(line) {
			return false // and the value may go on behind what is there: 17 of 1795347082176
		}
		h.note(key, line[start:end])
		switch line[i] {
		case ',':
			i = s.skip(line, i+1)
		case '}':
			return s.done(line, i+1)
		default:
			return false
		}
	}
}

// done finishes the scan of a line whose object ends before i.
func (s *scanner) done(line []byte, i int) bool {
	if s.skip(line, i) != len(line) {
		return false
	}
	s.catchUp(line, len(line))
	return true
}

// maxName is the longest that a name that counts can be spelled: each character as an escape.
const maxName = len("expertKey") * len(`\u0000`)

// note keeps the value of a top-level member that events are made from.
func (h *head) note(key, value []byte) {
	switch string(key) {
	case "type":
		h.typ = value
	case "id":
		h.id = value
	case "expertKey":
		h.expertKey = value
	case "timestamp":
		h.timestamp = value
	case "jobId":
		h.jobID = value
	case "runId":
		h.runID = value
	case "usage":
		h.usage = value
	case "error":
		h.err = value
	case "_aws":
		h.aws = true
	default:
		if len(key) > maxName {
			return
		}
		for _, c := range key {
			if c == '\\' { // spelled with escapes: rare enough to be decoded
				if name, ok := unquote(key); ok {
					h.noteDecoded(name, value)
				}
				return
			}
		}
	}
}

func (h *head) noteDecoded(name string, value []byte) {
	for _, c := range []byte(name) {
		if c == '\\' {
			return // a key with a backslash in it is none of ours
		}
	}
	h.note([]byte(name), value)
}

// str returns the index behind the string whose opening quote is b[i], or -1.
func (s *scanner) str(b []byte, i int) int {
	if !s.copying {
		return s.longStr(b, i+1)
	}
	s.catchUp(b, i)
	out, d := s.out, s.wrote
	out[d], out[d+1] = '\\', '"'
	d += 2
	i++
	high := s.high
	for {
		for i+8 <= len(b) {
			w := binary.LittleEndian.Uint64(b[i:])
			binary.LittleEndian.PutUint64(out[d:], w)
			high |= w
			m := special(w)
			if m == 0 {
				i += 8
				d += 8
				continue
			}
			n := bits.TrailingZeros64(m) >> 3
			i += n
			d += n
			goto found
		}
		for i < len(b) && b[i] >= 0x20 && b[i] != '"' && b[i] != '\\' {
			high |= uint64(b[i])
			out[d] = b[i]
			i++
			d++
		}
		if i >= len(b) {
			return -1
		}
	found:
		out[d], out[d+1] = '\\', b[i]
		d += 2
		if b[i] == '"' {
			s.high, s.wrote, s.last = high, d, i+1
			return i + 1
		}
		n := escapeLength(b, i)
		if n < 0 {
			return -1
		}
		if c := b[i+1]; c == '"' || c == '\\' {
			out[d] = '\\'
			d++
		}
		d += copy(out[d:d+n-1], b[i+1:i+n])
		i += n
	}
}

// longStr is str for a line that is not escaped on the way; b[i] is the string's first byte.
func (s *scanner) longStr(b []byte, i int) int {
	for {
		for i+8 <= len(b) {
			w := binary.LittleEndian.Uint64(b[i:])
			s.high |= w
			m := special(w)
			if m == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(m) >> 3
			goto found
		}
		for i < len(b) && b[i] >= 0x20 && b[i] != '"' && b[i] != '\\' {
			s.high |= uint64(b[i])
			i++
		}
		if i >= len(b) {
			return -1
		}
	found:
		if b[i] == '"' {
			return i + 1
		}
		n := escapeLength(b, i)
		if n < 0 {
			return -1
		}
		i += n
	}
}

// escapeLength is the length of the escape that begins at b[i], or -1 where that is none.
func escapeLength(b []byte, i int) int {
	if b[i] != '\\' || i+1 >= len(b) {
		return -1 // a control character, or the end
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if i+6 <= len(b) && isHex(b[i+2]) && isHex(b[i+3]) && isHex(b[i+4]) && isHex(b[i+5]) {
			return 6
		}
	}
	return -1
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

// value returns the index behind the value that starts at b[i], or -1.
func (s *scanner) value(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return s.str(b, i)
	case '{', '[':
		return s.container(b, i)
	default:
		return scalar(b, i)
	}
}

// container returns the index behind the object or array that starts at b[i], or -1.
func (s *scanner) container(b []byte, i int) int {
	depth := 0 // open containers below the top-level object
	object := false
open:
	object = b[i] == '{'
	depth++
	if depth >= maxDepth {
		return -1
	}
	if object {
		s.isObject[depth>>6] |= 1 << (depth & 63)
	} else {
		s.isObject[depth>>6] &^= 1 << (depth & 63)
	}
	if i = s.skip(b, i+1); i >= len(b) {
		return -1
	}
	if object && b[i] == '}' || !object && b[i] == ']' {
		goto closed
	}
next:
	if object {
		if i >= len(b) || b[i] != '"' {
			return -1
		}
		if i = s.str(b, i); i < 0 {
			return -1
		}
		if i = s.skip(b, i); i >= len(b) || b[i] != ':' {
			return -1
		}
		i = s.skip(b, i+1)
	}
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		i = s.str(b, i)
	case '{', '[':
		goto open
	default:
		i = scalar(b, i)
	}
	if i < 0 {
		return -1
	}
after:
	if i = s.skip(b, i); i >= len(b) {
		return -1
	}
	switch {
	case b[i] == ',':
		i = s.skip(b, i+1)
		goto next
	case object && b[i] == '}', !object && b[i] == ']':
	default:
		return -1
	}
closed:
	i++
	if depth--; depth == 0 {
		return i
	}
	object = s.isObject[depth>>6]&(1<<(depth&63)) != 0
	goto after
}

// scalar returns the index behind the number or literal that starts at b[i], or -1.
func scalar(b []byte, i int) int {
	switch b[i] {
	case 't':
		return literal(b, i, "true")
	case 'f':
		return literal(b, i, "false")
	case 'n':
		return literal(b, i, "null")
	}
	if b[i] == '-' {
		i++
	}
	switch {
	case i >= len(b):
		return -1
	case b[i] == '0':
		i++
	case '1' <= b[i] && b[i] <= '9':
		i = digits(b, i)
	default:
		return -1
	}
	if i < len(b) && b[i] == '.' {
		j := digits(b, i+1)
		if j == i+1 {
			return -1
		}
		i = j
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		j := digits(b, i)
		if j == i {
			return -1
		}
		i = j
	}
	return i
}

func literal(b []byte, i int, word string) int {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return -1
	}
	return i + len(word)
}

func digits(b []byte, i int) int {
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	return i
}
