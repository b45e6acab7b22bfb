package batch

import (
	"slices"
	"unicode/utf8"
)

// repairer makes lines valid UTF-8 by replacing each invalid byte with U+FFFD. Its results are
// valid until the next call.
type repairer struct{ out []byte }

// all returns raw repaired.
func (r *repairer) all(raw []byte) []byte {
	r.out = appendRepaired(slices.Grow(r.out[:0], repairedLen(raw)), raw)
	return r.out
}

// some repairs the beginning of raw, until the result is a little longer than most bytes. all
// reports whether that was all of raw.
func (r *repairer) some(raw []byte, most int) (text []byte, all bool) {
	text = slices.Grow(r.out[:0], min(3*len(raw), most+3*repairStep))
	for len(raw) > 0 && len(text) <= most {
		n := min(len(raw), repairStep)
		if n < len(raw) {
			n = wholeRunes(raw[:n])
		}
		text = appendRepaired(text, raw[:n])
		raw = raw[n:]
	}
	r.out = text
	return text, len(raw) == 0
}

// wholeRunes returns the length of b without an incomplete UTF-8 sequence at its end.
func wholeRunes(b []byte) int {
	for back := 1; back < utf8.UTFMax && back <= len(b); back++ {
		if c := b[len(b)-back]; utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-back:]) {
				return len(b) - back
			}
			break
		}
	}
	return len(b)
}
