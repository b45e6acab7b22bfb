package event

// This file describes an event in words.

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Verb returns what happened, in a word or two.
func (ev *Event) Verb() string {
	switch ev.Kind {
	case Start:
		if ev.Status != "" && ev.Status != "init" {
			return "resumes"
		}
		return "starts"
	case Ask:
		return "asks model"
	case Delta, StreamStart, Thought:
		if strings.Contains(ev.Type, "Reasoning") {
			return "thinks"
		}
		return "says"
	case Said:
		return "says"
	case Call:
		return "calls"
	case Delegate:
		return "delegates"
	case Question:
		return "asks"
	case Resolved:
		return "result"
	case Step:
		return "step"
	case Retry:
		return "retries"
	case Answer:
		return "answers"
	case Stop:
		switch ev.Type {
		case "stopRunByDelegate":
			return "waits"
		case "stopRunByInteractiveTool":
			return "waits"
		}
		return "stops"
	case Failure:
		return "fails"
	case Runtime:
		return "runtime"
	case Text:
		return "text"
	}
	return "event"
}

// maxText bounds the result of Text in bytes. It is shown on one line.
const maxText = 2000

// Text describes what happened, without the verb. The text may contain any character, so the caller
// must escape it and fit it into a line. It is cut at about 2,000 bytes.
func (ev *Event) Text() string {
	switch ev.Kind {
	case Call, Delegate, Question:
		return ev.calls()
	case Resolved:
		return ev.results()
	case Failure:
		return cut(ev.Error.String())
	case Stop:
		switch ev.Type {
		case "stopRunByDelegate":
			return "for its delegates"
		case "stopRunByInteractiveTool":
			return "for a person's answer"
		}
		return "out of steps"
	case Delta:
		return cut(ev.Delta)
	case Runtime:
		return ev.runtime()
	case Start, Retry, Answer, Thought, Said, Text:
		return cut(ev.Body)
	}
	return cut(ev.Body)
}

func (ev *Event) runtime() string {
	switch {
	case ev.Type == "initializeRuntime":
		says := "Perstack " + ev.RuntimeVersion
		if ev.Model != "" {
			says += ", " + ev.Model
		}
		return cut(says)
	case ev.Skill != "":
		return cut(strings.TrimSpace(ev.Type + " " + ev.Skill + " " + ev.Body))
	}
	return cut(strings.TrimSpace(ev.Type + " " + ev.Body))
}

// String returns the error as name, status and message.
func (e *Error) String() string {
	if e == nil {
		return "an error that the event does not describe"
	}
	says := e.Name
	if e.StatusCode != 0 {
		says = strings.TrimSpace(fmt.Sprintf("%s (status %d)", says, e.StatusCode))
	}
	switch {
	case says == "" && e.Message == "":
		return "an unnamed error"
	case says == "":
		return e.Message
	case e.Message == "":
		return says
	}
	return says + ": " + e.Message
}

func (ev *Event) calls() string {
	var b strings.Builder
	for i := range ev.Tools {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(ev.Tools[i].String())
		if b.Len() > maxText {
			break
		}
	}
	return cut(b.String())
}

func (ev *Event) results() string {
	var b strings.Builder
	for i, r := range ev.Results {
		if i > 0 {
			b.WriteString(", ")
		}
		if r.Name != "" {
			b.WriteString(r.Name + " → ")
		}
		b.WriteString(cut(strings.TrimSpace(r.Text)))
		if b.Len() > maxText {
			break
		}
	}
	return cut(b.String())
}

// maxArg bounds each argument that Tool.String shows, in bytes.
const maxArg = 60

// String returns the call in short form: name(key: value, …).
func (t *Tool) String() string {
	name := t.Name
	if name == "" {
		name = t.Skill
	}
	return name + "(" + t.arguments() + ")"
}

// arguments returns the arguments in short form, in their original order.
func (t *Tool) arguments() string {
	d := json.NewDecoder(strings.NewReader(string(t.Args)))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return shorten(strings.TrimSpace(string(t.Args)), maxArg)
	}
	var b strings.Builder
	for d.More() && b.Len() < maxText {
		key, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			break
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%v: %s", key, inShort(value))
	}
	return b.String()
}

// inShort returns a JSON value in short form. A string keeps its quotes, but not its escapes.
func inShort(value json.RawMessage) string {
	var s string
	if json.Unmarshal(value, &s) == nil && value[0] == '"' {
		return `"` + shorten(s, maxArg) + `"`
	}
	return shorten(string(value), maxArg)
}

func cut(s string) string { return shorten(s, maxText) }

// shorten cuts s to at most n bytes at a character boundary, and marks the cut.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
