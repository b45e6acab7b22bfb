package shipper

// The last line of a followed file may have no newline, and its writer may be gone. When such a
// file has not grown for a while, the loop cuts the line, which means that it ships the line as it
// is. If the rest of the line comes later, the rest is a line of its own, and the logs command
// joins the two.
//
// A cut is written to the cursor before anything up to it is shipped. Otherwise a start after a
// crash could find that the line has grown, and ship other bytes under the same number.

import (
	"bytes"
	"slices"
	"time"
)

// halfLine is how long a file must not have grown before its last line is cut.
const halfLine = 30 * time.Second

// pollHalfLine is how often to try to cut a line that is due, while there is no memory for it.
const pollHalfLine = 50 * time.Millisecond

// lastLine is what the loop knows about the line at the end of a followed file.
type lastLine struct {
	cuts   []int64   // offsets, ascending, where lines end without a newline
	had    int64     // the input's size when it was taken in
	grewAt time.Time // when bytes beyond had were last read
}

// grew notes that bytes up to an offset were read for the first time.
func (l *lastLine) grew(to int64, now time.Time) {
	if to > l.had {
		l.grewAt = now
	}
}

// inHalfLine reports whether only the beginning of a line is left of a followed file.
func (in *input) inHalfLine() bool {
	return in.isFollowed() && !in.done && in.wait.state == notWaiting &&
		in.read.state == readable && in.read.shaping == nil && !in.ended() &&
		(in.read.window.offset < in.read.seen || in.shaper.InLine())
}

// cut ends the current line at an offset, and writes the cut to the cursor.
func (in *input) cut(offset int64) error {
	cuts := &in.read.last.cuts
	if slices.Contains(*cuts, offset) {
		return nil
	}
	*cuts = append(*cuts, offset)
	return in.persist(in.ack.offset, in.ack.state)
}

// cutHalfLine cuts the last line if the file has not grown for Options.HalfLine. It reports whether
// it did.
func (s *Shipper) cutHalfLine(in *input, now time.Time) bool {
	last := &in.read.last
	if !in.inHalfLine() || now.Sub(last.grewAt) < s.o.HalfLine {
		return false
	}
	if err := in.cut(in.read.seen); err != nil {
		last.cuts = last.cuts[:len(last.cuts)-1]
		last.grewAt = now // try again later
		s.complainOfCursor(in, err)
		return false
	}
	return true
}

// upToCut returns the window's bytes up to the first cut, and whether a cut ends them.
func (in *input) upToCut() (data []byte, isCut bool) {
	w := &in.read.window
	data = w.bytes()
	for _, cut := range in.read.last.cuts {
		if cut > w.offset && cut <= w.next() || cut == w.offset && in.shaper.InLine() {
			return data[:cut-w.offset], true
		}
	}
	return data, false
}

// endsInLine reports whether the window's bytes, which are the rest of a paused input, end in the
// middle of a line.
func (in *input) endsInLine() bool {
	data := in.read.window.bytes()
	return len(data) > 0 && !bytes.HasSuffix(data, []byte{'\n'}) || len(data) == 0 && in.shaper.InLine()
}
