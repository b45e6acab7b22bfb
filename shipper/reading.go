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
	// gap is where the gap being read ends. Its bytes are missing or were never written. 0: none.
	gap int64
	// truncation is the truncation of an output that made the gap; nil: something else did.
	truncation *journal.CutError
	// before is the offset up to which an earlier process may have shipped bytes under this name.
	before  int64
	last    lastLine
	shaping *block // nil: none. If memory runs out within it, the loop returns to it later.
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

func newReading(in Input, from start, spare *spareWindow) reading {
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

// skipTo records a gap that ends at an offset, and reports whether the gap is new. A line that the
// gap interrupts ends there. Shipping continues after the gap.
func (r *reading) skipTo(offset int64) (news bool) {
	news = r.gap != offset
	r.gap = offset
	return news
}
