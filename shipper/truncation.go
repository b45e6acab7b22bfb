package shipper

// A command may truncate the file that is its stdout. What it writes from then on is shipped as the
// same input or as another one. Readers tell by a line's number whether they have seen it before,
// so the numbers must hold however often the shipper is killed: a line never gets a second number,
// and no two lines get the same one.

import (
	"fmt"

	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/logfield"
)

// passGap continues after the gap being read. It reports whether it could; if not, it is too early.
//
// It passes a truncation only once everything before it is acknowledged, and moves the cursor past
// the truncation before anything after it is shipped. Otherwise the shipper could be killed after
// CloudWatch accepted lines behind the truncation while the cursor was still before it. The next
// start could not read the truncated bytes again, so it would not know the numbers of the lines
// behind them, and would ship those lines again under other numbers. With the cursor past the
// truncation, the next start gives them the same numbers.
func (s *Shipper) passGap(in *input) bool {
	truncation := in.read.gap.truncation
	if truncation != nil && len(in.ack.blocks) > 0 {
		return false
	}
	if truncation != nil && in.overtakenBy(truncation) {
		return s.continueAsAnother(in, truncation)
	}
	if truncation != nil {
		if err := in.persist(truncation.To, in.shaper.State()); err != nil {
			s.complainOfCursor(in, err)
		}
	}
	in.read.window.jump(in.read.gap.to)
	in.read.gap = nil
	return true
}

// overtakenBy reports whether a truncation removed bytes that an earlier process may have shipped
// and this one has not read. Their numbers may be taken, so the lines after the truncation cannot
// continue this input's count. If no lines follow, this does not matter.
func (in *input) overtakenBy(truncation *journal.CutError) bool {
	return truncation.From < in.read.before && !endsAt(in.Journal, truncation)
}

// endsAt reports whether nothing follows a truncation and nothing can.
func endsAt(j *journal.Journal, truncation *journal.CutError) bool {
	return j.Ended() && j.Size() <= truncation.To
}

// continueAsAnother turns in into another input that begins after a truncation, as the next start
// would. Everything before the truncation is acknowledged.
func (s *Shipper) continueAsAnother(in *input, truncation *journal.CutError) bool {
	from := startingPoint{offset: truncation.To, cursor: in.cursor(in.shaper.State()).heir(), overtaken: truncation}
	next, err := newInput(in.Input, from, in.index, in.read.window.spare)
	if err != nil { // unlikely: only the shape can be wrong, and it has worked so far
		s.complain("begin "+in.Shape.Input, err)
		return false
	}
	s.log.Warn(fmt.Sprintf("an earlier process may have shipped lines of input %s that the truncation of its output removed; shipping what came after that as input %s",
		in.Shape.Input, next.Shape.Input), logfield.Input(in.Shape.Input))
	s.report.take(in)
	in.done = true
	s.keepStats(in)
	next.stopWatch = in.stopWatch
	*in = *next
	if err := in.persist(from.offset, from.cursor.State); err != nil {
		s.complainOfCursor(in, err)
	}
	s.inputs.byID[in.Shape.Input] = in
	s.begin(in)
	return true
}
