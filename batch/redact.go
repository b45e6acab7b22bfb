package batch

// This file removes from a line what must not leave the machine, before the line becomes an event.
// It removes matches in the texts of JSON strings or, in a line that is not JSON, anywhere. Keys
// and structure stay, so JSON remains valid JSON.

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"slices"
)

// placeholder replaces what was removed.
const placeholder = "[redacted]"

// redactor finds and removes matches. Without patterns it changes nothing.
type redactor struct {
	patterns []*regexp.Regexp
	out      []byte // scratch: the redacted line; decoded is the current text
	decoded  []byte
	spans    [][2]int
	open     []byte // scratch: the containers of a line
	most     int    // how long a line may become; then remaining texts are replaced as a whole
}

func newRedactor(patterns []string, most int) (redactor, error) {
	r := redactor{most: most}
	for _, text := range patterns {
		p, err := regexp.Compile(text)
		if err != nil {
			return redactor{}, fmt.Errorf("%q is not a valid regular expression: %w", text, err)
		}
		r.patterns = append(r.patterns, p)
	}
	return r, nil
}

func (r *redactor) on() bool { return len(r.patterns) > 0 }

// find returns the matches in text, in ascending order, disjoint and not empty. It searches all of
// text for each pattern, because one match must not hide part of another. The result is valid until
// the next call.
func (r *redactor) find(text []byte) [][2]int {
	spans := r.spans[:0]
	for _, p := range r.patterns {
		for _, at := range p.FindAllIndex(text, -1) {
			if at[0] < at[1] {
				spans = append(spans, [2]int{at[0], at[1]})
			}
		}
	}
	r.spans = spans
	if len(spans) < 2 {
		return spans
	}
	slices.SortFunc(spans, func(a, b [2]int) int { return cmp.Compare(a[0], b[0]) })
	merged := spans[:1]
	for _, s := range spans[1:] {
		if last := &merged[len(merged)-1]; s[0] <= last[1] {
			last[1] = max(last[1], s[1])
		} else {
			merged = append(merged, s)
		}
	}
	return merged
}

// replaced returns text with each span replaced by placeholder.
func replaced(text []byte, spans [][2]int) []byte {
	var out []byte
	from := 0
	for _, s := range spans {
		out = append(append(out, text[from:s[0]]...), placeholder...)
		from = s[1]
	}
	return append(out, text[from:]...)
}

// change is the result for a line, or for a piece of one.
type change struct {
	text    []byte
	used    int  // bytes of the line that text stands for
	n       int  // matches that were removed
	changed bool // if set, text is scratch; otherwise text is part of the line
}

// object removes matches from a line that is a JSON object, perhaps after a byte order mark.
func (r *redactor) object(line []byte) ([]byte, int) {
	if !r.on() {
		return line, 0
	}
	p := spot{Open: r.open[:0]}
	c := r.piece(line, &p, true, 0)
	r.open = p.Open
	return c.text, c.n
}

// text removes matches from a line that is not a JSON object. The line may still be a fragment of
// one, so text searches its strings as well as the whole line.
func (r *redactor) text(line []byte) ([]byte, int) {
	p := startOf(line)
	whole := p.Plain
	c := r.piece(line, &p, true, 0)
	if whole {
		return c.text, c.n
	}
	var out []byte
	for i, between := range bytes.Split(c.text, []byte(placeholder)) {
		if i > 0 {
			out = append(out, placeholder...)
		}
		spans := r.find(between)
		c.n += len(spans)
		out = append(out, replaced(between, spans)...)
	}
	return out, c.n
}

// value removes matches from the strings of a raw JSON value. The result does not share scratch
// memory.
func (r *redactor) value(raw []byte) []byte {
	if raw == nil || !r.on() {
		return raw
	}
	var p spot
	c := r.piece(raw, &p, true, 0)
	if !c.changed {
		return raw
	}
	return slices.Clone(c.text)
}

// head removes matches from the values that a scan found, because events repeat these outside of
// their line.
func (r *redactor) head(h *head) {
	if !r.on() {
		return
	}
	for _, value := range []*[]byte{&h.typ, &h.id, &h.expertKey, &h.timestamp, &h.jobID, &h.runID, &h.stepNumber, &h.usage, &h.err} {
		*value = r.value(*value)
	}
}

// spot is a position in a line, at the end of a piece.
type spot struct {
	Plain   bool   `json:"plain,omitempty"`   // from here on, the line is not JSON
	String  bool   `json:"string,omitempty"`  // inside a string
	Key     bool   `json:"key,omitempty"`     // this string, or the next one outside, is a key
	Swallow bool   `json:"swallow,omitempty"` // the rest of the string is left out
	Open    []byte `json:"open,omitempty"`    // the open containers: '{' or '[' each
}

// startOf returns the spot at the start of a line, which may be JSON.
func startOf(line []byte) spot {
	begin := bytes.TrimLeft(bytes.TrimPrefix(line, []byte(byteOrderMark)), jsonSpace)
	return spot{Plain: len(begin) == 0 || begin[0] != '{' && begin[0] != '['}
}

// piece removes matches from raw, a piece of a line that begins at p, and moves p. If final is set,
// the line ends with raw and piece uses all of it. Otherwise a match may continue after raw, so
// piece uses only what it can decide. It leaves over at most hold bytes, or the match that they are
// part of, and the next piece begins with these. If raw is much longer than hold, piece always uses
// some of it.
//
// If a match fills the whole piece, piece does not search for its end: it leaves out the rest of
// the string.
func (r *redactor) piece(raw []byte, p *spot, final bool, hold int) change {
	w := rewriter{r: r, raw: raw, p: p}
	i := 0
	if bytes.HasPrefix(raw, []byte(byteOrderMark)) && !p.String && !p.Plain {
		i = len(byteOrderMark)
	}
	for i < len(raw) {
		if !p.String && !p.Plain {
			i = p.structure(raw, i)
			continue
		}
		end, whole := len(raw), final
		if p.String {
			var closed bool
			end, closed = stringEnd(raw, i)
			whole = whole || closed
		}
		if !whole {
			i = w.begun(i, hold)
			break
		}
		w.text(i, end)
		if i = end; p.String && i < len(raw) {
			i++ // the quote
			p.String, p.Key, p.Swallow = false, false, false
		}
	}
	return w.end(i)
}

// structure skips everything outside of strings from i on. It returns the index after the quote
// that opens a string, or the index where the line stops being JSON.
func (p *spot) structure(raw []byte, i int) int {
	for ; i < len(raw); i++ {
		switch c := raw[i]; c {
		case '"':
			p.String = true
			return i + 1
		case '{', '[':
			if len(p.Open) == maxDepth {
				p.Plain = true
				return i
			}
			p.Open = append(p.Open, c)
			p.Key = c == '{'
		case '}', ']':
			p.Open = p.Open[:max(len(p.Open)-1, 0)]
			p.Key = false
		case ',':
			p.Key = len(p.Open) > 0 && p.Open[len(p.Open)-1] == '{'
		case ':':
			p.Key = false
		case ' ', '\t', '\r', '\n', '+', '-', '.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'E',
			't', 'r', 'u', 'e', 'f', 'a', 'l', 's', 'n': // numbers, true, false and null
		default:
			p.Plain = true
			return i
		}
	}
	return i
}

// stringEnd returns the end of the string whose text continues at raw[i]: the index of the closing
// quote, or the end of raw if the quote is not there.
func stringEnd(raw []byte, i int) (end int, closed bool) {
	for at := i; ; {
		n := bytes.IndexByte(raw[at:], '"')
		if n < 0 {
			return len(raw), false
		}
		at += n
		slashes := 0
		for at-1-slashes >= i && raw[at-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return at, true
		}
		at++
	}
}
