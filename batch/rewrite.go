package batch

import (
	"bytes"
	"math"
	"unicode/utf8"
)

// rewriter rewrites a piece of a line. It copies nothing before the first change.
type rewriter struct {
	r       *redactor
	raw     []byte
	p       *spot
	changed bool
	out     []byte
	from    int // how much of raw is in out, or is unchanged so far
	n       int // matches
}

// replace puts text, already escaped for the line, in place of raw[from:to].
func (w *rewriter) replace(from, to int, text []byte) {
	if !w.changed {
		w.changed, w.out = true, w.r.out[:0]
	}
	w.out = append(append(w.out, w.raw[w.from:from]...), text...)
	w.from = to
}

// end returns the change of raw[:used].
func (w *rewriter) end(used int) change {
	c := change{text: w.raw[:used], used: used, n: w.n, changed: w.changed}
	if w.changed {
		w.out = append(w.out, w.raw[w.from:used]...)
		w.r.out = w.out
		c.text = w.out[:len(w.out):len(w.out)]
	}
	return c
}

// text removes matches from raw[from:to], which extends to the end of a text.
func (w *rewriter) text(from, to int) {
	switch {
	case from == to, w.p.String && w.p.Key:
		return
	case w.p.Swallow:
		w.replace(from, to, nil)
		return
	case len(w.out) > w.r.most:
		w.n++
		w.replace(from, to, []byte(placeholder))
		return
	}
	if w.p.String {
		to = from + uncut(w.raw[from:to], to-from, false) // the end of a line may be cut
	}
	decoded := w.decoded(from, to)
	w.spans(from, to, decoded, w.r.find(decoded))
}

// decoded returns the text of raw[from:to], without escapes if it is in a string.
func (w *rewriter) decoded(from, to int) []byte {
	if w.p.String {
		return w.r.unescaped(w.raw[from:to])
	}
	return w.raw[from:to]
}

// unescaped is the function unescaped in scratch memory.
func (r *redactor) unescaped(content []byte) []byte {
	if bytes.IndexByte(content, '\\') < 0 {
		return content
	}
	r.decoded = appendUnescaped(r.decoded[:0], content)
	return r.decoded
}

// spans removes spans of decoded, which is the text of raw[from:to].
func (w *rewriter) spans(from, to int, decoded []byte, spans [][2]int) {
	if len(spans) == 0 {
		return
	}
	w.n += len(spans)
	text := replaced(decoded, spans)
	if w.p.String {
		if !utf8.Valid(text) {
			text = appendRepaired(nil, text)
		}
		text, _ = appendQuoted(nil, text, math.MaxInt)
	}
	w.replace(from, to, text)
}

// begun removes matches from a text that starts at from and continues after raw. It returns the end
// of the part of raw that it could decide.
func (w *rewriter) begun(from, hold int) int {
	rest := w.raw[from:]
	all := wholeRunes(rest)
	if w.p.String {
		all = uncut(rest, all, true)
	}
	cut := max(min(all, len(rest)-hold), 0)
	if w.p.String {
		cut = uncut(rest, cut, true)
	}
	for back := 1; back < utf8.UTFMax && 0 < cut && cut < len(rest) && !utf8.RuneStart(rest[cut]); back++ {
		cut--
	}
	switch {
	case w.p.String && w.p.Key:
		return from + all
	case w.p.Swallow:
		w.replace(from, from+all, nil)
		return from + all
	case len(w.out) > w.r.most:
		w.n++
		w.p.Swallow = w.p.String
		w.replace(from, from+all, []byte(placeholder))
		return from + all
	}
	decoded := w.decoded(from, from+all)
	spans := w.r.find(decoded)
	at := w.says(rest, cut) // cut, in decoded
	for i, s := range spans {
		if s[1] <= at {
			continue
		}
		if s[0] >= at {
			spans = spans[:i]
			break
		}
		// The cut falls into a match.
		switch {
		case s[0] > 0 || from > 0:
			at, spans = s[0], spans[:i]
		case s[1] < len(decoded):
			at, spans = s[1], spans[:i+1]
		default:
			w.n++
			w.p.Swallow = true
			w.replace(from, from+all, []byte(placeholder))
			return from + all
		}
		break
	}
	cut = w.where(rest[:all], at)
	w.spans(from, from+cut, decoded[:at], spans)
	return from + cut
}

// says returns the length of the text of rest[:n].
func (w *rewriter) says(rest []byte, n int) int {
	if !w.p.String {
		return n
	}
	return len(unescaped(rest[:n]))
}

// where returns how many bytes of rest hold the first n bytes of its text.
func (w *rewriter) where(rest []byte, n int) int {
	if !w.p.String {
		return n
	}
	at := 0
	for n > 0 {
		next := bytes.IndexByte(rest[at:], '\\')
		if next < 0 || next >= n {
			return at + n
		}
		at, n = at+next, n-next
		size := escapeSize(rest[at:], false)
		n -= len(unescaped(rest[at : at+size]))
		at += size
	}
	return at
}

// escapeSize returns the length of the escape, or of the surrogate pair, at the start of b. It is
// greater than len(b) if b ends within the escape or, with more set, may end within it.
func escapeSize(b []byte, more bool) int {
	if !hexEscape(b) {
		return 2
	}
	if r := unit(b); r < 0xD800 || r > 0xDBFF {
		return 6
	}
	if low := b[6:]; more && len(low) < 6 && (len(low) < 2 && bytes.HasPrefix([]byte(`\u`), low) || hexEscape(low)) {
		return 12
	} else if r := unit(low); r >= 0xDC00 && r <= 0xDFFF {
		return 12
	}
	return 6
}

// hexEscape reports whether b begins with an escape of the form \uXXXX, or is too short to hold all
// of one.
func hexEscape(b []byte) bool {
	if len(b) < 2 || b[0] != '\\' || b[1] != 'u' {
		return false
	}
	for _, c := range b[2:min(len(b), 6)] {
		if !isHex(c) {
			return false
		}
	}
	return true
}

// uncut returns the largest length up to n at which the content of a string can be cut without
// cutting an escape. more says that the content may continue.
func uncut(content []byte, n int, more bool) int {
	at := 0
	for at < n {
		next := bytes.IndexByte(content[at:n], '\\')
		if next < 0 {
			return n
		}
		at += next
		size := escapeSize(content[at:], more)
		if at+size > n {
			return at
		}
		at += size
	}
	return at
}
