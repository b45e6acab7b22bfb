package shipper

import (
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/journal"
)

// reading is how far an input is read, and what is being made of the bytes at hand.
type reading struct {
	from   *journal.Journal
	state  readState
	window window
	seen   int64 // the shaper was given the bytes before this offset; what lies before it is read again
	gap    int64 // the bytes before this offset cannot be read and are left out; 0: no gap is at hand
	// emptied is the truncation that made the gap at hand, where the journal goes on behind it; nil:
	// the gap is another.
	emptied *journal.CutError
	before  int64 // an earlier process may have shipped, under this input's name, the bytes up to here
	last    lastLine
	shaping *block // nil: none. If memory runs out in the middle of it, the loop returns to it later.
}

// readState says how the last read went.
type readState int

const (
	// readable: all is well, even if there is nothing to read.
	readable readState = iota
	// unreadable: the journal could not be read, for a reason that may pass. Reading is tried again
	// each second.
	unreadable
	// truncated: the file shrank. What was read is all there is of this input.
	truncated
)

// block is the block that is being shaped.
type block struct {
	*batch.Block
	extends bool // the Block is one that waits for acknowledgements, and becomes longer
	fresh   bool // it holds bytes that were just read for the first time
	placed  bool // an event was made of it
}

func newReading(in Input, from start, spare *spare) reading {
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

// atEnd reports whether all bytes that have come are shaped or in the window.
func (r *reading) atEnd() bool {
	return r.state == truncated || r.window.next() >= r.from.Size()
}

// skipTo notes that there is a gap up to an offset. The line that the gap begins in ends there, and
// what follows the gap is shipped. It reports whether the gap is news.
func (r *reading) skipTo(offset int64) (news bool) {
	news = r.gap != offset
	r.gap = offset
	return news
}
