package shipper

import (
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/logfield"
)

// sealing tracks the seal of an input.
type sealing struct {
	state sealState
	block *batch.Block // of the seal under way; nil: none is
	final bool         // the seal, accepted or under way, says that the input ended
}

// sealState is how far the seal of an input is.
type sealState int

const (
	// unsealed: no seal says what was shipped.
	unsealed sealState = iota
	// sealUnderWay: a seal says what was shipped and is not accepted yet.
	sealUnderWay
	// sealOutdated: a seal is under way, but what it says no longer holds. Another will follow it.
	sealOutdated
	// sealed: a seal was accepted, and what it says holds.
	sealed
)

func restoreSealing(c cursorState) sealing {
	if !c.Sealed {
		return sealing{}
	}
	return sealing{state: sealed, final: c.Final}
}

// begin notes that a seal is under way as the only event of block.
func (s *sealing) begin(block *batch.Block, final bool) {
	*s = sealing{state: sealUnderWay, block: block, final: final}
}

// accept notes that the seal under way was accepted.
func (s *sealing) accept() {
	if s.block = nil; s.state == sealUnderWay {
		s.state = sealed
	} else {
		s.state = unsealed
	}
}

// outdate notes that the seal, accepted or under way, no longer says what was shipped.
func (s *sealing) outdate() {
	switch s.state {
	case sealed:
		s.state = unsealed
	case sealUnderWay:
		s.state = sealOutdated
	}
}

// accepted reports whether a seal was accepted that holds, and whether it says that the input
// ended.
func (s *sealing) accepted() (ok, final bool) {
	return s.state == sealed, s.state == sealed && s.final
}

// seal adds the seal of a complete input to each of its streams once all of its events are
// acknowledged. If those that are not lie in one open batch, the seal goes with them, so that the
// end of an input costs one round trip: the batch is accepted as a whole, or another seal follows.
func (s *Shipper) seal(in *input, now time.Time) {
	final := in.ending() == Finished
	if in.seal.block != nil || len(in.streams) == 0 {
		return
	}
	if ok, isFinal := in.seal.accepted(); ok && isFinal == final {
		return
	}
	in.seal.outdate()
	if !in.sealsNow() {
		return
	}
	first, others, err := in.sealMessages(now.UnixMilli(), final)
	if err != nil {
		s.log.Error(err.Error(), logfield.Input(in.Shape.Input))
		in.seal = sealing{state: sealed, final: final} // it ends without a seal
		return
	}
	offset := in.read.window.offset
	block := &batch.Block{Input: in.index, Start: offset, End: offset, State: in.shaper.State()}
	in.ack.blocks = append(in.ack.blocks, block)
	in.seal.begin(block, final)
	for route, st := range in.streams {
		message := others
		if route == 0 {
			message = first
		}
		var ev batch.Event
		batch.Record(&ev, message, now.UnixMilli(), route)
		s.addToBatch(st, &ev, block, now)
	}
}

// holdsSeal reports whether b has the seal of an input.
func (s *Shipper) holdsSeal(b *batch.Batch) bool {
	for _, span := range b.Spans {
		if span.Block == s.inputs.of(span.Block).seal.block {
			return true
		}
	}
	return false
}

// sealsNow reports whether every event of the input is acknowledged, on trial, or in the one open
// batch that the seal would go with.
func (in *input) sealsNow() bool {
	pending := in.ack.pending() - in.ack.onTrial
	if pending == 0 {
		return true
	}
	st := in.streams[0]
	return len(in.streams) == 1 && !st.busy && len(st.closed) == 0 && st.open != nil && st.open.Of(in.index) == pending
}
