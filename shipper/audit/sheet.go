package audit

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"perstack-shipper/shipper/quantity"
	"perstack-shipper/shipper/terminal"
)

// sheet is a table for a person or a spreadsheet.
type sheet struct {
	columns []column
	rows    [][]cell
	total   []cell // the last row of a table for a person, or nil
}

type column struct {
	title  string // in a table for a person
	name   string // in a spreadsheet
	right  bool   // align to the right, for numbers
	shrink bool   // cut values if the terminal is too narrow
}

// cell is one value of a sheet.
type cell interface {
	// show returns the value for a person.
	show() string
	// plain returns the value for a spreadsheet.
	plain() string
}

type (
	text   string // may come from an agent, so it is never trusted
	count  int64
	moment int64 // ms since 1970; 0 if unknown
	span   int64 // ms; negative if unknown
)

func (t text) show() string { return terminal.Escape(string(t)) }

// plain escapes the value so that a spreadsheet does not take an agent's text for a formula.
func (t text) plain() string {
	value := t.show()
	if value != "" && strings.IndexByte("=+-@", value[0]) >= 0 {
		return "'" + value
	}
	return value
}

func (c count) show() string { return quantity.Number(int64(c)) }

func (c count) plain() string { return strconv.FormatInt(int64(c), 10) }

func (m moment) show() string {
	if m == 0 {
		return "-"
	}
	return m.plain()
}

func (m moment) plain() string {
	if m == 0 {
		return ""
	}
	return time.UnixMilli(int64(m)).UTC().Format(time.DateTime)
}

func (s span) show() string {
	d := time.Duration(s) * time.Millisecond
	switch {
	case s < 0:
		return "-"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s"
	case d < time.Hour:
		return strings.TrimSuffix(d.Truncate(time.Second).String(), "0s")
	}
	return strings.TrimSuffix(d.Truncate(time.Minute).String(), "0s")
}

func (s span) plain() string {
	if s < 0 {
		return ""
	}
	return strconv.FormatFloat(float64(s)/1000, 'f', 3, 64)
}

// between returns the time from one moment to another. It is unknown if one of them is.
func between(from, to int64) span {
	if from == 0 || to < from {
		return -1
	}
	return span(to - from)
}

// writeJSON writes a value as a line of JSON with control characters escaped, so that it cannot
// control a terminal.
func writeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	if err := out.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(append(terminal.EscapeJSON(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), '\n'))
	return err
}

const (
	gap       = "  "
	leastCell = 8 // the least width of a column that shrinks
)

// write writes the sheet as a table with aligned columns that is at most width columns wide. 0
// means no limit.
func (s *sheet) write(w io.Writer, width int) error {
	lines := [][]string{make([]string, len(s.columns))}
	for i, c := range s.columns {
		lines[0][i] = c.title
	}
	for _, row := range s.rows {
		lines = append(lines, shown(row))
	}
	if s.total != nil {
		lines = append(lines, shown(s.total))
	}
	widths := s.widths(lines, width)
	var b strings.Builder
	for _, line := range lines {
		b.Reset()
		for i, value := range line {
			value = terminal.Fit(value, widths[i])
			padding := strings.Repeat(" ", widths[i]-terminal.Width(value))
			if s.columns[i].right {
				b.WriteString(padding + value)
			} else {
				b.WriteString(value + padding)
			}
			b.WriteString(gap)
		}
		if _, err := io.WriteString(w, strings.TrimRight(b.String(), " ")+"\n"); err != nil {
			return err
		}
	}
	return nil
}

func shown(row []cell) []string {
	line := make([]string, len(row))
	for i, c := range row {
		line[i] = c.show()
	}
	return line
}

// widths returns the widths of the columns. If a line would be wider than width, it narrows the
// columns that may shrink, always the widest one next.
func (s *sheet) widths(lines [][]string, width int) []int {
	widths := make([]int, len(s.columns))
	total := -len(gap)
	for i := range widths {
		for _, line := range lines {
			widths[i] = max(widths[i], terminal.Width(line[i]))
		}
		total += widths[i] + len(gap)
	}
	for ; width > 0 && total > width; total-- {
		widest := -1
		for i, c := range s.columns {
			if c.shrink && widths[i] > leastCell && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths
}

// byteOrderMark makes spreadsheets read a file as UTF-8.
const byteOrderMark = "\ufeff"

// writeCSV writes the sheet for a spreadsheet: UTF-8, times in UTC, durations in seconds.
func (s *sheet) writeCSV(w io.Writer) error {
	if _, err := io.WriteString(w, byteOrderMark); err != nil {
		return err
	}
	out := csv.NewWriter(w)
	out.UseCRLF = true
	record := make([]string, len(s.columns))
	for i, c := range s.columns {
		record[i] = c.name
	}
	if err := out.Write(record); err != nil {
		return err
	}
	for _, row := range s.rows {
		for i, c := range row {
			record[i] = c.plain()
		}
		if err := out.Write(record); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}
