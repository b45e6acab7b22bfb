package shipper

// This file has the first steps of the loop: read a block, shape it, and add its events to the open
// batches of their streams.

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/logfield"
)

// manyBlocks is how many blocks of an input may wait for acknowledgements. Beyond that, new lines,
// which may come one by one, extend the last block instead of starting another.
const manyBlocks = 1024

// shape reads and shapes one block of the next input, unless memory has run out or enough batches
// wait to be put. It reports whether there may be more to shape right away.
func (s *Shipper) shape(now time.Time) (busy bool) {
	if s.full() {
		return false
	}
	for range s.inputs.all {
		if in := s.inputs.next(); !in.done && s.shapeInput(in, now) {
			return true
		}
		if s.memory.short {
			return false // each of the other inputs would need a window
		}
	}
	return false
}

// full reports whether no more should be shaped now.
func (s *Shipper) full() bool {
	enough := s.memory.pool.Held() > 0 && s.enoughWaits()
	s.makeRoom()
	return enough || s.memory.short
}

// shapeInput shapes one block of an input. It reports whether it made any progress.
func (s *Shipper) shapeInput(in *input, now time.Time) bool {
	if in.wait.now() {
		if s.findJob(in, now); in.wait.now() {
			return in.wait.state == waitsLooking
		}
	}
	if in.read.shaping == nil && !s.beginBlock(in, now) {
		return false
	}
	most := max(s.o.MemoryMax-s.shapingMemory(), s.o.MemoryMax/4)
	for {
		switch in.shaper.Next(&s.ev) {
		case batch.Made:
			s.place(in, now)
			if s.memory.short = s.memory.pool.Held() >= most; s.memory.short {
				return false // continues in the middle of the block once there is room
			}
		case batch.Wait:
			in.wait.state = waitsForMore
			if s.endBlock(in) {
				return true
			}
			s.findJob(in, now)
			return in.wait.state != waitsForMore
		case batch.Done:
			return s.endBlock(in)
		}
	}
}

// findJob looks for the job that the input's lines wait for.
func (s *Shipper) findJob(in *input, now time.Time) {
	if err := in.findJob(now, s.inputs.byID[in.JobOf], s.patience.job); err != nil {
		s.complainOfCursor(in, err)
	}
}

// beginBlock gives the shaper the next block of an input. It reports whether there is something to
// shape.
func (s *Shipper) beginBlock(in *input, now time.Time) bool {
	if in.read.state != truncated && (in.read.gap == nil || in.read.gap.truncation == nil) {
		s.read(in)
	}
	// An unfinished line is also shaped if the input, a gap or a cut ends it.
	ended := in.ended() && in.read.atEnd() && in.ending() != PausedInLine
	if ended && in.ending() == Paused && in.endsInLine() {
		if err := in.cut(in.read.window.next()); err != nil {
			s.complainOfCursor(in, err)
		}
	}
	halfLine := s.cutHalfLine(in, now)
	data, isCut := in.upToCut()
	final := isCut || ended || in.read.gap != nil
	next := in.read.window.offset + int64(len(data))
	fresh := next > in.read.seen
	anew := in.wait.state == waitOver
	switch {
	case fresh:
		in.read.last.grew(next, now)
		in.read.seen = next
	case anew, halfLine, final && (len(data) > 0 || in.shaper.InLine()):
	case in.read.gap != nil:
		return s.passGap(in) && s.beginBlock(in, now)
	default:
		if !in.ended() { // otherwise it may be an unfinished line for a later process
			in.read.window.drop()
		}
		return false
	}
	if anew {
		in.wait.state = notWaiting
	}
	in.nextBlock(fresh)
	in.shaper.Begin(data, in.read.window.offset, now.UnixMilli(), in.Journal.ArrivalAt, final)
	return true
}

// nextBlock sets the block to shape next: a new one or, if many wait, the last of those.
func (in *input) nextBlock(fresh bool) {
	offset, blocks := in.read.window.offset, in.ack.blocks
	if n := len(blocks) - 1; n >= manyBlocks && blocks[n] != in.seal.block && offset-blocks[n].Start < windowBytes {
		in.read.shaping = &block{Block: blocks[n], extends: true, fresh: fresh}
		return
	}
	b := &batch.Block{Input: in.index, Start: offset}
	in.ack.blocks = append(blocks, b)
	in.read.shaping = &block{Block: b, fresh: fresh}
}

// read reads more of an input. It first reads again what the window dropped, a segment at a time,
// until it reads something new.
func (s *Shipper) read(in *input) {
	n, err := in.read.window.fill(in.Journal)
	for err == nil && n > 0 && in.read.window.next() <= in.read.seen {
		n, err = in.read.window.fill(in.Journal)
	}
	in.read.state = readable
	if err != nil {
		s.readError(in, err)
	}
}

// readError handles an error of reading the journal.
func (s *Shipper) readError(in *input, err error) {
	if missing, ok := errors.AsType[*journal.GapError](err); ok {
		if in.read.skip(gap{to: missing.To}) {
			s.lost(in, err)
		}
		return
	}
	if hole, ok := errors.AsType[*journal.HoleError](err); ok {
		if in.read.skip(gap{to: hole.To}) { // a hole never held data, so nothing is lost
			s.log.Warn(hole.Error(), hole.LogFields()...)
		}
		return
	}
	if truncation, ok := errors.AsType[*journal.CutError](err); ok {
		if in.read.skip(gap{to: truncation.To, truncation: truncation}) {
			in.seal.outdate()
			in.ack.account.Truncated.add(truncation)
			s.lost(in, err)
		}
		return
	}
	if t, ok := errors.AsType[*journal.TruncatedError](err); ok {
		// The bytes read so far are shipped. What follows is another input.
		in.read.state = truncated
		if t.Lost == 0 { // everything seen in the file was read, as in a rotation by copying
			s.log.Warn(t.Error(), t.LogFields()...)
		} else {
			s.lost(in, err)
		}
		return
	}
	in.read.state = unreadable
	s.complain("read "+in.Shape.Input, err)
}

// lost logs that data cannot be shipped. Run fails for it only if the input is primary.
func (s *Shipper) lost(in *input, err error) {
	s.log.Error(err.Error(), logfield.Of(err)...)
	if in.Primary {
		s.report.Failed = append(s.report.Failed, err)
	}
}

// endBlock finishes the block that is being shaped. It reports whether the block made any progress.
func (s *Shipper) endBlock(in *input) bool {
	b, n := in.read.shaping, in.shaper.End()
	in.read.shaping = nil
	in.read.window.take(n)
	if n == 0 && !b.placed {
		if !b.extends {
			in.ack.blocks = in.ack.blocks[:len(in.ack.blocks)-1]
		}
		return b.fresh // there is no whole line yet, but the rest of it may be there to read
	}
	b.End, b.State = in.read.window.offset, in.shaper.State()
	in.tellShaped(b.End, b.State)
	in.seal.outdate()
	if in.shaper.Overflowed() && !in.overflowed {
		in.overflowed = true
		s.log.Warn(fmt.Sprintf("input %s has more than %d log streams; its other lines go to %q, where their ids tell them apart; use a log stream template with fewer fields",
			in.Shape.Input, batch.MaxStreams, in.shaper.Streams()[0]), logfield.Input(in.Shape.Input), logfield.Stream(in.shaper.Streams()[0]))
	}
	s.moveCursor(in)
	return true
}

// place adds the event in s.ev to the open batch of its stream, after an open record if it is the
// input's first event in that stream.
func (s *Shipper) place(in *input, now time.Time) {
	for len(in.streams) < len(in.shaper.Streams()) {
		in.streams = append(in.streams, s.stream(in.shaper.Streams()[len(in.streams)]))
	}
	st := in.streams[s.ev.Route]
	if s.ev.Route >= in.opened { // streams are opened in the order of their routes
		in.opened = s.ev.Route + 1
		message, err := in.openMessage(&s.o.Origin, st.Name, in.shaper.LineJob(), s.ev.Time)
		if err != nil {
			s.log.Error(err.Error(), logfield.Input(in.Shape.Input), logfield.Stream(st.Name))
		} else {
			var ev batch.Event
			batch.Record(&ev, message, s.ev.Time, s.ev.Route)
			s.addToBatch(st, &ev, nil, now)
		}
	}
	in.read.shaping.placed = true
	s.addToBatch(st, &s.ev, in.read.shaping.Block, now)
}

// addToBatch adds an event to the open batch of a stream. If that batch is full, it closes the
// batch and begins another.
func (s *Shipper) addToBatch(st *stream, ev *batch.Event, block *batch.Block, now time.Time) {
	if st.open != nil && st.open.Add(ev, block) {
		return
	}
	st.closeOpen()
	st.begin(s.memory.newBatch(), now, rand.Float64())
	st.open.Add(ev, block)
}
