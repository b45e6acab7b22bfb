package shipper

import (
	"slices"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/deliver"
)

// acking tracks how far an input is acknowledged: accepted by CloudWatch, or kept as a reject.
type acking struct {
	offset  int64          // of the cursor; the bytes before it are never read again
	state   batch.State    // of the shaper at offset
	blocks  []*batch.Block // shaped blocks from offset on, in order, not fully acknowledged
	onTrial int            // how many events of blocks are in batches on trial
	account account
	unsaved bool        // the account has possible repeats that the cursor does not have
	began   cursorState // the cursor when this process started; the report counts from there
}

func newAcking(from startingPoint) acking {
	a := acking{offset: from.offset, state: from.cursor.State, account: from.cursor.Account, began: from.cursor}
	a.account.Rejected = slices.Clone(a.account.Rejected) // add changes it in place
	a.state.Streams = len(from.cursor.Streams)
	return a
}

// pending returns how many events are not acknowledged.
func (a *acking) pending() int {
	n := 0
	for _, b := range a.blocks {
		n += b.Pending
	}
	return n
}

// pass removes the blocks at the front that have no pending events, and returns the last of them or
// nil. It stops at the block that is still being shaped.
func (a *acking) pass(shaping *block) (last *batch.Block) {
	n := 0
	for n < len(a.blocks) && a.blocks[n].Pending == 0 && (shaping == nil || a.blocks[n] != shaping.Block) {
		n++
	}
	if n == 0 {
		return nil
	}
	last = a.blocks[n-1]
	a.blocks = append(a.blocks[:0], a.blocks[n:]...)
	return last
}

// advance moves the cursor past the acknowledged blocks at the front.
func (in *input) advance() error {
	last := in.ack.pass(in.read.shaping)
	if last == nil {
		return nil
	}
	if last == in.seal.block {
		in.seal.accept()
	}
	return in.persist(last.End, last.State)
}

// endDelivery takes in the outcome of a delivery.
func (s *Shipper) endDelivery(r deliver.Outcome) {
	s.underway--
	st := s.streams[r.Stream.Name]
	st.Stream, st.busy = r.Stream, false
	s.report.Batches += r.Puts
	s.report.Retries += r.Retries
	s.stretch(r)
	s.countRepeats(r)
	switch {
	case r.Err != nil: // stopped: the next start ships what is not acknowledged
		return
	case r.OnTrial:
		s.try(st, r.Batch)
		return
	}
	s.life.progress = time.Now()
	for _, rejected := range r.Rejected {
		s.reject(st, rejected)
	}
	s.endTrial(st)
	s.acknowledge(r.Batch)
}

// countRepeats adds to the inputs' accounts how many events CloudWatch may have twice, and how many
// were sent with a time other than their own. Seals do not count: counting one would require a new
// seal and, if the answer to that is also lost, another one, without end.
func (s *Shipper) countRepeats(r deliver.Outcome) {
	note := func(block *batch.Block, count func(*account)) {
		if in := s.inputs.of(block); block != in.seal.block {
			count(&in.ack.account)
			in.ack.unsaved = true
			in.seal.outdate()
		}
	}
	for block, n := range r.Repeated {
		note(block, func(a *account) { a.Repeated += n })
	}
	if r.Err != nil {
		return // the next process sends the batch again, and counts the times that it changes
	}
	for block, n := range r.Restamped {
		note(block, func(a *account) { a.Restamped += n })
	}
}

// saveRepeats counts the repeats that the next process will make of an input that is not delivered,
// and writes them to the cursor. That process ships every event after the cursor again, including
// those that CloudWatch accepted before an earlier one.
func (s *Shipper) saveRepeats(in *input) {
	for _, block := range in.ack.blocks {
		if block.Accepted > 0 && block != in.seal.block {
			in.ack.account.Repeated += int64(block.Accepted)
			in.ack.unsaved = true
			in.seal.outdate()
		}
	}
	if !in.ack.unsaved {
		return
	}
	if err := in.persist(in.ack.offset, in.ack.state); err != nil {
		s.complainOfCursor(in, err)
	}
}

// acknowledge acknowledges the events of a batch to their journals and frees the batch's memory.
func (s *Shipper) acknowledge(b *batch.Batch) {
	for _, span := range b.Spans {
		span.Block.Pending -= span.Events
		span.Block.Accepted += span.Events
	}
	for i, span := range b.Spans {
		if i == 0 || b.Spans[i-1].Block.Input != span.Block.Input {
			s.moveCursor(s.inputs.of(span.Block))
		}
	}
	s.memory.release(b)
}

// moveCursor advances an input, and logs if its cursor cannot be written.
func (s *Shipper) moveCursor(in *input) {
	if err := in.advance(); err != nil {
		s.complainOfCursor(in, err)
	}
}
