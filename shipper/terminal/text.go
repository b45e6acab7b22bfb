// Package terminal prepares text for a terminal, so that an agent's text can neither control the
// terminal nor break a table. It also knows the terminal's width, and rewrites its last line.
package terminal

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Escape returns text on one line, with everything made visible that could control a terminal:
// control characters as \x1b, \n or \u009b, characters that change the direction of writing as
// \u202e, and bytes that are not UTF-8 as \xff.
func Escape(text string) string { return escape(text, steers) }

// EscapeText is [Escape] for text of several lines. It keeps newlines and tabs.
func EscapeText(text string) string {
	return escape(text, func(r rune) bool { return r != '\n' && r != '\t' && steers(r) })
}

// escape makes the characters visible for which steers is true, and bytes that are not UTF-8.
func escape(text string, steers func(rune) bool) string {
	at := strings.IndexFunc(text, steers)
	if at < 0 && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	b.Grow(len(text) + 16)
	for i, r := range text {
		_, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b.WriteString(`\x`)
			writeHex(&b, uint64(text[i]), 2)
		case !steers(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < utf8.RuneSelf:
			b.WriteString(`\x`)
			writeHex(&b, uint64(r), 2)
		default:
			b.WriteString(`\u`)
			writeHex(&b, uint64(r), 4)
		}
	}
	return b.String()
}

// EscapeJSON replaces each character in JSON that could control a terminal with a JSON escape,
// which does not change the values. data must be valid JSON without white space between its values.
func EscapeJSON(data []byte) []byte {
	if bytes.IndexFunc(data, steers) < 0 {
		return data
	}
	var b strings.Builder
	for _, r := range string(data) {
		if !steers(r) {
			b.WriteRune(r)
			continue
		}
		b.WriteString(`\u`)
		writeHex(&b, uint64(r), 4)
	}
	return []byte(b.String())
}

// steers reports whether a terminal acts on a character instead of displaying it.
func steers(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

func writeHex(b *strings.Builder, n uint64, digits int) {
	text := strconv.FormatUint(n, 16)
	b.WriteString(strings.Repeat("0", max(0, digits-len(text))))
	b.WriteString(text)
}

// Width returns how many columns text takes, as far as can be known without asking the terminal:
// East Asian characters and most emoji take two, and combining marks take none.
func Width(text string) (columns int) {
	for _, r := range text {
		columns += width(r)
	}
	return columns
}

func width(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0x303e, r >= 0x3041 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3,
		r >= 0xf900 && r <= 0xfaff, r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6,
		r >= 0x1f300 && r <= 0x1f64f, r >= 0x1f900 && r <= 0x1f9ff, r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}

// Fit cuts text to a number of columns at a character boundary, and marks the cut with an ellipsis
// at the end.
func Fit(text string, columns int) string {
	if Width(text) <= columns {
		return text
	}
	used := 0
	for i, r := range text {
		if used += width(r); used > columns-1 {
			return text[:i] + "…"
		}
	}
	return text
}

// FitEnd is [Fit] for the end of text. It cuts the beginning.
func FitEnd(text string, columns int) string {
	if Width(text) <= columns {
		return text
	}
	used, at := 0, len(text)
	for at > 0 {
		r, size := utf8.DecodeLastRuneInString(text[:at])
		if used += width(r); used > columns-1 {
			break
		}
		at -= size
	}
	return "…" + text[at:]
}
