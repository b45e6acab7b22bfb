package cwlocal

// Reads the JSON of PutLogEvents without reflection: one pass over the body, messages unescaped into one buffer.
// The body is known to be valid UTF-8.

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"

	"perstack-shipper/batch"
)

// maxDepth bounds the nesting of values that are skipped.
const maxDepth = 512

// scanned is one event as the body has it.
type scanned struct {
	timestamp        int64
	start, end       int // of the message in putLogEvents.data; start is -1 when there is none
	rawStart, rawEnd int // of its JSON string in the body, without the quotes
	hasTimestamp     bool
}

// scanner is a place in a body.
type scanner struct {
	b []byte
	i int
}

func (s *scanner) fail(what string) error {
	return serialization("byte %d of the body: %s expected", s.i, what)
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// peek skips white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.i++
	return true
}

// null takes the literal null, if that is next.
func (s *scanner) null() bool {
	if s.peek() == 'n' && s.i+4 <= len(s.b) && string(s.b[s.i:s.i+4]) == "null" {
		s.i += 4
		return true
	}
	return false
}

// members calls member with each name of an object, which has to take the value. scratch is for the names.
func (s *scanner) members(scratch []byte, member func(name []byte) error) error {
	if !s.take('{') {
		return s.fail("an object")
	}
	if s.take('}') {
		return nil
	}
	for {
		if s.peek() != '"' {
			return s.fail("a member's name")
		}
		name, err := s.str(scratch[:0])
		if err != nil {
			return err
		}
		if !s.take(':') {
			return s.fail("':'")
		}
		if err := member(name); err != nil {
			return err
		}
		if s.take('}') {
			return nil
		}
		if !s.take(',') {
			return s.fail("',' or '}'")
		}
	}
}

// elements calls element at each value of an array, which has to take it.
func (s *scanner) elements(element func() error) error {
	if !s.take('[') {
		return s.fail("an array")
	}
	if s.take(']') {
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		if s.take(']') {
			return nil
		}
		if !s.take(',') {
			return s.fail("',' or ']'")
		}
	}
}

// integer takes a number that has to be a whole one of 64 bits.
func (s *scanner) integer() (int64, error) {
	negative := s.take('-')
	first := s.i
	var n uint64
	for ; s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9'; s.i++ {
		if n > (1<<63-10)/10 {
			return 0, s.fail("a 64-bit number")
		}
		n = n*10 + uint64(s.b[s.i]-'0')
	}
	if s.i == first || (s.b[first] == '0' && s.i > first+1) {
		return 0, s.fail("a whole number")
	}
	if s.i < len(s.b) && (s.b[s.i] == '.' || s.b[s.i]|0x20 == 'e') {
		return 0, s.fail("a whole number")
	}
	if negative {
		return -int64(n), nil
	}
	return int64(n), nil
}

// skip takes any value.
func (s *scanner) skip(depth int) error {
	if depth > maxDepth {
		return s.fail("less nesting")
	}
	switch c := s.peek(); {
	case c == '{':
		return s.members(nil, func([]byte) error { return s.skip(depth + 1) })
	case c == '[':
		return s.elements(func() error { return s.skip(depth + 1) })
	case c == '"':
		_, err := s.str(nil)
		return err
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	}
	for _, word := range []string{"true", "false", "null"} {
		if end := s.i + len(word); end <= len(s.b) && string(s.b[s.i:end]) == word {
			s.i = end
			return nil
		}
	}
	return s.fail("a value")
}

// number takes any JSON number.
func (s *scanner) number() error {
	digits := func() bool {
		first := s.i
		for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
			s.i++
		}
		return s.i > first
	}
	is := func(c byte) bool { return s.i < len(s.b) && s.b[s.i]|0x20 == c|0x20 }
	if is('-') {
		s.i++
	}
	if is('0') {
		s.i++
	} else if !digits() {
		return s.fail("a digit")
	}
	if is('.') {
		if s.i++; !digits() {
			return s.fail("a digit")
		}
	}
	if is('e') {
		if s.i++; s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		if !digits() {
			return s.fail("a digit")
		}
	}
	return nil
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special has the high bit of each byte of w set, up to the first at least, that is a quote, a backslash or below 0x20.
func special(w uint64) uint64 {
	quote, slash := w^(ones*'"'), w^(ones*'\\')
	return ((quote-ones)&^quote | (slash-ones)&^slash | (w-ones*0x20)&^w) & highs
}

// str takes a string and appends what it means to dst. Half a surrogate pair becomes U+FFFD.
func (s *scanner) str(dst []byte) ([]byte, error) {
	if !s.take('"') {
		return dst, s.fail("a string")
	}
	b, i := s.b, s.i
	for {
		run := i // the bytes from here to i stand for themselves
		for i+8 <= len(b) {
			if m := special(binary.LittleEndian.Uint64(b[i:])); m != 0 {
				i += bits.TrailingZeros64(m) / 8
				break
			}
			i += 8
		}
		for i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= 0x20 {
			i++
		}
		dst = append(dst, b[run:i]...)
		s.i = i
		if i == len(b) {
			return dst, s.fail("the end of a string")
		}
		switch b[i] {
		case '"':
			s.i++
			return dst, nil
		case '\\':
			var err error
			if dst, err = s.escape(dst); err != nil {
				return dst, err
			}
			i = s.i
		default:
			return dst, s.fail("an escaped control character")
		}
	}
}

// escapes are the characters after a backslash that mean another one.
var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape takes one escape sequence and appends what it means to dst.
func (s *scanner) escape(dst []byte) ([]byte, error) {
	if s.i+1 >= len(s.b) {
		return dst, s.fail("an escape sequence")
	}
	if c := escapes[s.b[s.i+1]]; c != 0 {
		s.i += 2
		return append(dst, c), nil
	}
	r, ok := s.hex(s.i)
	if !ok {
		return dst, s.fail("an escape sequence")
	}
	s.i += 6
	switch {
	case r >= 0xdc00 && r < 0xe000:
		r = utf8.RuneError
	case r >= 0xd800 && r < 0xdc00:
		if low, ok := s.hex(s.i); ok && low >= 0xdc00 && low < 0xe000 {
			s.i += 6
			r = (r-0xd800)<<10 | (low - 0xdc00) + 0x10000
		} else {
			r = utf8.RuneError
		}
	}
	return utf8.AppendRune(dst, r), nil
}

// hex reads the \uXXXX at i.
func (s *scanner) hex(i int) (r rune, ok bool) {
	if i+6 > len(s.b) || s.b[i] != '\\' || s.b[i+1] != 'u' {
		return 0, false
	}
	for _, c := range s.b[i+2 : i+6] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// text takes a string, or null for none.
func (s *scanner) text() (string, error) {
	if s.null() {
		return "", nil
	}
	b, err := s.str(nil)
	return string(b), err
}

// scan reads the body of a PutLogEvents. Members that the model does not have are ignored, as the service does.
func (p *putLogEvents) scan(body []byte) error {
	p.body = body
	s := &scanner{b: body}
	var names [32]byte
	err := s.members(names[:], func(name []byte) (err error) {
		switch string(name) {
		case "logGroupName":
			p.group, err = s.text()
		case "logStreamName":
			p.stream, err = s.text()
		case "sequenceToken":
			_, err = s.text() // the service ignores it
		case "logEvents":
			p.events, p.data, p.count = p.events[:0], p.data[:0], 0 // of two the last counts
			if s.null() {
				return nil
			}
			err = s.elements(func() error { return p.scanEvent(s) })
		case "entity":
			if s.null() {
				return nil
			}
			from := s.i
			if err = s.skip(0); err == nil {
				p.entity = body[from:s.i]
			}
		default:
			err = s.skip(0)
		}
		return err
	})
	if err != nil {
		return err
	}
	if s.peek(); s.i < len(body) {
		return s.fail("the end of the body")
	}
	return nil
}

// scanEvent takes one event. Those over the limit of a batch are counted, but not kept.
func (p *putLogEvents) scanEvent(s *scanner) error {
	p.count++
	if p.count > batch.MaxBatchEvents {
		return s.skip(0)
	}
	e := scanned{start: -1}
	var names [16]byte
	err := s.members(names[:], func(name []byte) (err error) {
		switch string(name) {
		case "timestamp":
			if s.null() {
				return nil
			}
			e.hasTimestamp = true
			e.timestamp, err = s.integer()
		case "message":
			if s.null() {
				return nil
			}
			e.start = len(p.data)
			s.space()
			e.rawStart = s.i + 1
			p.data, err = s.str(p.data)
			e.end, e.rawEnd = len(p.data), s.i-1
		case "ingestionTime":
			if p.restoring {
				p.ingestion, err = s.integer()
			} else {
				err = s.skip(1)
			}
		default:
			err = s.skip(1)
		}
		return err
	})
	p.events = append(p.events, e)
	return err
}
