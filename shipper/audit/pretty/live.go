package pretty

// This file shows streams. A delta is a piece of a model's text; the whole text follows at the end
// of the stream.

import (
	"slices"
	"strings"
	"time"
)

// stream identifies the stream of a delta.
type stream struct{ run, kind string }

// streamOf returns the kind of stream to which events of a type belong.
func streamOf(typ string) string {
	switch {
	case strings.Contains(typ, "Reasoning"):
		return "reasoning"
	case strings.Contains(typ, "RunResult"):
		return "result"
	}
	return "text"
}

// text is the text of a stream so far.
type text struct {
	entry
	of stream
}

const (
	maxStream  = 4 << 10 // how many bytes of a stream's text are kept, at its end
	maxStreams = 1000
	drawEvery  = 50 * time.Millisecond
)

// live is the last line on a terminal. It shows the stream that got the latest delta.
type live struct {
	streams map[stream]*text
	newest  *text
	shown   bool // the line is on the screen
	drawn   time.Time
}

// delta adds a delta to its stream.
func (v *View) delta(of stream, e *entry, piece string) error {
	t := v.live.streams[of]
	if t == nil {
		if len(v.live.streams) == maxStreams {
			clear(v.live.streams)
		}
		t = &text{entry: *e, of: of}
		v.live.streams[of] = t
	}
	t.text += piece
	if over := len(t.text) - 2*maxStream; over > 0 {
		t.text = strings.ToValidUTF8(t.text[len(t.text)-maxStream:], "")
	}
	v.live.newest = t
	return v.draw(false)
}

// endStreams prints the streams of a run whose whole text did not follow. With "" it does so for
// all runs.
func (v *View) endStreams(run string) error {
	var ended []*text
	for of, t := range v.live.streams {
		if run == "" || of.run == run {
			ended = append(ended, t)
		}
	}
	slices.SortFunc(ended, func(a, b *text) int { return int(a.time - b.time) })
	for _, t := range ended {
		delete(v.live.streams, t.of)
		if err := v.print(&t.entry); err != nil {
			return err
		}
	}
	return nil
}

// erase removes the live line from the screen.
func (v *View) erase() {
	if v.live.shown {
		v.live.shown = false
		v.out.WriteString("\r\x1b[K") // an error stays in the writer
	}
}

// draw redraws the live line, unless it was drawn less than drawEvery ago. With must it always
// draws.
func (v *View) draw(must bool) error {
	t := v.live.newest
	if !v.o.Live {
		return nil
	}
	if t == nil || v.live.streams[t.of] != t {
		v.live.newest = nil
		v.erase()
		return nil
	}
	now := v.o.Now()
	if !must && v.live.shown && now.Sub(v.live.drawn) < drawEvery {
		return nil
	}
	v.erase()
	v.live.shown, v.live.drawn = true, now
	if _, err := v.out.WriteString(v.layout(&t.entry, true)); err != nil {
		return err
	}
	return v.out.Flush()
}
