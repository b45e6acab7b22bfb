package proof

// This file prints a proof for people.

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"perstack-shipper/shipper/quantity"
	"perstack-shipper/shipper/terminal"
)

// PrintJob prints the proof of a job: a line for the job, one for each of its inputs, and the
// findings below.
func PrintJob(w io.Writer, j *Job) error {
	var b strings.Builder
	id := "job " + terminal.Escape(j.JobID)
	if j.JobID == "" {
		id = "no job"
	}
	fmt.Fprintf(&b, "%s  %s  %s\n", id, quantity.Count(int64(len(j.Inputs)), "input", "inputs"), j.Verdict)
	rows := [][]string{}
	for _, in := range j.Inputs {
		rows = append(rows, row(in))
	}
	for _, line := range table(rows) {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	for _, in := range j.Inputs {
		for _, why := range in.Why {
			fmt.Fprintf(&b, "  %s: %s\n", terminal.Escape(in.ID), terminal.Escape(why))
		}
		if n := len(in.Jobs); n > 1 {
			most := ""
			if n == maxJobs {
				most = "at least "
			}
			fmt.Fprintf(&b, "  %s: the input holds %s%d jobs\n", terminal.Escape(in.ID), most, n)
		}
	}
	for _, why := range j.Why {
		fmt.Fprintf(&b, "  %s\n", terminal.Escape(why))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// row returns the columns of an input.
func row(in *Input) []string {
	more := []string{string(in.Verdict)}
	if len(in.SHA256) >= 12 && in.Verdict == Complete {
		more = append(more, "sha256 "+in.SHA256)
	}
	if in.Excluded > 0 {
		more = append(more, quantity.Number(in.Excluded)+" left out")
	}
	if len(in.Rejected) > 0 {
		more = append(more, "refused: "+rangesText(in.Rejected))
	}
	if in.Repeats > 0 {
		more = append(more, quantity.Count(in.Repeats, "repeat", "repeats")+" dropped")
	}
	seqs := "no line"
	if in.LastSeq > 0 {
		seqs = "seq 1–" + quantity.Number(in.LastSeq)
	}
	return []string{
		terminal.Escape(in.ID), terminal.Fit(terminal.Escape(in.Source), 40),
		quantity.Count(in.Lines, "line", "lines"), quantity.Count(in.Bytes, "byte", "bytes"), seqs, strings.Join(more, "  "),
	}
}

// table aligns columns: text to the left, counts to the right.
func table(rows [][]string) []string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], terminal.Width(cell))
		}
	}
	var lines []string
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-terminal.Width(cell))
			switch right := i == 2 || i == 3; {
			case right:
				b.WriteString(pad + cell + "  ")
			case i == len(row)-1:
				b.WriteString(cell)
			default:
				b.WriteString(cell + pad + "  ")
			}
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return lines
}

// PrintVerdict prints the findings that concern no job, and a last line with the verdict on
// everything.
func PrintVerdict(w io.Writer, p *Result) error {
	var b strings.Builder
	for _, why := range p.Why {
		b.WriteString(terminal.Escape(why) + "\n")
	}
	var inputs, lines, missing, altered int64
	seen := []string{}
	for _, j := range p.Jobs {
		for _, in := range j.Inputs {
			if slices.Contains(seen, in.ID) {
				continue // an input that two of the jobs share
			}
			if len(in.Jobs) > 1 {
				seen = append(seen, in.ID)
			}
			inputs++
			lines += in.Lines
			for _, r := range in.Missing {
				missing += r[1] - r[0] + 1
			}
			altered += int64(len(in.Altered))
		}
	}
	switch of := quantity.Count(lines, "line", "lines"); {
	case p.Verdict == Complete:
		fmt.Fprintf(&b, "complete: %s of %s", of, quantity.Count(inputs, "input", "inputs"))
	case missing > 0:
		fmt.Fprintf(&b, "%s: %s of %s %s missing", p.Verdict, quantity.Number(missing), of, quantity.Plural(missing, "is", "are"))
	case altered > 0:
		fmt.Fprintf(&b, "%s: some of %s differ", p.Verdict, of)
	default:
		fmt.Fprintf(&b, "%s: see above", p.Verdict)
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}
