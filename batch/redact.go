package batch

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"slices"
)

// This file removes from a line what must not leave the machine, before anything is made of the
// line: matches in the texts of its JSON strings or, in a line that is not JSON, anywhere. Keys and
// structure stay, so the line remains the JSON that it was.

// placeholder replaces what was removed.
const placeholder = "[redacted]"

// redactor finds what is to be removed. Without patterns it changes nothing.
type redactor struct {
	patterns []*regexp.Regexp
	out      []byte // scratch: the line, and the text at hand
	decoded  []byte
	spans    [][2]int
	open     []byte // scratch: the containers of a line
	most     int    // how long a line may become; past that the rest of its texts is left out whole
}

func newRedactor(patterns []string, most int) (redactor, error) {
	r := redactor{most: most}
	for _, text := range patterns {
		p, err := regexp.Compile(text)
		if err != nil {
			return redactor{}, fmt.Errorf("%q is not a regular expression: %w", text, err)
		}
		r.patterns = append(r.patterns, p)
	}
	return r, nil
}

func (r *redactor) on() bool { return len(r.patterns) > 0 }

// find returns the matches in text: ascending, disjoint, and not empty. It looks for each pattern
// in all of text, because one match must not hide a part of another. The result is valid until the
// next call.
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

// replaced returns text without spans.
func replaced(text []byte, spans [][2]int) []byte {
	var out []byte
	from := 0
	for _, s := range spans {
		out = append(append(out, text[from:s[0]]...), placeholder...)
		from = s[1]
	}
	return append(out, text[from:]...)
}

// change is what became of a line, or of a piece of one.
type change struct {
	text    []byte
	used    int  // bytes of the line
	n       int  // matches that were removed
	changed bool // if it is not set, text is the line's own; if it is, text is scratch
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

// text removes matches from a line that is not a JSON object. It may still be a piece of one, so
// both its strings and all of it are searched.
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

// value removes matches from the strings of a raw JSON value. The result shares no memory with
// scratch.
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

// head removes matches from what a scan found and events repeat outside of their line.
func (r *redactor) head(h *head) {
	if !r.on() {
		return
	}
	for _, value := range []*[]byte{&h.typ, &h.id, &h.expertKey, &h.timestamp, &h.jobID, &h.runID, &h.stepNumber, &h.usage, &h.err} {
		*value = r.value(*value)
	}
}

// spot is where in a line one of its pieces ends.
type spot struct {
	Plain   bool   `json:"plain,omitempty"`   // the line is not JSON, at least from here on
	String  bool   `json:"string,omitempty"`  // in a string
	Key     bool   `json:"key,omitempty"`     // the string is a key; outside of strings: the next one is
	Swallow bool   `json:"swallow,omitempty"` // the rest of the string is left out
	Open    []byte `json:"open,omitempty"`    // the open containers: '{' or '[' each
}

// startOf returns the start of a line that may be JSON.
func startOf(line []byte) spot {
	begin := bytes.TrimLeft(bytes.TrimPrefix(line, []byte(byteOrderMark)), jsonSpace)
	return spot{Plain: len(begin) == 0 || begin[0] != '{' && begin[0] != '['}
}

// piece removes matches from raw, a piece of a line that begins at p. If final is set the line ends
// with raw and all of it is used. Otherwise piece uses as much as can be decided, because a match
// may continue after raw: at most hold bytes are left over, or the match that they are part of, and
// the next piece begins with these. If raw is much longer than hold, some of it is always used.
// piece moves p.
//
// A match that begins with the piece and does not end in it is not followed: the whole rest of its
// string is left out.
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

// structure moves over everything outside of strings from i on. It returns where that ends: after
// the quote that opens a string, or where the line stops being JSON.
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

// stringEnd returns where in raw the string ends whose text continues at i: the index of its quote,
// or the end of raw if the quote is not there.
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
