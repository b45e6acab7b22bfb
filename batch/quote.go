package batch

// This file writes and reads JSON strings: the text and the parts inside an event, and the event
// inside a request body.

import (
	"encoding/json"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// short returns the letter of a control character's two-byte escape, or 0.
var short = [0x20]byte{'\b': 'b', '\t': 't', '\n': 'n', '\f': 'f', '\r': 'r'}

// appendEscape appends the escape of a byte that a JSON string cannot hold unescaped.
func appendEscape(dst []byte, c byte) []byte {
	switch {
	case c >= 0x20: // '"' or '\\'
		return append(dst, '\\', c)
	case short[c] != 0:
		return append(dst, '\\', short[c])
	default:
		return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
	}
}

// escapedLen returns how many bytes c needs in a JSON string.
func escapedLen(c byte) int {
	switch {
	case c == '"' || c == '\\':
		return 2
	case c >= 0x20:
		return 1
	case short[c] != 0:
		return 2
	default:
		return 6
	}
}

// appendQuoted appends as much of src as fits into limit bytes of JSON string content. It returns
// dst and how much of src that was. It never cuts inside a UTF-8 sequence. src must be valid UTF-8.
func appendQuoted(dst, src []byte, limit int) ([]byte, int) {
	n := 0
	for n < len(src) {
		start := n
		for n < len(src) && src[n] >= 0x20 && src[n] != '"' && src[n] != '\\' {
			n++
		}
		if n-start > limit {
			n = start + limit
			for n > start && !utf8.RuneStart(src[n]) {
				n--
			}
			return append(dst, src[start:n]...), n
		}
		dst = append(dst, src[start:n]...)
		limit -= n - start
		if n == len(src) {
			break
		}
		size := escapedLen(src[n])
		if size > limit {
			// This is the start of a rune, because src[n] is ASCII.
			return dst, n
		}
		dst = appendEscape(dst, src[n])
		limit -= size
		n++
	}
	return dst, n
}

// appendRepaired appends src with each byte that is not part of valid UTF-8 replaced by U+FFFD.
// Like the SDK's encoder and encoding/json, it writes one U+FFFD per byte, not one per run of
// bytes.
func appendRepaired(dst, src []byte) []byte {
	for len(src) > 0 {
		n := 0
		for n < len(src) {
			if src[n] < utf8.RuneSelf {
				n++
				continue
			}
			r, size := utf8.DecodeRune(src[n:])
			if r == utf8.RuneError && size == 1 {
				break
			}
			n += size
		}
		dst = append(dst, src[:n]...)
		if n == len(src) {
			break
		}
		dst = append(dst, "\uFFFD"...)
		src = src[n+1:]
	}
	return dst
}

// repairedLen returns how many bytes appendRepaired appends. Allocating them in advance avoids
// copying a line of megabytes repeatedly as the slice grows.
func repairedLen(src []byte) int {
	n := len(src)
	for len(src) > 0 {
		r, size := utf8.DecodeRune(src)
		if r == utf8.RuneError && size == 1 {
			n += len("\uFFFD") - 1
		}
		src = src[size:]
	}
	return n
}

// unrepairedLen returns how many bytes of src became the first n bytes that appendRepaired appends.
func unrepairedLen(src []byte, n int) int {
	took := 0
	for n > 0 {
		r, size := utf8.DecodeRune(src[took:])
		took += size
		if r == utf8.RuneError && size == 1 {
			size = len("\uFFFD")
		}
		n -= size
	}
	return took
}

// quote returns s as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD.
func quote(s string) []byte {
	b, _ := appendQuoted([]byte{'"'}, appendRepaired(nil, []byte(s)), int(^uint(0)>>1))
	return append(b, '"')
}

// unquote decodes the content of a JSON string, given without its quotes.
func unquote(content []byte) (string, bool) {
	if plain(content) {
		return string(content), true
	}
	var s string
	quoted := make([]byte, 0, len(content)+2)
	quoted = append(append(append(quoted, '"'), content...), '"')
	if json.Unmarshal(quoted, &s) != nil {
		return "", false
	}
	return s, true
}

// stringValue decodes a raw JSON value that is a string. ok is false for anything else.
func stringValue(raw []byte) (s string, ok bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	return unquote(raw[1 : len(raw)-1])
}

// plain reports whether the content of a JSON string is its text: it is ASCII and has no escape.
// Most ids are like that.
func plain(content []byte) bool {
	for _, c := range content {
		if c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
