package readback

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// This file prints what was collected.

// maxFaults bounds how many of the damaged lines are named.
const maxFaults = 100

// DamageError says which lines CloudWatch does not hold as they were. New events may take seconds to become readable, so a part may be
// there when the job is read again.
type DamageError struct {
	Faults []Fault // the first 100
	Total  int64
}

// Fault is a part that is missing or, where Differs, a line (Part 0) or part that is there twice with different bytes. Of these the one
// that was read first was printed; a line with a part missing was not.
type Fault struct {
	Input   string
	Seq     int64
	Part    int
	Differs bool
}

func (e *DamageError) Error() string {
	f, more := e.Faults[0], ""
	if e.Total > 1 {
		more = fmt.Sprintf(" (and %d more)", e.Total-1)
	}
	what := fmt.Sprintf("input %s, line %d", f.Input, f.Seq)
	switch {
	case f.Differs && f.Part == 0:
		return what + " is there twice with different bytes" + more + "; the first was printed"
	case f.Differs:
		return fmt.Sprintf("%s: part %d is there twice with different bytes%s; the first was printed", what, f.Part, more)
	}
	return fmt.Sprintf("%s: part %d is missing%s; the line was left out; new events may take seconds to become readable, so read again", what, f.Part, more)
}

// printer prints inputs, one after the other.
type printer struct {
	c      *collected
	out    *bufio.Writer
	whole  bool // all of each input is asked for: empty lines count
	damage DamageError
	owed   bool // the last line printed had no newline; what follows decides whether it gets one

	// The input at hand.
	in      *input
	lead    int64 // where the lines begin that name no job and are the job's, for the line behind them names it
	seq     int64 // of the last line that was there
	printed int64 // seq of the last line that was printed
	gapless bool  // no line was missing yet
	empty   int64 // lines seen

	joint joint
}

// joint is the line in parts at hand. Its parts are held until it is whole.
type joint struct {
	seq    int64 // 0: there is none
	next   int32 // the part that is due
	closed bool  // it is printed, or given up
	empty  int64
	file   *tempFile // the parts that were too much to hold, or nil
	filed  int64     // their bytes
	held   bytes.Buffer
}

// start makes j the line seq; 0 is none.
func (j *joint) start(seq, empty int64) {
	if j.file != nil {
		j.file.Close()
	}
	j.seq, j.next, j.closed, j.empty = seq, 1, false, empty
	j.file, j.filed = nil, 0
	j.held.Reset()
}

// print prints the lines that were collected to w.
func (c *collected) print(ctx context.Context, w io.Writer) error {
	var order []int32
	for i, in := range c.inputs {
		if in.named {
			order = append(order, int32(i))
		}
	}
	slices.SortFunc(order, func(i, j int32) int {
		a, b := c.inputs[i], c.inputs[j]
		return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.id, b.id))
	})

	p := printer{c: c, out: bufio.NewWriterSize(w, 64<<10), whole: c.q.Run == "" && c.q.Type == ""}
	err := p.inputs(ctx, order)
	if flushErr := p.out.Flush(); err == nil {
		err = flushErr
	}
	p.joint.start(0, 0)
	c.report.Repeats = c.store.repeats
	if err != nil {
		return fmt.Errorf("print lines: %w", err)
	}
	for _, k := range slices.SortedFunc(maps.Keys(c.store.differs), key.compare) {
		p.fault(Fault{c.inputs[k.input].id, k.seq, int(k.part), true})
	}
	if p.damage.Total > 0 {
		return &p.damage
	}
	return nil
}

func (p *printer) inputs(ctx context.Context, order []int32) error {
	for _, i := range order {
		before := p.c.report.Lines
		p.in, p.seq, p.printed, p.gapless, p.empty = p.c.inputs[i], 0, 0, true, 0
		p.joint.start(0, 0)
		if err := p.findLead(ctx, i); err != nil {
			return err
		}
		if err := p.c.store.each(ctx, i, func(c *cursor) error { return p.item(ctx, c) }); err != nil {
			return err
		}
		p.endParts()
		// Empty lines behind the last line are only in the seal, and meant only if that is of what was seen here.
		if p.whole && p.in.sealed && p.gapless && p.in.lastSeq <= p.seq && p.in.emptyLines > p.empty {
			p.owed = p.owed && p.printed < p.seq // as in begin
			if err := p.emptyLines(ctx, p.in.emptyLines-p.empty); err != nil {
				return err
			}
		}
		if p.c.report.Lines > before {
			p.c.report.Inputs++
		}
	}
	return nil
}

// ours reports whether a line that names no job itself is the job's: it is of the job that its input named last, or, before there was one,
// first.
func (p *printer) ours(seq int64) bool {
	if seq < p.in.firstSeq {
		return seq >= p.lead
	}
	return seq <= p.seq+1
}

// findLead finds p.lead of an input.
func (p *printer) findLead(ctx context.Context, input int32) error {
	p.lead = p.in.firstSeq
	if !p.in.nameless {
		return nil
	}
	defer func(n int64) { p.c.store.repeats = n }(p.c.store.repeats) // they will be met again
	var from, last int64                                             // of the lines that follow on each other
	err := p.c.store.each(ctx, input, func(c *cursor) error {
		seq := c.head.seq
		if from == 0 || seq > last+1 {
			from = seq // before it a line is missing, or another job's
		}
		if last = seq; seq < p.in.firstSeq {
			return nil
		}
		p.lead = from
		return errLead
	})
	if err != errLead {
		return err
	}
	return nil
}

// errLead ends a walk that has seen enough.
var errLead = errors.New("the first line that names the job is reached")

// item prints a line, or takes a part of one.
func (p *printer) item(ctx context.Context, c *cursor) error {
	it := &c.head
	if it.nameless && !p.ours(it.seq) {
		return nil
	}
	if it.part > 0 && it.seq == p.printed {
		return nil // the line is there as a whole, too
	}
	if it.seq != p.seq {
		p.endParts()
		p.gapless = p.gapless && it.seq == p.seq+1
		p.seq = it.seq
		p.empty += it.empty
	}
	if it.muted {
		return nil
	}
	if it.part == 0 {
		if err := p.begin(ctx, it.seq, it.empty); err != nil {
			return err
		}
		if err := c.copy(p); err != nil {
			return err
		}
		return p.end(it.noNewline)
	}
	return p.part(ctx, c)
}

func (p *printer) part(ctx context.Context, c *cursor) error {
	it, j := &c.head, &p.joint
	if j.seq != it.seq {
		j.start(it.seq, it.empty)
	}
	if it.part != j.next {
		p.endParts()
		return nil
	}
	j.next++
	if err := c.copy(&j.held); err != nil {
		return err
	}
	if !it.last {
		if j.held.Len() < p.c.store.memory {
			return nil
		}
		return p.file()
	}

	j.closed = true
	if err := p.begin(ctx, it.seq, j.empty); err != nil {
		return err
	}
	if j.file != nil {
		if _, err := io.Copy(p, io.NewSectionReader(j.file, 0, j.filed)); err != nil {
			return err
		}
	}
	if _, err := p.Write(j.held.Bytes()); err != nil {
		return err
	}
	p.c.report.Joined++
	return p.end(it.noNewline)
}

// file moves the parts that are held to disk.
func (p *printer) file() (err error) {
	j := &p.joint
	if j.file == nil {
		if j.file, err = p.c.store.temp(); err != nil {
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

// endParts is called when no more parts of the line at hand come, or none that help.
func (p *printer) endParts() {
	if j := &p.joint; j.seq != 0 && !j.closed {
		j.closed = true
		p.gapless = false // of the empty lines before it nothing is known where part 1 is what is missing
		p.fault(Fault{p.in.id, j.seq, int(j.next), false})
	}
}

func (p *printer) fault(f Fault) {
	p.damage.Total++
	if len(p.damage.Faults) < maxFaults {
		p.damage.Faults = append(p.damage.Faults, f)
	}
}

// begin prints what comes before a line.
func (p *printer) begin(ctx context.Context, seq, empty int64) error {
	// An input that went on after all, where it had ended without newline, went on in the same line: what it lacked is this line's
	// beginning, or the first of its empty lines.
	if p.printed > 0 && seq == p.printed+1 && (p.whole || empty == 0) {
		p.owed = false
	}
	p.printed = seq
	if err := p.newline(); err != nil || !p.whole {
		return err
	}
	return p.emptyLines(ctx, empty)
}

// end prints what comes after a line.
func (p *printer) end(noNewline bool) error {
	p.c.report.Lines++
	if noNewline {
		p.owed = true
		return nil
	}
	_, err := p.Write([]byte{'\n'})
	return err
}

// newline prints the newline that the line before did not have.
func (p *printer) newline() error {
	if !p.owed {
		return nil
	}
	p.owed = false
	_, err := p.Write([]byte{'\n'})
	return err
}

var newlines = bytes.Repeat([]byte{'\n'}, 4096)

func (p *printer) emptyLines(ctx context.Context, n int64) error {
	for n > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		some, err := p.Write(newlines[:min(n, int64(len(newlines)))])
		if err != nil {
			return err
		}
		p.c.report.EmptyLines += int64(some)
		n -= int64(some)
	}
	return nil
}

// Write prints bytes, and counts them.
func (p *printer) Write(b []byte) (int, error) {
	n, err := p.out.Write(b)
	p.c.report.Bytes += int64(n)
	return n, err
}
