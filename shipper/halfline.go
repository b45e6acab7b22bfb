package shipper

import (
	"bytes"
	"slices"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/journal"
)

// The last line of a followed file may have no newline, and its writer may be gone. When such a
// file has stood still for long enough, the line is cut: it is shipped as it is, and what comes of
// it later follows it as a line of its own, which logs joins to it.
//
// A cut stands in the cursor before anything is shipped up to it. A start after a crash would else
// read the line to an end that it has by then, and ship other bytes under the same number.

// halfLine is how long the last line must have stood still to be cut.
const halfLine = 30 * time.Second

// pollHalfLine is how often to try to cut one that is due, while there is no memory for it.
const pollHalfLine = 50 * time.Millisecond

// inHalfLine reports whether all that is left of a followed file is the beginning of a line.
func (in *input) inHalfLine() bool {
	return in.Journal.Kind() == journal.File && !in.done && !in.waiting && !in.again && !in.unread && in.shaping == nil && !in.ended() &&
		(in.window.offset < in.seen || in.shaper.InLine())
}

// cut ends the line at hand at an offset, and keeps that.
func (in *input) cut(offset int64) error {
	if slices.Contains(in.cuts, offset) {
		return nil
	}
	in.cuts = append(in.cuts, offset)
	return in.persist(in.acked, in.kept)
}

// cutHalfLine cuts the last line when it has stood still for long enough. It reports whether it
// did.
func (s *Shipper) cutHalfLine(in *input, now time.Time) bool {
	if !in.inHalfLine() || now.Sub(in.grewAt) < s.o.HalfLine {
		return false
	}
	if err := in.cut(in.seen); err != nil {
		in.cuts = in.cuts[:len(in.cuts)-1]
		in.grewAt = now // it is tried again
		s.complain("cursor "+in.Shape.Input, err)
		return false
	}
	return true
}

// upToCut is what is at hand, up to the first cut. It reports whether a cut is its end.
func (in *input) upToCut() (data []byte, isCut bool) {
	data = in.window.bytes()
	for _, cut := range in.cuts {
		if cut > in.window.offset && cut <= in.window.next() || cut == in.window.offset && in.shaper.InLine() {
			return data[:cut-in.window.offset], true
		}
	}
	return data, false
}

// endsInLine reports whether data, all that is left of an input that is paused, ends in the middle
// of a line.
func endsInLine(data []byte, shaper *batch.Shaper) bool {
	return len(data) > 0 && !bytes.HasSuffix(data, []byte{'\n'}) || len(data) == 0 && shaper.InLine()
}
