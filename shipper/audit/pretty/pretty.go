// Package pretty shows the lines of a job to a person, a line an event: when, which Expert, at
// which step, what happened, and the tokens at the end of each call of the model. The deltas of a
// stream become one line, which grows on a terminal while they come (live.go).
//
// What an agent wrote is shown and never obeyed: a control character becomes \x1b.
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

// Options say what is written to.
type Options struct {
	Color bool
	// Width is asked how many columns there are; a line that is longer is cut. nil: as with a file,
	// where lines are cut at 400 columns.
	Width func() int
	// Live shows streams as they come, in a last line that is written anew. It is for terminals.
	Live bool
	// Location is that of the times. nil: the machine's.
	Location *time.Location
	// Now is the clock that paces what is live. nil: time.Now.
	Now func() time.Time
}

// fileWidth cuts lines where there is no terminal.
const fileWidth = 400

// View is a readback.View that shows lines. Flush writes what it holds, and Close is for its end.
type View struct {
	readback.Ignore
	o   Options
	out *bufio.Writer

	markers map[*readback.Input]*batch.Marker
	experts map[string]int // in order of appearance; runs of events without an Expert have theirs
	byRun   map[string]string
	column  int    // the width of the Experts
	day     string // of the last line
	large   bytes.Buffer
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

// bounds on what is remembered of what an agent may name without end.
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

// Flush writes what is held.
func (v *View) Flush() error {
	if err := v.draw(true); err != nil {
		return err
	}
	return v.out.Flush()
}

// Close shows what came of streams that did not end, and writes what is held.
func (v *View) Close() error {
	if err := v.endStreams(""); err != nil {
		return err
	}
	v.erase()
	return v.out.Flush()
}

// expertOf returns an event's Expert. Some events name only their run.
func (v *View) expertOf(ev *event.Event) string {
	expert := cmp.Or(ev.Expert, v.byRun[ev.Run], ev.ExpertName)
	if len(v.byRun) < maxRemembered {
		v.byRun[ev.Run] = expert
	}
	return expert
}

// entry is a line as it is shown.
type entry struct {
	time         int64
	expert       string
	step         int64
	verb, text   string
	tone         tone
	tokens       string
	unremarkable bool // it is shown dim, all of it
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

// tokens writes a call's usage in short.
func tokens(u *batch.Usage) string {
	says := fmt.Sprintf("%d in", u.InputTokens)
	if u.CachedInputTokens > 0 {
		says += fmt.Sprintf(" (%d cached)", u.CachedInputTokens)
	}
	return says + fmt.Sprintf(", %d out", u.OutputTokens)
}
