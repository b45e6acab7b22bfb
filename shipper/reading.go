package shipper

import (
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/journal"
)

// reading tracks how far an input is read, and what is being shaped.
type reading struct {
	from   *journal.Journal
	state  readState
	window window
	seen   int64 // the shaper has had the bytes before this offset once; they may be read again
	gap    *gap  // what is being skipped; nil: nothing
	// before is the offset up to which an earlier process may have shipped bytes under this name.
	before  int64
	last    lastLine
	shaping *block // nil: none. If memory runs out within it, the loop returns to it later.
}

// gap is a range of bytes that are missing, or were never written.
type gap struct {
	to         int64             // offset of the first byte after it
	truncation *journal.CutError // the truncation that made it; nil: something else did
}

// readState says how the last read went.
type readState int

const (
	// readable means that reading works, even if there is nothing to read.
	readable readState = iota
	// unreadable means that reading failed for a reason that may pass. The loop tries again each
	// second.
	unreadable
	// truncated means that the file shrank. The bytes read so far are the whole input.
	truncated
)

// block is the block that is being shaped.
type block struct {
	*batch.Block
	extends bool // the Block already waits for acknowledgements, and becomes longer
	fresh   bool // it holds bytes that were just read for the first time
	placed  bool // it has an event in a batch
}

func newReading(in Input, from startingPoint, spare *spareWindow) reading {
	r := reading{from: in.Journal, window: window{offset: from.offset, spare: spare}, seen: from.offset}
	if from.overtaken == nil {
		r.before = in.Journal.SeenBefore()
	}
	r.last = lastLine{cuts: from.cursor.Cuts, had: in.Journal.Size(), grewAt: in.Grew}
	if in.Grew.IsZero() {
		r.last.grewAt = time.Now()
	}
	return r
}

// atEnd reports whether all bytes that have arrived are shaped or in the window.
func (r *reading) atEnd() bool {
	return r.state == truncated || r.window.next() >= r.from.Size()
}

// skip records a gap, and reports whether it is new. A line that the gap interrupts ends there.
// Shipping continues after the gap.
func (r *reading) skip(g gap) (news bool) {
	if r.gap != nil && r.gap.to == g.to {
		return false
	}
	r.gap = &g
	return true
}
