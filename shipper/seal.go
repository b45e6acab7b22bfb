package shipper

import (
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/logfield"
)

// sealing tracks the seal of an input.
type sealing struct {
	state sealState
	block *batch.Block // of the seal in progress; nil: none
	final bool         // the seal, accepted or in progress, says that the input ended
}

// sealState is how far the seal of an input is.
type sealState int

const (
	// unsealed means that no seal states what was shipped.
	unsealed sealState = iota
	// sealUnderWay means that a seal states what was shipped, but is not accepted yet.
	sealUnderWay
	// sealOutdated means that a seal is in progress that is no longer correct. Another will follow.
	sealOutdated
	// sealed means that a seal was accepted and is correct.
	sealed
)

func restoreSealing(c cursorState) sealing {
	if !c.Sealed {
		return sealing{}
	}
	return sealing{state: sealed, final: c.Final}
}

// begin notes that a seal, the only event of block, is in progress.
func (s *sealing) begin(block *batch.Block, final bool) {
	*s = sealing{state: sealUnderWay, block: block, final: final}
}

// accept notes that the seal in progress was accepted.
func (s *sealing) accept() {
	if s.block = nil; s.state == sealUnderWay {
		s.state = sealed
	} else {
		s.state = unsealed
	}
}

// outdate notes that the seal, accepted or in progress, is no longer correct.
func (s *sealing) outdate() {
	switch s.state {
	case sealed:
		s.state = unsealed
	case sealUnderWay:
		s.state = sealOutdated
	}
}

// accepted reports whether a correct seal was accepted, and whether it says that the input ended.
func (s *sealing) accepted() (ok, final bool) {
	return s.state == sealed, s.state == sealed && s.final
}

// sealInput adds the seal of a complete input to each of its streams once all of its events are
// acknowledged. If the unacknowledged events are all in one open batch, it adds the seal to that
// batch, so that the end of an input costs one round trip. If the batch is then not accepted as a
// whole, another seal follows.
func (s *Shipper) sealInput(in *input, now time.Time) {
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
		in.seal = sealing{state: sealed, final: final} // the input ends without a seal
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

// holdsSeal reports whether a batch contains the seal of an input.
func (s *Shipper) holdsSeal(b *batch.Batch) bool {
	for _, span := range b.Spans {
		if span.Block == s.inputs.of(span.Block).seal.block {
			return true
		}
	}
	return false
}

// sealsNow reports whether every event of the input is acknowledged, on trial, or in the open batch
// that the seal would join.
func (in *input) sealsNow() bool {
	pending := in.ack.pending() - in.ack.onTrial
	if pending == 0 {
		return true
	}
	st := in.streams[0]
	return len(in.streams) == 1 && !st.busy && len(st.closed) == 0 && st.open != nil && st.open.Of(in.index) == pending
}
