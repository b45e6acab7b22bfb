package readback

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
)

// walker hands the collected inputs to a View, one at a time.
type walker struct {
	c      *collected
	view   View
	damage DamageError

	// The current input.
	in   *Input
	lead int64 // the first of the lines just before in.firstSeq that name no job but belong to it
	position
	known known // why lines may be missing

	// hold makes a walk stop with errHeld at a missing line or part instead of skipping it. before
	// is the position in front of the current line.
	hold   bool
	before position

	details details // of the current item
	scratch []byte
	line    Line
	joint   joint
}

// position is how far an input has been handed over.
type position struct {
	seq     int64 // the last line of the job
	seen    int64 // the last line of any job
	given   int64 // the last line that was handed over
	gapless bool  // no line of the job was missing so far, so the count of empty lines is exact
	empty   int64 // number of empty lines
}

// errHeld ends a walk at a line that may still become readable.
var errHeld = errors.New("a missing line may still become readable")

// joint collects the parts of the current line until it is whole.
type joint struct {
	seq    int64 // 0 if the current line is not in parts
	next   int32 // the next part
	closed bool  // the line was handed over or given up
	line   Line  // what the first part says about the line
	file   *tempFile
	filed  int64 // bytes in file
	held   bytes.Buffer

	redacted int64 // in the parts so far
}

// start begins the line seq. With 0 there is no line.
func (j *joint) start(seq int64) {
	if j.file != nil {
		j.file.Close()
	}
	j.seq, j.next, j.closed, j.redacted = seq, 1, false, 0
	j.file, j.filed = nil, 0
	j.held.Reset()
}

// open reports whether some parts of the line were read, but not all.
func (j *joint) open() bool { return j.seq != 0 && !j.closed }

// walk hands everything that was collected to view.
func (c *collected) walk(ctx context.Context, view View) error {
	w := walker{c: c, view: view}
	err := w.inputs(ctx)
	w.joint.start(0)
	c.report.Repeats = 0
	for _, n := range c.store.repeats {
		c.report.Repeats += n
	}
	if err != nil {
		return err
	}
	if w.damage.Total > 0 {
		return &w.damage
	}
	return nil
}

// whole reports whether a walk would find no fault.
func (c *collected) whole(ctx context.Context) (bool, error) {
	before, repeats := c.report, slices.Clone(c.store.repeats)
	err := c.walk(ctx, Ignore{})
	c.report, c.store.repeats = before, repeats // the next walk counts everything again
	if _, damaged := errors.AsType[*DamageError](err); damaged {
		return false, nil
	}
	return err == nil, err
}

func (w *walker) inputs(ctx context.Context) error {
	var order []int32
	for i, in := range w.c.inputs {
		if in.ours() {
			order = append(order, int32(i))
		}
	}
	slices.SortFunc(order, func(i, j int32) int {
		a, b := w.c.inputs[i], w.c.inputs[j]
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.ID, b.ID))
	})
	for _, i := range order {
		if err := w.input(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) input(ctx context.Context, i int32) error {
	before := w.c.report.Lines
	w.in, w.position = w.c.inputs[i], position{gapless: true}
	w.known = newKnown(w.in.Seal)
	w.joint.start(0)
	if err := w.view.Input(w.in); err != nil {
		return err
	}
	if err := w.findLead(ctx, i); err != nil {
		return err
	}
	if err := w.c.store.each(ctx, i, w.item); err != nil {
		return err
	}
	if err := w.endParts(); err != nil {
		return err
	}
	if seal := w.in.Seal; seal != nil {
		if err := w.gap(seal.LastSeq+1, seal.ExcludedSince); err != nil {
			return err
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(w.c.store.differs), key.compare) {
		if k.input != i {
			continue
		}
		if err := w.fault(Fault{w.in.ID, k.seq, k.seq, int(k.part), true}); err != nil {
			return err
		}
	}
	w.in.LastSeq, w.in.Trailing, w.in.Repeats = w.seq, 0, 0
	if int(i) < len(w.c.store.repeats) {
		w.in.Repeats = w.c.store.repeats[i]
	}
	// Only the seal counts empty lines after the last line. Its count applies only if no line
	// that it covers is missing here.
	if seal := w.in.Seal; seal != nil && w.gapless && seal.LastSeq <= w.known.skip(w.seq) {
		w.in.Trailing = max(0, w.in.emptyLines-w.empty)
	}
	if w.c.report.Lines > before {
		w.c.report.Inputs++
	}
	return w.view.End(w.in)
}

// ours reports whether a line that names no job belongs to the query's job. It belongs to the job
// that the input named last before it, or to the input's first job if no line before it names one.
func (w *walker) ours(seq int64) bool {
	switch {
	case w.c.q.Whole:
		return true
	case seq < w.in.firstSeq:
		return seq >= w.lead
	}
	return seq <= w.known.skip(w.seq)+1
}

// findLead sets w.lead for an input.
func (w *walker) findLead(ctx context.Context, input int32) error {
	w.lead = w.in.firstSeq
	if !w.in.nameless {
		return nil
	}
	// The walk proper counts the repeats again.
	defer func(n []int64) { w.c.store.repeats = n }(slices.Clone(w.c.store.repeats))
	var from, last int64 // the current stretch of consecutive lines
	err := w.c.store.each(ctx, input, func(c *itemReader) error {
		seq := c.head.seq
		if seq == 0 {
			return nil // a record
		}
		if c.head.other {
			from = 0
			return nil
		}
		if from == 0 || seq > w.known.skip(last)+1 {
			from = seq // the line before it is missing or belongs to another job
		}
		if last = seq; seq < w.in.firstSeq {
			return nil
		}
		w.lead = from
		return errLead
	})
	if err != errLead {
		return err
	}
	return nil
}

// errLead ends the walk of findLead.
var errLead = errors.New("the first line that names the job was reached")

// item hands over a line or a record, or collects a part of a line.
func (w *walker) item(c *itemReader) error {
	it := &c.head
	if it.seq == 0 {
		return w.record(c)
	}
	if it.part > 0 && it.seq == w.given {
		return nil // the line was also stored in one piece
	}
	if it.seq != w.seen {
		if err := w.endParts(); err != nil {
			return err
		}
		if w.hold && w.lacks(it.seq-1-it.excluded) {
			return errHeld
		}
		if err := w.gap(it.seq, it.excluded); err != nil {
			return err
		}
		w.before = w.position
		w.seen = it.seq
	}
	if !w.c.q.Whole && (it.other || it.nameless && !w.ours(it.seq)) {
		return nil
	}
	if it.seq != w.seq {
		w.gapless = w.gapless && it.seq-it.excluded <= w.known.skip(w.seq)+1
		w.seq = it.seq
		w.empty += it.empty
	}
	if it.muted {
		return nil
	}
	details, line, err := c.body(&w.scratch)
	if err != nil {
		return err
	}
	w.details.read(details)
	if it.part > 0 {
		return w.part(it, line)
	}
	w.describe(&w.line, it)
	w.line.Size, w.line.held = int64(len(line)), line
	return w.give(&w.line)
}

// describe fills in l from an item and its details.
func (w *walker) describe(l *Line, it *item) {
	d := &w.details
	*l = Line{
		Input: w.in, Seq: it.seq, Empty: it.empty, Time: d.time, Arrived: d.arrived, Stream: w.c.report.Streams[d.stream],
		Type: d.typ, JobID: d.jobID, RunID: d.runID, Source: d.source,
		Text: it.text, Lossy: it.lossy, NoNewline: it.noNewline, Excluded: it.excluded, Redacted: d.redacted,
	}
}

func (w *walker) record(c *itemReader) error {
	details, message, err := c.body(&w.scratch)
	if err != nil {
		return err
	}
	d := &w.details
	d.read(details)
	return w.view.Record(&Record{
		Input: w.in, Kind: d.record, Stream: w.c.report.Streams[d.stream], Time: d.time, Arrived: d.arrived, Message: message,
	})
}

func (w *walker) give(l *Line) error {
	w.given = l.Seq
	w.c.report.Lines++
	return w.view.Line(l)
}

// part collects a part of a line, and hands over the line after its last part.
func (w *walker) part(it *item, data []byte) error {
	j := &w.joint
	if j.seq != it.seq {
		j.start(it.seq)
	}
	if it.part != j.next {
		return w.endParts()
	}
	if it.part == 1 {
		w.describe(&j.line, it)
	}
	j.next++
	j.redacted += w.details.redacted
	j.held.Write(data)
	if !it.last {
		if j.held.Len() < w.c.store.memory {
			return nil
		}
		return w.file()
	}

	j.closed = true
	l := &j.line
	l.Parts = int(it.part)
	l.Lossy, l.NoNewline, l.Redacted = l.Lossy || it.lossy, it.noNewline, j.redacted
	l.file, l.filed, l.held = j.file, j.filed, j.held.Bytes()
	l.Size = j.filed + int64(j.held.Len())
	w.c.report.Joined++
	return w.give(l)
}

// file moves the parts held in memory to disk.
func (w *walker) file() (err error) {
	j := &w.joint
	if j.file == nil {
		if j.file, err = w.c.store.temp(); err != nil {
			return err
		}
	}
	n, err := j.file.Write(j.held.Bytes())
	if err != nil {
		return err
	}
	j.filed += int64(n)
	j.held.Reset()
	return nil
}

// endParts gives up the current line if some of its parts are missing. It is called when no more
// parts follow, or only parts behind a missing one.
func (w *walker) endParts() error {
	j := &w.joint
	if !j.open() {
		return nil
	}
	if w.hold {
		return errHeld
	}
	j.closed = true
	w.gapless = false // part 1 may be missing, which says how many empty lines are before the line
	return w.fault(Fault{w.in.ID, j.seq, j.seq, int(j.next), false})
}

// gap looks for missing lines between the last line that was read and next. The event of next says
// how many lines directly before it were excluded, so those are not missing even if the seal had no
// room to list them. Any other line that the seal counts, and gives no reason for, is a fault,
// provided that every stream that could hold it was read.
func (w *walker) gap(next, excluded int64) error {
	seal := w.in.Seal
	if !w.in.Proved {
		return nil
	}
	from, to := w.seen+1, min(next-1-excluded, seal.LastSeq)
	for from <= to {
		reason, until := w.known.at(from)
		until = min(until, to)
		switch reason {
		case rejected:
			w.c.report.Rejected += until - from + 1
		case missing:
			w.c.report.Missing += until - from + 1
			if err := w.fault(Fault{w.in.ID, from, until, 0, false}); err != nil {
				return err
			}
		}
		from = until + 1
	}
	return nil
}

// lacks reports whether some line after the last one that was read, up to last, is missing for no
// known reason.
func (w *walker) lacks(last int64) bool {
	for from := w.seen + 1; from <= last; {
		why, until := w.known.at(from)
		if why == missing {
			return true
		}
		from = until + 1
	}
	return false
}

func (w *walker) fault(f Fault) error {
	w.damage.Total++
	if len(w.damage.Faults) < maxFaults {
		w.damage.Faults = append(w.damage.Faults, f)
	}
	return w.view.Fault(&f)
}
