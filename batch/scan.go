package batch

// This file reads a line of JSON without decoding it. One pass finds out whether the whole line is
// one valid JSON object, and where its few top-level members are that an event needs. The same pass
// escapes the line for the request body: the bytes that a scan looks for in a string are exactly
// those that need an escape, so each byte is loaded once (scan_text.go).

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deep a line may nest and still count as JSON. encoding/json has the same limit,
// so programs that read the events with it agree about what is an object.
const maxDepth = 10000

// head is the result of a scan. The slices are raw JSON values; a string has its quotes. They alias
// the line, and are nil if the member is absent. If a member repeats, the last one counts, as in
// encoding/json and jq.
type head struct {
	typ, id, expertKey, timestamp, jobID, runID, stepNumber, usage, err []byte

	brace   int  // index of the object's '{'
	members bool // the object has a member
	// foreign says that the object has a top-level member _aws or shipper, in any spelling, which
	// must not be mistaken for ours.
	foreign bool
}

// scanner scans lines. Its zero value is ready to use. It carries state from line to line: see slot
// and escaper.
type scanner struct {
	isObject [maxDepth/64 + 1]uint64 // stack of open containers, one bit each: set for an object
	slots    [slots]slot
	escaper
	rest int // index in out of the bytes after the object's '{'
}

// escaped returns what follows the first '{' of a line that object accepted, as JSON string
// content. A line that is too long for an event is not escaped. The result is valid until the next
// scan.
func (s *scanner) escaped() []byte { return s.out[s.rest:s.wrote] }

// skip skips white space from i on. Usually there is none.
func (s *scanner) skip(b []byte, i int) int {
	if i < len(b) && b[i] > ' ' {
		return i
	}
	return s.space(b, i)
}

// object reports whether line is one valid JSON object with nothing but white space around it, and
// fills h. If it is not, h holds what was found before the first error, which is enough to
// attribute a line that is too long to be read whole. object does not check UTF-8.
func (s *scanner) object(line []byte, h *head) bool {
	*h = head{}
	s.start(line)
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
	for k := 0; ; k++ {
		var start int
		var field headField
		if k < slots && s.slots[k].standsAt(line, i) {
			known := &s.slots[k]
			if s.last != i {
				s.catchUp(line, i)
			}
			s.known(known)
			i += known.length
			field, start = known.field, i
			if known.text {
				start = i - 1
				i = s.text(line, i)
			} else {
				start = s.skip(line, i)
				i = s.value(line, start)
			}
		} else {
			from := i
			if k > 0 {
				i = s.skip(line, i+1) // after the comma
			}
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
			start = s.skip(line, i+1)
			field = headOf(key)
			if k < slots {
				s.slots[k].learn(line, from, start, field)
			}
			i = s.value(line, start)
		}
		if i < 0 {
			return false
		}
		end := i
		if i = s.skip(line, i); i >= len(line) {
			return false // and the value may be incomplete, such as the 17 of 1795347082176
		}
		if field != headOther {
			h.note(field, line[start:end])
		}
		switch line[i] {
		case ',':
		case '}':
			return s.done(line, i+1)
		default:
			return false
		}
	}
}

// byteOrderMark is what programs on Windows write before the first line of a file. JSON does not
// allow it.
const byteOrderMark = "\ufeff"

// line is object for a line that may begin with a byte order mark. bom is the length of the byte
// order mark, or 0 if there is none or no object follows it.
func (s *scanner) line(raw []byte, h *head) (bom int, object bool) {
	if s.object(raw, h) {
		return 0, true
	}
	rest, found := bytes.CutPrefix(raw, []byte(byteOrderMark))
	if !found || !s.object(rest, h) {
		return 0, false
	}
	return len(byteOrderMark), true
}

// done finishes the scan of a line whose object ends before index i.
func (s *scanner) done(line []byte, i int) bool {
	if s.skip(line, i) != len(line) {
		return false
	}
	s.catchUp(line, len(line))
	return true
}

// headField is a top-level member that events use.
type headField uint8

const (
	headOther headField = iota
	headType
	headID
	headExpertKey
	headTimestamp
	headJobID
	headRunID
	headStepNumber
	headUsage
	headError
	headForeign
)

// maxName is the longest spelling of a known name, with each character escaped.
const maxName = len("stepNumber") * len(`\u0000`)

// headOf returns the field for a key, given in the spelling of the line.
func headOf(key []byte) headField {
	switch string(key) {
	case "type":
		return headType
	case "id":
		return headID
	case "expertKey":
		return headExpertKey
	case "timestamp":
		return headTimestamp
	case "jobId":
		return headJobID
	case "runId":
		return headRunID
	case "stepNumber":
		return headStepNumber
	case "usage":
		return headUsage
	case "error":
		return headError
	case "_aws", "shipper":
		return headForeign
	}
	if len(key) > maxName {
		return headOther
	}
	for _, c := range key {
		if c != '\\' {
			continue
		}
		// The key contains escapes, which is rare enough to decode it. A name that then still has a
		// backslash is not one of ours.
		if name, ok := unquote(key); ok && strings.IndexByte(name, '\\') < 0 {
			return headOf([]byte(name))
		}
		break
	}
	return headOther
}

// note stores the value of a field.
func (h *head) note(f headField, value []byte) {
	switch f {
	case headType:
		h.typ = value
	case headID:
		h.id = value
	case headExpertKey:
		h.expertKey = value
	case headTimestamp:
		h.timestamp = value
	case headJobID:
		h.jobID = value
	case headRunID:
		h.runID = value
	case headStepNumber:
		h.stepNumber = value
	case headUsage:
		h.usage = value
	case headError:
		h.err = value
	case headForeign:
		h.foreign = true
	}
}

// value returns the index after the value that starts at b[i], or -1.
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

// container returns the index after the object or array that starts at b[i], or -1.
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

// scalar returns the index after the number or literal that starts at b[i], or -1.
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
	for i+8 <= len(b) {
		if _, ok := eightDigits(binary.LittleEndian.Uint64(b[i:])); !ok {
			break
		}
		i += 8
	}
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	return i
}

// repair makes the values valid UTF-8, except those that are too large for events to repeat.
func (h *head) repair() {
	for _, value := range []*[]byte{&h.typ, &h.id, &h.expertKey, &h.timestamp, &h.jobID, &h.runID, &h.stepNumber, &h.usage, &h.err} {
		if len(*value) <= maxMember && !utf8.Valid(*value) {
			*value = appendRepaired(nil, *value)
		}
	}
}
