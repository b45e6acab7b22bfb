package audit

// This file lists the checkpoints of a job.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"perstack-shipper/shipper/readback"
	"perstack-shipper/shipper/terminal"
)

// Checkpoint is an entry in the list of a job's checkpoints.
type Checkpoint struct {
	ID, Run, Expert, Status string
	Step                    int64
	Time                    int64 // of the event that holds it, ms since 1970
	Tokens                  int64 // of the job up to this checkpoint, as Perstack counts them
	Size                    int64 // bytes
}

// Checkpoints lists the checkpoints of the job that q selects, in the order in which they were
// written. The error is that of [readback.Read].
func Checkpoints(ctx context.Context, src readback.Source, q readback.Query) ([]Checkpoint, error) {
	v := lister{index: map[string]int{}}
	_, err := readback.Read(ctx, src, q, &v)
	return v.list, err
}

// lister is the View that lists checkpoints.
type lister struct {
	readback.Ignore
	list  []Checkpoint
	index map[string]int
	line  bytes.Buffer
}

// Line implements readback.View.
func (v *lister) Line(l *readback.Line) error {
	line, err := l.All(&v.line)
	if err != nil {
		return err
	}
	e, ok := keptOf(line)
	if !ok || e.checkpoint == nil {
		return nil
	}
	var says struct {
		Status     string
		StepNumber json.Number
		Expert     struct{ Key string }
		Usage      struct{ TotalTokens json.Number }
	}
	_ = json.Unmarshal(e.checkpoint, &says) // members of the wrong type stay empty
	c := Checkpoint{ID: checkpointID(e.checkpoint), Run: e.run, Expert: says.Expert.Key, Status: says.Status, Time: l.Time, Size: int64(len(e.checkpoint))}
	c.Step, _ = says.StepNumber.Int64()
	c.Tokens, _ = says.Usage.TotalTokens.Int64()
	if at, again := v.index[c.ID]; again { // the last one wins, as on disk
		v.list[at] = c
		return nil
	}
	v.index[c.ID] = len(v.list)
	v.list = append(v.list, c)
	return nil
}

// WriteCheckpoints writes a list of checkpoints to w as a table.
func WriteCheckpoints(w io.Writer, list []Checkpoint) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "STEP\tEXPERT\tSTATUS\tTIME\tTOKENS\tSIZE\tRUN\tCHECKPOINT")
	for _, c := range list {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", c.Step, terminal.Escape(c.Expert), terminal.Escape(c.Status),
			time.UnixMilli(c.Time).UTC().Format(time.RFC3339), c.Tokens, c.Size, terminal.Escape(c.Run), terminal.Escape(c.ID))
	}
	return table.Flush()
}
