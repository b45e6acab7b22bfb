package shipper

import (
	"fmt"

	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/logfield"
)

// A command may truncate the file that is its stdout, and what it writes from then on is shipped as
// the same input or as another one. The numbers of those lines are what tells readers whether they
// were shipped before, so they must hold however often the shipper is killed: a line never gets a
// second number, and no two lines get the same one.

// passGap goes on behind the gap at hand. It reports false if it is too early for that.
//
// A truncation is passed only when all that came before it is acknowledged, and the cursor is moved
// behind it before anything that follows is shipped. Otherwise the shipper could be killed when
// CloudWatch has accepted such lines and the cursor is still before the truncation. The next start
// could not read again what the truncation took away. So it would not know the numbers of the lines
// that follow, and would ship them once more under others. With the cursor behind the truncation,
// the next start gives them the same numbers.
func (s *Shipper) passGap(in *input) bool {
	cut := in.read.emptied
	if cut != nil && len(in.ack.blocks) > 0 {
		return false
	}
	if cut != nil && in.overtakenBy(cut) {
		return s.goOnAsAnother(in, cut)
	}
	if cut != nil {
		if err := in.persist(cut.To, in.shaper.State()); err != nil {
			s.complainOfCursor(in, err)
		}
	}
	in.read.window.jump(in.read.gap)
	in.read.gap, in.read.emptied = 0, nil
	return true
}

// overtakenBy reports whether a truncation took away bytes that an earlier process may have shipped
// and this one has not read. Their numbers may be taken, so the lines that follow cannot go on with
// this input's count. If none follow, it does not matter.
func (in *input) overtakenBy(cut *journal.CutError) bool {
	return cut.From < in.read.before && !endsAt(in.Journal, cut)
}

// endsAt reports whether nothing follows a truncation, and nothing can.
func endsAt(j *journal.Journal, cut *journal.CutError) bool {
	return j.Ended() && j.Size() <= cut.To
}

// goOnAsAnother makes in another input that begins behind cut, as a start after cut would.
// Everything before it is acknowledged.
func (s *Shipper) goOnAsAnother(in *input, cut *journal.CutError) bool {
	from := start{offset: cut.To, cursor: in.cursor(in.shaper.State()).heir(), overtaken: cut}
	next, err := newInput(in.Input, from, in.index, in.read.window.spare)
	if err != nil { // of the shape, which served so far
		s.complain("begin "+in.Shape.Input, err)
		return false
	}
	s.log.Warn(fmt.Sprintf("an earlier process may have shipped lines of input %s that the truncation of its output took away; what came after that is shipped as input %s",
		in.Shape.Input, next.Shape.Input), logfield.Input(in.Shape.Input))
	s.report.take(in)
	in.done = true
	s.keepStats(in)
	next.released = in.released
	*in = *next
	if err := in.persist(from.offset, from.cursor.State); err != nil {
		s.complainOfCursor(in, err)
	}
	s.inputs.byID[in.Shape.Input] = in
	s.begin(in)
	return true
}
