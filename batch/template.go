package batch

import (
	"fmt"
	"strings"
)

// Template is the name of a log stream with fields in braces: "{jobId}/{runId}". Its zero value is not usable.
type Template struct {
	text  string
	parts []templatePart
	uses  [fields]bool
}

type templatePart struct {
	literal string
	field   field // where literal is ""
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

// ParseTemplate reads a template. The error names what is wrong with it and what may stand there.
func ParseTemplate(text string) (Template, error) {
	t := Template{text: text}
	for rest := text; rest != ""; {
		open := strings.IndexAny(rest, "{}")
		if open < 0 {
			t.parts = append(t.parts, templatePart{literal: rest})
			break
		}
		if open > 0 {
			t.parts = append(t.parts, templatePart{literal: rest[:open]})
		}
		length := strings.IndexByte(rest[open:], '}')
		if rest[open] != '{' || length < 0 {
			return Template{}, fmt.Errorf("%q has a brace without its other half", text)
		}
		name := rest[open+1 : open+length]
		f := field(0)
		for f < fields && fieldNames[f] != name {
			f++
		}
		if f == fields {
			return Template{}, fmt.Errorf("%q has the unknown field {%s}; the fields are {%s}", text, name, strings.Join(fieldNames[:], "} {"))
		}
		t.parts = append(t.parts, templatePart{field: f})
		t.uses[f] = true
		rest = rest[open+length+1:]
	}
	if len(t.parts) == 0 {
		return Template{}, fmt.Errorf("the template is empty; {jobId} gives a stream a job")
	}
	return t, nil
}

// String returns the template as it was written.
func (t Template) String() string { return t.text }

// name fills the fields in and makes a legal stream name of the result. A field without a value becomes "-".
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
