package cwlocal

// Writes JSON strings. What is written is known to be valid UTF-8.

import (
	"encoding/binary"
	"math/bits"
	"strings"
)

const hexDigits = "0123456789abcdef"

// appendQuoted appends s to dst as a JSON string.
func appendQuoted[S ~string | ~[]byte](dst []byte, s S) []byte {
	dst = append(dst, '"')
	b := []byte(s)
	for i := 0; i < len(b); i++ {
		run := i
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
		if i == len(b) {
			break
		}
		switch c := b[i]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(dst, '"')
}

// quoted is s as a JSON string. Bytes that are not UTF-8, which only an error of the system could name, are replaced.
func quoted(s string) []byte { return appendQuoted(nil, strings.ToValidUTF8(s, "\uFFFD")) }
