package readback

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// Lines prints the lines that q selects to w, each with its newline: one input after the other by
// the time of their first lines, and each input in the order of seq. If q has neither Run nor
// Types, it also prints empty lines, and it prints no newline after an input that ended without one
// unless another input follows. It leaves out lines of which a part is missing. The Report and the
// error are those of [Read].
func Lines(ctx context.Context, src Source, q Query, w io.Writer) (Report, error) {
	p := newPrinter(ctx, &q, w)
	report, err := Read(ctx, src, q, p)
	return p.finish(report, err)
}

// FollowLines is [Lines] for a job that is still running. It prints lines as [Follow] hands them
// over.
func FollowLines(ctx context.Context, src Source, q Query, f Following, w io.Writer) (Report, error) {
	p := newPrinter(ctx, &q, w)
	report, err := Follow(ctx, src, q, f, p)
	return p.finish(report, err)
}

func newPrinter(ctx context.Context, q *Query, w io.Writer) *printer {
	return &printer{ctx: ctx, out: bufio.NewWriterSize(w, 64<<10), whole: q.Run == "" && len(q.Types) == 0, seqs: map[*Input]int64{}}
}

// finish flushes the output and completes the report.
func (p *printer) finish(report Report, err error) (Report, error) {
	_, damaged := errors.AsType[*DamageError](err)
	if flushErr := p.out.Flush(); flushErr != nil && (err == nil || damaged) {
		err = fmt.Errorf("print lines: %w", flushErr)
	}
	report.EmptyLines, report.Bytes = p.emptyLines, p.bytes
	return report, err
}

// printer is the View that prints lines.
type printer struct {
	Ignore
	ctx   context.Context // of the call that it serves
	out   *bufio.Writer
	whole bool // the query selects whole inputs, so empty lines are printed
	owed  bool // the last printed line had no newline; the next line decides whether it gets one
	last  *Input
	seqs  map[*Input]int64 // seq of the last printed line

	emptyLines, bytes int64 // printed
}

// Line prints l, after the empty lines before it if whole inputs are read.
func (p *printer) Line(l *Line) error {
	// The last line had no newline because the input seemed to end there. It went on after all,
	// so this line, or the first empty line before it, is the rest of the same line.
	if p.last == l.Input && l.Seq == p.seqs[l.Input]+1 && (p.whole || l.Empty == 0) {
		p.owed = false
	}
	p.last, p.seqs[l.Input] = l.Input, l.Seq
	if err := p.newline(); err != nil {
		return err
	}
	if p.whole {
		if err := p.empty(l.Empty); err != nil {
			return err
		}
	}
	if _, err := l.WriteTo(p); err != nil {
		return err
	}
	if l.NoNewline {
		p.owed = true
		return nil
	}
	_, err := p.Write([]byte{'\n'})
	return err
}

// End prints the empty lines at the end of in if whole inputs are read.
func (p *printer) End(in *Input) error {
	if !p.whole || in.Trailing == 0 {
		return nil
	}
	p.owed = p.owed && (p.last != in || p.seqs[in] < in.LastSeq) // as in Line
	return p.empty(in.Trailing)
}

// Flush writes buffered output.
func (p *printer) Flush() error { return p.out.Flush() }

// newline prints the newline that is owed, if any.
func (p *printer) newline() error {
	if !p.owed {
		return nil
	}
	p.owed = false
	_, err := p.Write([]byte{'\n'})
	return err
}

var newlines = bytes.Repeat([]byte{'\n'}, 4096)

func (p *printer) empty(n int64) error {
	for n > 0 {
		if p.ctx.Err() != nil {
			return context.Cause(p.ctx)
		}
		some, err := p.Write(newlines[:min(n, int64(len(newlines)))])
		if err != nil {
			return err
		}
		p.emptyLines += int64(some)
		n -= int64(some)
	}
	return nil
}

// Write prints bytes and counts them.
func (p *printer) Write(b []byte) (int, error) {
	n, err := p.out.Write(b)
	p.bytes += int64(n)
	if err != nil {
		err = fmt.Errorf("print lines: %w", err)
	}
	return n, err
}
