package cwlocal

// Reads JSON without reflection, a value at a time. The text is known to be valid UTF-8.

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// maxDepth bounds the nesting of values that are skipped.
const maxDepth = 512

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

// member goes to the n-th member of an object, counted from 0, whose value the caller then has to take, and returns its
// name, which is valid until the next call; more is false after the last one.
func (s *scanner) member(n int) (name []byte, more bool, err error) {
	if more, err = s.step(n, '{', '}', "an object"); !more {
		return nil, false, err
	}
	if s.peek() != '"' {
		return nil, false, s.fail("a member's name")
	}
	if name, err = s.name(); err != nil {
		return nil, false, err
	}
	if !s.take(':') {
		return nil, false, s.fail("':'")
	}
	return name, true, nil
}

// element goes to the n-th element of an array, counted from 0, which the caller then has to take; more is false after
// the last one.
func (s *scanner) element(n int) (more bool, err error) { return s.step(n, '[', ']', "an array") }

// step takes what stands before the n-th part of an object or array.
func (s *scanner) step(n int, open, shut byte, what string) (more bool, err error) {
	switch {
	case n == 0 && !s.take(open):
		return false, s.fail(what)
	case s.take(shut):
		return false, nil
	case n > 0 && !s.take(','):
		return false, s.fail("',' or '" + string(shut) + "'")
	case n > 0 && s.peek() == shut:
		return false, s.fail("a value after ','")
	}
	return true, nil
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
		for n := 0; ; n++ {
			if _, more, err := s.member(n); !more {
				return err
			}
			if err := s.skip(depth + 1); err != nil {
				return err
			}
		}
	case c == '[':
		for n := 0; ; n++ {
			if more, err := s.element(n); !more {
				return err
			}
			if err := s.skip(depth + 1); err != nil {
				return err
			}
		}
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

// name takes a string without copying it, unless there are escape sequences in it.
func (s *scanner) name() ([]byte, error) {
	first := s.i + 1
	for i := first; i < len(s.b) && s.b[i] >= 0x20 && s.b[i] != '\\'; i++ {
		if s.b[i] == '"' {
			s.i = i + 1
			return s.b[first:i], nil
		}
	}
	return s.str(nil)
}

// str takes a string and appends what it means to dst. Half a surrogate pair becomes U+FFFD.
func (s *scanner) str(dst []byte) ([]byte, error) {
	if !s.take('"') {
		return dst, s.fail("a string")
	}
	return s.rest(dst)
}

// rest is str behind the opening quote.
func (s *scanner) rest(dst []byte) ([]byte, error) {
	var err error
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return dst, nil
		case c == '\\':
			if dst, err = s.escape(dst); err != nil {
				return dst, err
			}
		case c < 0x20:
			return dst, s.fail("an escaped control character")
		default:
			from := s.i
			for s.i < len(s.b) && s.b[s.i] >= 0x20 && s.b[s.i] != '"' && s.b[s.i] != '\\' {
				s.i++
			}
			dst = append(dst, s.b[from:s.i]...)
		}
	}
	return dst, s.fail("the end of a string")
}

// message is str for strings that are long and have many escape sequences, as JSON in JSON has. dst needs room for what
// is left of the body and 8 bytes more: eight bytes are copied at once, of which those up to a special one count.
func (s *scanner) message(dst []byte) ([]byte, error) {
	if !s.take('"') {
		return dst, s.fail("a string")
	}
	b, i, j := s.b, s.i, len(dst)
	to := dst[:cap(dst)]
	for i+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[i:])
		binary.LittleEndian.PutUint64(to[j:], w)
		m := special(w)
		if m == 0 {
			i, j = i+8, j+8
			continue
		}
		n := bits.TrailingZeros64(m) / 8
		i, j = i+n, j+n
		if b[i] == '\\' && i+1 < len(b) && escapes[b[i+1]] != 0 {
			to[j] = escapes[b[i+1]]
			i, j = i+2, j+1
			continue
		}
		if b[i] != '\\' {
			break
		}
		s.i = i
		out, err := s.escape(to[:j])
		if err != nil {
			return dst, err
		}
		i, j = s.i, len(out)
	}
	s.i = i
	return s.rest(to[:j])
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
