package pretty

import (
	"fmt"
	"strings"
	"time"

	"perstack-shipper/shipper/terminal"
)

// This file lays out a line and colours it.

// tone is what a line's colour says.
type tone int

const (
	normal tone = iota
	dim
	good
	wary
	bad
)

// The codes of a terminal that colour a text and go back. Those of Experts are the terminal's own
// sixteen, so that its theme decides how they look; red is for errors alone.
// https://www.ecma-international.org/publications-and-standards/standards/ecma-48/
var (
	toneCodes   = [...]string{normal: "", dim: "2", good: "1;32", wary: "33", bad: "1;31"}
	expertCodes = [...]string{"36", "35", "34", "33", "32", "96", "95", "94", "93", "92"}
)

// paint colours text that has no codes of its own.
func (v *View) paint(code, text string) string {
	if !v.o.Color || code == "" || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// print writes a line above what is live.
func (v *View) print(e *entry) error {
	if err := v.newDay(e.time); err != nil {
		return err
	}
	v.erase()
	_, err := v.out.WriteString(v.layout(e, false) + "\n")
	if err == nil {
		err = v.draw(false)
	}
	return err
}

// newDay writes the date where it is another than that of the line before.
func (v *View) newDay(ms int64) error {
	if ms <= 0 {
		return nil
	}
	day := time.UnixMilli(ms).In(v.o.Location).Format("Monday, 2 January 2006")
	if day == v.day {
		return nil
	}
	v.day = day
	v.erase()
	_, err := v.out.WriteString(v.paint("1", day) + "\n")
	return err
}

// layout is a line in its columns: time, Expert, step, what happened, tokens. Of a text that is too
// long the beginning is shown or, with end, the end.
func (v *View) layout(e *entry, end bool) string {
	at := "            "
	if e.time > 0 {
		at = time.UnixMilli(e.time).In(v.o.Location).Format("15:04:05.000")
	}
	expert := terminal.Fit(terminal.Escape(e.expert), maxColumn)
	v.column = max(v.column, terminal.Width(expert))
	expert += strings.Repeat(" ", v.column-terminal.Width(expert))
	step := "   "
	if e.step > 0 {
		step = fmt.Sprintf("%3d", e.step)
	}
	verb := fmt.Sprintf("%-10s", e.verb)
	used := len(at) + 2 + v.column + 1 + len(step) + 2 + len(verb) + 1
	text := terminal.Escape(strings.Join(strings.FieldsFunc(e.text, isSpace), " "))
	room := v.o.Width() - used - 1
	if e.tokens != "" {
		room -= len(e.tokens) + 2
	}
	room = max(room, 12)
	if end {
		text = terminal.FitEnd(text, room)
	} else {
		text = terminal.Fit(text, room)
	}

	code, verbCode, expertCode := toneCodes[e.tone], toneCodes[e.tone], v.expertCode(e.expert)
	switch {
	case e.unremarkable:
		code, verbCode, expertCode = "2", "2", "2;"+expertCode
	case e.tone == good || e.tone == wary:
		code = ""
	case e.tone == normal:
		verbCode = "1"
	}
	line := v.paint("2", at) + "  " + v.paint(expertCode, expert) + " " + v.paint("2", step) + "  " + v.paint(verbCode, verb) + " " + v.paint(code, text)
	if e.tokens != "" {
		line += "  " + v.paint("2", e.tokens)
	}
	return strings.TrimRight(line, " ")
}

func isSpace(r rune) bool { return r == ' ' || r == '\n' || r == '\r' || r == '\t' }

func (v *View) expertCode(expert string) string {
	if expert == "" || expert == "stderr" {
		return "2"
	}
	n, known := v.experts[expert]
	if !known {
		n = len(v.experts)
		if n < maxRemembered {
			v.experts[expert] = n
		}
	}
	return expertCodes[n%len(expertCodes)]
}
