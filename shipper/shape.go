package shipper

import (
	"errors"
	"fmt"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/journal"
)

// The first steps of Run's loop: shape what was read, a block at a time, and put its events into the open batches of their streams.

// shape reads and shapes one block of one input, in turn, until memory runs out. It reports whether there may be more to do at once.
func (s *Shipper) shape(now time.Time) (busy bool) {
	if s.full() {
		return false
	}
	for range s.inputs {
		in := s.inputs[s.turn%len(s.inputs)]
		s.turn++
		if !in.done && s.shapeInput(in, now) {
			return true
		}
		if s.short {
			return false // each input more would take a window
		}
	}
	return false
}

// full reports whether enough waits to be put, or memory has run out. Before it does, inputs give back what they keep to be used again, and the largest open
// batches are put early, as many at once as a link takes: so many inputs and streams cost fuller memory, not standstill.
func (s *Shipper) full() bool {
	s.short = false
	held, besides := s.pool.Held(), s.besides()
	if held+besides > s.o.MemoryMax/4*3 {
		for _, in := range s.inputs {
			in.spend()
		}
		besides = s.besides()
	}
	if held == 0 {
		return false // there is nothing to wait for
	}
	waiting, able := 0, s.underway
	total := s.deliv.trouble.total()
	for _, st := range s.streams {
		if total || !st.failing() { // one stream's trouble does not keep the others waiting
			waiting += st.waiting()
		}
		if !st.busy && st.waiting() > 0 {
			able++
		}
	}
	held += besides
	for ; held > s.o.MemoryMax/4*3 && able < parallel; able++ {
		if !s.closeLargest() {
			break
		}
	}
	if s.short = held >= s.o.MemoryMax; s.short {
		return true
	}
	return waiting >= ready
}

// besides is the memory that reading and shaping take, beside what waits to be put.
func (s *Shipper) besides() int {
	held := 0
	for _, in := range s.inputs {
		if !in.done {
			held += in.held()
		}
	}
	return held
}

// closeLargest closes the largest open batch of the streams that could put it now.
func (s *Shipper) closeLargest() bool {
	var largest *stream
	for _, st := range s.streams {
		if st.open != nil && !st.busy && (largest == nil || st.open.Held() > largest.open.Held()) {
			largest = st
		}
	}
	if largest == nil {
		return false
	}
	largest.closeOpen()
	return true
}

// shapeInput makes events of what in has. It reports whether it made any progress.
func (s *Shipper) shapeInput(in *input, now time.Time) bool {
	if in.waiting && !s.findJob(in, now) {
		return in.looking
	}
	if in.shaping == nil && !s.begin(in, now) {
		return false
	}
	most := max(s.o.MemoryMax-s.besides(), s.o.MemoryMax/4)
	for {
		switch in.shaper.Next(&s.ev) {
		case batch.Made:
			s.place(in, now)
			if s.short = s.pool.Held() >= most; s.short {
				return false // goes on in the middle of the block when there is room
			}
		case batch.Wait:
			in.waiting = true
			return s.end(in) || s.findJob(in, now) || in.looking
		case batch.Done:
			return s.end(in)
		}
	}
}

func (s *Shipper) findJob(in *input, now time.Time) bool {
	found, err := in.findJob(now, s.byID[in.JobOf])
	if err != nil {
		s.complain("cursor "+in.Shape.Input, err)
	}
	return found
}

// manyBlocks is how many blocks of an input wait until new lines, which may come one by one, make the last one longer instead of another.
const manyBlocks = 1024

// begin starts on the next block of in.
func (s *Shipper) begin(in *input, now time.Time) bool {
	if !in.truncated {
		// What the window dropped is read again, a segment at a time, until there is something new.
		n, err := in.window.fill(in.Journal)
		for err == nil && n > 0 && in.window.next() <= in.seen {
			n, err = in.window.fill(in.Journal)
		}
		if in.unread = false; err != nil {
			s.readError(in, err)
		}
	}
	ended := in.ended() && in.shapedAll() && in.ending() != PausedInLine
	if ended && in.ending() == Paused && endsInLine(in.window.bytes(), in.shaper) {
		if err := in.cut(in.window.next()); err != nil {
			s.complain("cursor "+in.Shape.Input, err)
		}
	}
	wasCut := s.cutHalfLine(in, now)
	data, final := in.upToCut()
	final = final || in.gap > 0 || ended
	next := in.window.offset + int64(len(data))
	switch {
	case next > in.seen:
		if next > in.had {
			in.grewAt = now
		}
	case in.again: // the same bytes, but their job is known now
	case wasCut:
	case final && (len(data) > 0 || in.shaper.InLine()):
	case in.gap > 0:
		in.window.jump(in.gap)
		in.gap = 0
		return s.begin(in, now)
	default:
		if !in.ended() { // else it may be the beginning of a line that is to stay, and must be known to be all there is
			in.window.drop()
		}
		return false
	}
	in.again, in.grew, in.seen = false, next > in.seen, max(in.seen, next)
	in.placed = false
	if n := len(in.blocks) - 1; n >= manyBlocks && in.blocks[n] != in.seal && in.window.offset-in.blocks[n].Start < windowBytes {
		in.shaping, in.longer = in.blocks[n], true
	} else {
		in.shaping, in.longer = &batch.Block{Input: in.index, Start: in.window.offset}, false
		in.blocks = append(in.blocks, in.shaping)
	}
	in.shaper.Begin(data, in.window.offset, now.UnixMilli(), in.Journal.ArrivalAt, final)
	return true
}

// end finishes the block that is being shaped. It reports whether that got on.
func (s *Shipper) end(in *input) bool {
	b, n := in.shaping, in.shaper.End()
	in.shaping = nil
	in.window.take(n)
	if n == 0 && !in.placed {
		if !in.longer {
			in.blocks = in.blocks[:len(in.blocks)-1]
		}
		return in.grew // no whole line yet: there may be more of it to read
	}
	b.End, b.State = in.window.offset, in.shaper.State()
	in.tellShaped(b.End, b.State)
	in.sealed = false
	if in.shaper.Overflowed() && !in.overflowed {
		in.overflowed = true
		s.log.Warn(fmt.Sprintf("input %s names more than %d log streams; the lines of further ones go to %q, where the ids tell them apart: use a log stream template with fewer fields",
			in.Shape.Input, batch.MaxStreams, in.shaper.Streams()[0]))
	}
	s.advance(in)
	return true
}

// place puts the event at hand into the open batch of its stream.
func (s *Shipper) place(in *input, now time.Time) {
	for len(in.streams) < len(in.shaper.Streams()) {
		in.streams = append(in.streams, s.stream(in.shaper.Streams()[len(in.streams)]))
	}
	st := in.streams[s.ev.Route]
	if s.ev.Route >= in.opened { // streams are opened in the order of their routes
		in.opened = s.ev.Route + 1
		message, err := in.openMessage(&s.o.Origin, st.name, in.shaper.LineJob(), s.ev.Time)
		if err != nil {
			s.log.Error(err.Error())
		} else {
			var ev batch.Event
			batch.Record(&ev, message, s.ev.Time, s.ev.Route)
			s.put(st, &ev, nil, now)
		}
	}
	in.placed = true
	s.put(st, &s.ev, in.shaping, now)
}

// put puts ev into the open batch of st, closing that when it is full.
func (s *Shipper) put(st *stream, ev *batch.Event, block *batch.Block, now time.Time) {
	if st.open != nil && st.open.Add(ev, block) {
		return
	}
	st.closeOpen()
	st.open, st.since = s.newBatch(), now
	st.open.Add(ev, block)
}

func (s *Shipper) newBatch() *batch.Batch {
	if n := len(s.spare); n > 0 {
		b := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return b
	}
	return batch.New(&s.pool)
}

// readError takes note that the journal cannot be read as it was.
func (s *Shipper) readError(in *input, err error) {
	if gap, ok := errors.AsType[*journal.GapError](err); ok {
		// The line that the gap begins in ends there, and what is behind the gap is shipped.
		if in.gap != gap.To {
			in.gap = gap.To
			s.lost(in, err)
		}
		return
	}
	if hole, ok := errors.AsType[*journal.HoleError](err); ok {
		// The same, but nothing is missing.
		if in.gap != hole.To {
			in.gap = hole.To
			s.log.Warn(hole.Error())
		}
		return
	}
	if cut, ok := errors.AsType[*journal.CutError](err); ok {
		if in.gap != cut.To {
			in.gap = cut.To
			in.account.Truncated.Times++
			in.account.Truncated.Bytes += cut.Lost
			s.lost(in, err)
		}
		return
	}
	if t, ok := errors.AsType[*journal.TruncatedError](err); ok {
		// What was read is shipped; what comes now is another input.
		in.truncated = true
		if t.Lost == 0 { // all that was seen of it was read: a rotation by copying
			s.log.Warn(t.Error())
		} else {
			s.lost(in, err)
		}
		return
	}
	in.unread = true
	s.complain("read "+in.Shape.Input, err)
}

// lost says what cannot be shipped. It counts only against the process whose input it was.
func (s *Shipper) lost(in *input, err error) {
	s.log.Error(err.Error())
	if in.Own {
		s.report.Failed = append(s.report.Failed, err)
	}
}
