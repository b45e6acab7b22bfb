package batch

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// unsplice reads JSON from left to right; i is the current index. It finds where members and values
// begin and end, and decodes only the ones it is asked for. It does not validate, because Restore
// uses it on messages that were validated before they were shipped, or are foreign.
type unsplice struct {
	b []byte
	i int
}

const jsonSpace = " \t\r\n"

func (s *unsplice) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return
		}
	}
}

// peek returns the next byte, or 0 at the end. Callers never expect a 0.
func (s *unsplice) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *unsplice) take(want string) bool {
	if len(s.b)-s.i < len(want) || string(s.b[s.i:s.i+len(want)]) != want {
		return false
	}
	s.i += len(want)
	return true
}

// members reads members up to and including the closing brace of their object. It calls each with
// the unquoted key and the raw value. It reports whether it reached the brace, which it does not if
// the bytes are not an object or each returns false. It does not check the inside of a value.
func (s *unsplice) members(each func(key, value []byte) bool) bool {
	s.space()
	if s.peek() == '}' {
		s.i++
		return true
	}
	for {
		s.space()
		if s.peek() != '"' {
			return false
		}
		key, ok := s.value()
		if !ok {
			return false
		}
		s.space()
		if s.peek() != ':' {
			return false
		}
		s.i++
		s.space()
		value, ok := s.value()
		if !ok || !each(unquoted(key), value) {
			return false
		}
		s.space()
		switch s.peek() {
		case ',':
			s.i++
		case '}':
			s.i++
			return true
		default:
			return false
		}
	}
}

// value skips a JSON value and returns its bytes, which are never empty. It does not recurse,
// because a line may nest as deep as it is long.
func (s *unsplice) value() ([]byte, bool) {
	start := s.i
	switch s.peek() {
	case '"':
		if !s.quoted() {
			return nil, false
		}
	case '{', '[':
		for depth := 0; ; {
			switch s.peek() {
			case '"':
				if !s.quoted() {
					return nil, false
				}
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			if s.i++; s.i > len(s.b) {
				return nil, false
			}
			if depth == 0 {
				return s.b[start:s.i], true
			}
		}
	default:
		for s.i < len(s.b) && bytes.IndexByte([]byte(",:{}[]\""+jsonSpace), s.b[s.i]) < 0 {
			s.i++
		}
	}
	return s.b[start:s.i], s.i > start
}

// quoted skips the string whose opening quote is at i, and reports whether the string ends.
func (s *unsplice) quoted() bool {
	first := s.i + 1
	for at := first; ; {
		n := bytes.IndexByte(s.b[at:], '"')
		if n < 0 {
			return false
		}
		at += n
		// An odd number of backslashes before the quote escapes it.
		slashes := 0
		for at-1-slashes >= first && s.b[at-1-slashes] == '\\' {
			slashes++
		}
		at++
		if slashes%2 == 0 {
			s.i = at
			return true
		}
	}
}

func quotedText(value []byte) (string, bool) {
	if value[0] != '"' || len(value) == 2 {
		return "", false
	}
	return string(unquoted(value)), true
}

// quotedTexts reads an array of non-empty strings.
func quotedTexts(value []byte) ([]string, bool) {
	s := unsplice{b: value}
	var texts []string
	for s.take("[") || s.take(",") {
		s.space()
		if s.peek() != '"' {
			break
		}
		item, ok := s.value()
		if !ok {
			return nil, false
		}
		text, ok := quotedText(item)
		if !ok {
			return nil, false
		}
		texts = append(texts, text)
		s.space()
	}
	return texts, s.take("]") && s.i == len(value)
}

func count(value []byte, low, high int64) (int64, bool) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || n < low || n > high || value[0] == '+' {
		return 0, false
	}
	return n, true
}

func truth(value []byte) (is, ok bool) {
	switch string(value) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}

// unquoted returns the text of a JSON string, given with its quotes. Without escapes, the text
// shares the memory of the string. An invalid escape stays as it is, and half a surrogate pair
// becomes U+FFFD.
func unquoted(quoted []byte) []byte { return unescaped(quoted[1 : len(quoted)-1]) }

// unescaped returns the text of the content of a JSON string, as unquoted does. The content must
// not end within an escape.
func unescaped(in []byte) []byte {
	if bytes.IndexByte(in, '\\') < 0 {
		return in
	}
	return appendUnescaped(make([]byte, 0, len(in)), in)
}

func appendUnescaped(out, in []byte) []byte {
	for next := bytes.IndexByte(in, '\\'); next >= 0; next = bytes.IndexByte(in, '\\') {
		out = append(out, in[:next]...)
		in = in[next:] // from the backslash, which is never the last byte
		used := 2
		switch in[1] {
		case '"', '\\', '/':
			out = append(out, in[1])
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := unit(in)
			if r < 0 {
				out = append(out, in[:2]...)
				break
			}
			used = 6
			if utf16.IsSurrogate(r) {
				low := unit(in[6:])
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					used = 12
				}
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, in[:2]...)
		}
		in = in[used:]
	}
	return append(out, in...)
}

// unit returns the UTF-16 code unit of the escape \uXXXX at the start of b, or -1 if there is none.
func unit(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}
