package batch

import (
	"slices"
	"unicode/utf8"
)

// repairer makes valid UTF-8 of lines that are not, with U+FFFD for what is wrong. What it returns
// is valid until its next call.
type repairer struct{ out []byte }

// all repairs raw.
func (r *repairer) all(raw []byte) []byte {
	r.out = appendRepaired(slices.Grow(r.out[:0], repairedLen(raw)), raw)
	return r.out
}

// some repairs as much of raw as comes to more than most bytes, and a little more. all says that it
// is all of it.
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

// wholeRunes is how much of b does not end inside a UTF-8 sequence that the bytes to come may
// finish.
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
