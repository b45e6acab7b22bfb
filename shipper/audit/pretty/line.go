package pretty

// This file formats and colours a line.

import (
	"fmt"
	"strings"
	"time"

	"perstack-shipper/shipper/terminal"
)

// tone selects the colour of a line.
type tone int

const (
	normal tone = iota
	dim
	good
	wary
	bad
)

// Terminal codes for colours. Experts get some of the terminal's own sixteen colours, so that its
// theme decides how they look. Red is reserved for errors.
// https://www.ecma-international.org/publications-and-standards/standards/ecma-48/
var (
	toneCodes   = [...]string{normal: "", dim: "2", good: "1;32", wary: "33", bad: "1;31"}
	expertCodes = [...]string{"36", "35", "34", "33", "32", "96", "95", "94", "93", "92"}
)

// paint colours text, which must not contain codes itself.
func (v *View) paint(code, text string) string {
	if !v.o.Color || code == "" || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// print prints a line above the live line.
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

// newDay prints the date if it differs from that of the previous line.
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

// layout returns a line in columns: time, Expert, step, what happened, tokens. It cuts text that is
// too long, keeping its beginning or, with end, its end.
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
