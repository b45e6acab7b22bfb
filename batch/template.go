package batch

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Template is the name of a log stream with fields in braces: "{jobId}/{runId}". Its zero value is
// not usable; see [ParseTemplate].
type Template struct {
	parts []templatePart
	uses  [fields]bool
}

type templatePart struct {
	literal string
	field   field // if literal is ""
}

type field int

const (
	fieldJob field = iota
	fieldRun
	fieldExpert
	fieldHost
	fields
)

var fieldNames = [fields]string{"jobId", "runId", "expertKey", "hostname"}

// ParseTemplate parses a template. Its error continues a sentence that begins with the name of the
// option, and says what to write instead.
func ParseTemplate(text string) (Template, error) {
	switch {
	case text == "":
		return Template{}, errors.New("is empty: use {jobId}, or a name")
	case !utf8.ValidString(text) || len(text) > MaxStreamNameBytes:
		return Template{}, fmt.Errorf("must be UTF-8 text of at most %d bytes", MaxStreamNameBytes)
	}
	var t Template
	for rest := text; rest != ""; {
		open := strings.IndexAny(rest, "{}")
		if open < 0 {
			t.parts = append(t.parts, templatePart{literal: rest})
			break
		}
		if open > 0 {
			t.parts = append(t.parts, templatePart{literal: rest[:open]})
		}
		name, after, closed := strings.Cut(rest[open+1:], "}")
		if rest[open] == '}' || !closed {
			return Template{}, fmt.Errorf("%q has an unmatched brace: write fields like {jobId}", text)
		}
		f := field(slices.Index(fieldNames[:], name))
		if f < 0 {
			return Template{}, fmt.Errorf("has an unknown field {%s}: use {%s}", name, strings.Join(fieldNames[:], "}, {"))
		}
		t.parts = append(t.parts, templatePart{field: f})
		t.uses[f] = true
		rest = after
	}
	return t, nil
}

// Fixed returns the fixed pieces of the stream names that t gives to a job and a run. Either may be
// "", which stands for any. Between two pieces there is an unknown field, so a single piece is the
// whole name. The pieces have not gone through [StreamName] yet. named reports whether they contain
// a given id.
func (t Template) Fixed(job, run string) (pieces []string, named bool) {
	pieces = []string{""}
	known := [fields]string{fieldJob: job, fieldRun: run}
	for _, p := range t.parts {
		text := p.literal
		if text == "" {
			if text = known[p.field]; text == "" {
				pieces = append(pieces, "")
				continue
			}
			named = true
		}
		pieces[len(pieces)-1] += text
	}
	return pieces, named
}

// name fills in the fields and makes the result a legal stream name. A field without a value
// becomes "-".
func (t Template) name(values *[fields]string) string {
	var b strings.Builder
	for _, p := range t.parts {
		switch {
		case p.literal != "":
			b.WriteString(p.literal)
		case values[p.field] == "":
			b.WriteByte('-')
		default:
			b.WriteString(values[p.field])
		}
	}
	return StreamName(b.String())
}
