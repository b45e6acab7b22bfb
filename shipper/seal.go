package shipper

import "perstack-shipper/batch"

// sealing is what became of the seal of an input.
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
	// sealOutdated: one is under way, and what it says does not hold any more. Another follows it.
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

// outdate notes that a seal, accepted or under way, does not say any more what was shipped.
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
