// Package pretty prints the events of a job for a person, one line per event: the time, the Expert,
// the step, what happened, and the tokens of each call of the model. The deltas of a stream become
// one line, which grows on a terminal as they arrive (live.go).
//
// An agent's text cannot control the terminal, because control characters are printed as \x1b.
package pretty

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/audit/event"
	"perstack-shipper/shipper/readback"
)

// Options describe the output.
type Options struct {
	Color bool
	// Width returns the number of columns. Longer lines are cut. nil means 400 columns, which suits
	// a file.
	Width func() int
	// Live shows streams while they arrive, in a last line that is redrawn. It needs a terminal.
	Live bool
	// Location is the time zone of the times. nil means the machine's.
	Location *time.Location
	// Now is the clock that limits how often the last line is redrawn. nil means time.Now.
	Now func() time.Time
}

// fileWidth is the width of lines if the output is not a terminal.
const fileWidth = 400

// View is a [readback.View] that prints lines. Flush writes buffered output. Close must be called
// at the end.
type View struct {
	readback.Ignore
	o   Options
	out *bufio.Writer

	markers map[*readback.Input]*batch.Marker
	experts map[string]int    // numbers Experts in order of appearance
	byRun   map[string]string // the Expert of each run
	column  int               // width of the column of Experts
	day     string            // of the last line
	large   bytes.Buffer      // a line that the reader does not hold
	live    live
}

// New returns a View that writes to w.
func New(w io.Writer, o Options) *View {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Location == nil {
		o.Location = time.Local
	}
	if o.Width == nil {
		o.Width = func() int { return fileWidth }
	}
	return &View{
		o: o, out: bufio.NewWriterSize(w, 64<<10), markers: map[*readback.Input]*batch.Marker{}, experts: map[string]int{},
		byRun: map[string]string{}, column: 12, live: live{streams: map[stream]*text{}},
	}
}

// Bounds on what is remembered, because an agent may use any number of names.
const (
	maxRemembered = 10_000
	maxColumn     = 20
)

// Line implements readback.View.
func (v *View) Line(l *readback.Line) error {
	line, err := l.All(&v.large)
	if err != nil {
		return err
	}
	if l.Source == "stderr" || l.Input.Source == "stderr" {
		return v.print(&entry{time: l.Time, expert: "stderr", verb: "", text: string(line), tone: dim})
	}
	ev := event.Decode(line)
	if ev.Kind == event.Text {
		return v.print(&entry{time: l.Time, verb: "text", text: string(line), tone: dim})
	}
	if ev.Time == 0 {
		ev.Time = l.Time
	}
	if ev.Run == "" {
		ev.Run = l.RunID
	}
	expert := v.expertOf(&ev)
	of := stream{ev.Run, streamOf(ev.Type)}
	switch ev.Kind {
	case event.StreamStart:
		return nil
	case event.Delta:
		return v.delta(of, &entry{time: ev.Time, expert: expert, step: ev.Step, verb: ev.Verb(), tone: dim}, ev.Delta)
	case event.Thought, event.Said:
		delete(v.live.streams, of)
	default:
		if err := v.endStreams(ev.Run); err != nil {
			return err
		}
	}
	e := entryOf(&ev, expert)
	marker := v.markers[l.Input]
	if marker == nil {
		marker = &batch.Marker{}
		v.markers[l.Input] = marker
	}
	if mark, ok := marker.Line(line, l.JobID, ev.Run, ev.Time); ok && mark.Call {
		e.tokens = tokens(&mark.Usage)
	}
	return v.print(e)
}

// Fault implements readback.View.
func (v *View) Fault(f *readback.Fault) error {
	return v.print(&entry{verb: "missing", text: f.String(), tone: bad})
}

// End implements readback.View.
func (v *View) End(in *readback.Input) error {
	delete(v.markers, in)
	return v.endStreams("")
}

// Flush writes buffered output and redraws the live line.
func (v *View) Flush() error {
	if err := v.draw(true); err != nil {
		return err
	}
	return v.out.Flush()
}

// Close prints the streams that did not end and writes buffered output.
func (v *View) Close() error {
	if err := v.endStreams(""); err != nil {
		return err
	}
	v.erase()
	return v.out.Flush()
}

// expertOf returns the Expert of an event, which may name only its run.
func (v *View) expertOf(ev *event.Event) string {
	expert := cmp.Or(ev.Expert, v.byRun[ev.Run], ev.ExpertName)
	if len(v.byRun) < maxRemembered {
		v.byRun[ev.Run] = expert
	}
	return expert
}

// entry is a printed line.
type entry struct {
	time         int64
	expert       string
	step         int64
	verb, text   string
	tone         tone
	tokens       string
	unremarkable bool // the whole line is dim
}

func entryOf(ev *event.Event, expert string) *entry {
	e := &entry{time: ev.Time, expert: expert, step: ev.Step, verb: ev.Verb(), text: ev.Text()}
	switch ev.Kind {
	case event.Failure:
		e.tone = bad
	case event.Retry:
		e.tone = wary
	case event.Stop:
		e.tone = wary
		if ev.Type == "stopRunByDelegate" {
			e.tone = dim
		}
	case event.Question:
		e.tone = wary
	case event.Answer:
		e.tone = good
		e.text, _, _ = strings.Cut(strings.TrimSpace(ev.Body), "\n") // the first line
		if e.text != strings.TrimSpace(ev.Body) {
			e.text += " …"
		}
	case event.Resolved:
		e.tone = dim
		for _, r := range ev.Results {
			if r.Failed {
				e.tone = bad
			}
		}
	case event.Thought, event.Said:
		e.tone = dim
	case event.Runtime, event.Ask, event.Step, event.Other:
		e.unremarkable = true
		if e.text == "" && ev.Kind != event.Ask {
			e.text = ev.Type
		}
	}
	return e
}

// tokens returns the usage of a call in short form.
func tokens(u *batch.Usage) string {
	says := fmt.Sprintf("%d in", u.InputTokens)
	if u.CachedInputTokens > 0 {
		says += fmt.Sprintf(" (%d cached)", u.CachedInputTokens)
	}
	return says + fmt.Sprintf(", %d out", u.OutputTokens)
}
