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

// scanner scans lines. Its zero value is ready. It is kept from line to line for its stack alone.
type scanner struct {
	isObject [maxDepth/64 + 1]uint64 // the stack of open containers, a bit each: object or array
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
	i := skipSpace(line, 0)
	if i >= len(line) || line[i] != '{' {
		return false
	}
	h.brace = i
	i = skipSpace(line, i+1)
	if i < len(line) && line[i] == '}' {
		return skipSpace(line, i+1) == len(line)
	}
	h.members = true
	for {
		if i >= len(line) || line[i] != '"' {
			return false
		}
		keyStart := i + 1
		if i = skipString(line, keyStart); i < 0 {
			return false
		}
		key := line[keyStart : i-1]
		if i >= len(line) || line[i] != ':' { // the usual line has no white space here
			if i = skipSpace(line, i); i >= len(line) || line[i] != ':' {
				return false
			}
		}
		start := skipSpace(line, i+1)
		if i = s.value(line, start); i < 0 {
			return false
		}
		h.note(key, line[start:i])
		i = skipSpace(line, i)
		if i >= len(line) {
			return false
		}
		switch line[i] {
		case ',':
			i = skipSpace(line, i+1)
		case '}':
			return skipSpace(line, i+1) == len(line)
		default:
			return false
		}
	}
}

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

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

// skipString returns the index behind the closing quote of the string whose first byte is b[i], or -1.
func skipString(b []byte, i int) int {
	for {
		for i+8 <= len(b) {
			m := special(binary.LittleEndian.Uint64(b[i:]))
			if m == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(m) >> 3
			goto found
		}
		for i < len(b) && b[i] >= 0x20 && b[i] != '"' && b[i] != '\\' {
			i++
		}
		if i >= len(b) {
			return -1
		}
	found:
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			if i+1 >= len(b) {
				return -1
			}
			switch b[i+1] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
				i += 2
			case 'u':
				if i+6 > len(b) || !isHex(b[i+2]) || !isHex(b[i+3]) || !isHex(b[i+4]) || !isHex(b[i+5]) {
					return -1
				}
				i += 6
			default:
				return -1
			}
		default:
			return -1 // a control character
		}
	}
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
		return skipString(b, i+1)
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
	if i = skipSpace(b, i+1); i >= len(b) {
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
		if i = skipString(b, i+1); i < 0 {
			return -1
		}
		if i >= len(b) || b[i] != ':' {
			if i = skipSpace(b, i); i >= len(b) || b[i] != ':' {
				return -1
			}
		}
		i = skipSpace(b, i+1)
	}
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		i = skipString(b, i+1)
	case '{', '[':
		goto open
	default:
		i = scalar(b, i)
	}
	if i < 0 {
		return -1
	}
after:
	if i = skipSpace(b, i); i >= len(b) {
		return -1
	}
	switch {
	case b[i] == ',':
		i = skipSpace(b, i+1)
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
