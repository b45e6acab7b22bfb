package shipper

import (
	"context"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/deliver"
	"perstack-shipper/shipper/journal"
)

// The other steps of Run's loop: start the deliveries that are due, settle those that ended, finish
// inputs that are done.

// start begins the deliveries that are due.
func (s *Shipper) start(ctx context.Context, now time.Time) {
	for _, st := range s.streams {
		st.hurry = false
	}
	for _, in := range s.inputs.all {
		if !in.done && in.complete() {
			s.seal(in, now)
			for _, st := range in.streams {
				st.hurry = true
			}
		}
	}
	for _, st := range s.streams {
		if st.trialStalled() && (s.short || now.Sub(st.trialSince) >= trialWait) {
			s.probe(st, now)
		}
		if st.due(now, s.interval) {
			s.deliver(ctx, st)
		}
		st.prepare()
	}
}

// deliver begins the delivery of the first batch of st.
func (s *Shipper) deliver(ctx context.Context, st *stream) {
	if len(st.closed) == 0 {
		st.closeOpen()
	}
	b, prepared := st.shift()
	task := deliver.Task{Stream: st.Stream, Batch: b, OnTrial: st.onTrial, Last: s.holdsSeal(b)}
	st.busy = true
	s.underway++
	go func() {
		<-prepared
		s.results <- s.deliverer.Deliver(ctx, task)
	}()
}

// trialWait is how long batches on trial wait for another put to their stream, unless memory runs
// out. The journal keeps all that is behind them meanwhile.
const trialWait = time.Minute

// probe puts the open record once more to a stream whose batches are on trial. Whether that is
// accepted tells whether their events or the target are at fault.
func (s *Shipper) probe(st *stream, now time.Time) {
	spans := st.onTrial[0].Spans
	if len(spans) == 0 {
		return // a record of our own, which nothing waits for
	}
	message, err := s.inputs.all[spans[0].Block.Input].openMessage(&s.o.Origin, st.Name, "", now.UnixMilli())
	if err != nil {
		s.log.Error(err.Error())
		return
	}
	var ev batch.Event
	batch.Record(&ev, message, now.UnixMilli(), 0)
	s.addToBatch(st, &ev, nil, now)
	st.closeOpen()
}

// holdsSeal reports whether b has the seal of an input.
func (s *Shipper) holdsSeal(b *batch.Batch) bool {
	for _, span := range b.Spans {
		if span.Block == s.inputs.all[span.Block.Input].seal.block {
			return true
		}
	}
	return false
}

// seal puts the seal of an input that is read to its end into each of its streams, when all before it is acknowledged. Where all that is not lies in
// one open batch, the seal goes with that, for an input's end should cost one round trip: the batch is taken as a whole, or another seal follows.
func (s *Shipper) seal(in *input, now time.Time) {
	final := in.ending() == Finished
	if in.seal.block != nil || len(in.streams) == 0 {
		return
	}
	if ok, isFinal := in.seal.accepted(); ok && isFinal == final {
		return
	}
	in.seal.outdate()
	pending := in.ack.pending() - in.ack.onTrial
	if pending > 0 {
		st := in.streams[0]
		if len(in.streams) > 1 || st.busy || len(st.closed) > 0 || st.open == nil || st.open.Of(in.index) != pending {
			return
		}
	}
	first, others, err := in.sealMessages(now.UnixMilli(), final)
	if err != nil {
		s.log.Error(err.Error())
		in.seal = sealing{state: sealed, final: final} // the input ends without
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

// settle takes in what became of a batch.
func (s *Shipper) settle(r deliver.Outcome) {
	s.underway--
	st := s.streams[r.Stream.Name]
	st.Stream, st.busy = r.Stream, false
	s.report.Batches += r.Puts
	s.report.Retries += r.Retries
	s.stretch(r)
	s.account(r)
	switch {
	case r.Err != nil: // stopped: what is not acknowledged is shipped again by the next start
		return
	case r.OnTrial:
		st.onTrial, st.trialSince = append(st.onTrial, r.Batch), time.Now()
		s.countOnTrial(r.Batch, 1)
		return
	}
	s.life.progress = time.Now()
	for _, rejected := range r.Rejected {
		s.reject(st, rejected)
	}
	for _, b := range st.onTrial {
		s.countOnTrial(b, -1)
		s.ack(b)
	}
	st.onTrial = nil
	s.ack(r.Batch)
}

// account notes in the accounts of the inputs which events of a batch may be there twice, and how
// many were sent with another time than their own. Seals are left out: where each first answer is
// lost, one seal would follow the other.
func (s *Shipper) account(r deliver.Outcome) {
	note := func(block *batch.Block, count func(*account)) {
		if in := s.inputs.all[block.Input]; block != in.seal.block {
			count(&in.ack.account)
			in.seal.outdate()
		}
	}
	if r.Ambiguous {
		for _, span := range r.Batch.Spans {
			note(span.Block, func(a *account) { a.Repeated += int64(span.Events) })
		}
	}
	for block, n := range r.Restamped {
		note(block, func(a *account) { a.Restamped += n })
	}
}

func (s *Shipper) countOnTrial(b *batch.Batch, n int) {
	for _, span := range b.Spans {
		s.inputs.all[span.Block.Input].ack.onTrial += n * span.Events
	}
}

// stretch lengthens the flush interval while CloudWatch throttles: fewer, fuller puts. It shortens
// it again by less than it lengthened it: where a fleet has more to put than its quota, the interval
// settles where both keep the balance, which is at one throttled delivery in four and not in two.
func (s *Shipper) stretch(r deliver.Outcome) {
	if r.Throttled {
		s.interval = max(s.o.FlushInterval, min(2*s.interval, maxInterval))
	} else if r.Puts > 0 {
		s.interval = max(s.o.FlushInterval, s.interval/5*4)
	}
}

// ack gives the acknowledgement of a batch to the journals, and its memory back.
func (s *Shipper) ack(b *batch.Batch) {
	for _, span := range b.Spans {
		span.Block.Pending -= span.Events
	}
	for i, span := range b.Spans {
		if i == 0 || b.Spans[i-1].Block.Input != span.Block.Input {
			s.advance(s.inputs.all[span.Block.Input])
		}
	}
	s.memory.release(b)
}

func (s *Shipper) advance(in *input) {
	if err := in.advance(); err != nil {
		s.complainOfCursor(in, err)
	}
}

// finish lets go of inputs of which nothing is left.
func (s *Shipper) finish() {
	for _, in := range s.inputs.all {
		if in.done || !in.complete() || len(in.ack.blocks) > 0 || in.seal.state != sealed && len(in.streams) > 0 {
			continue
		}
		if in.Tee != nil && !in.Tee.Finished() {
			if !in.Tee.Stuck(time.Now()) {
				s.life.progress = time.Now() // it is the reader of stdout that takes its time now
				continue
			}
			in.Tee.GiveUp()
		}
		if in.ack.offset < in.read.window.offset { // a truncation, or a gap, that no line came after
			if err := in.persist(in.read.window.offset, in.shaper.State()); err != nil {
				s.complainOfCursor(in, err)
			}
		}
		in.done = true
		end := in.Journal.Remove
		if in.ending() != Finished {
			end = in.Journal.Close
		} else if why := in.unfinished(); why != "" {
			s.log.Warn(why)
		}
		s.report.take(in)
		if err := end(); err != nil {
			s.complain("end "+in.Shape.Input, err)
		}
		in.closed()
		s.letGo(in)
	}
}

// letGo forgets an input that is done, and the streams that only it wrote to, if it is a followed file: there is no end to those. Of others the job is asked for
// still, by their siblings.
func (s *Shipper) letGo(in *input) {
	close(in.released)
	in.read.window, in.wait.ahead = window{}, nil
	if in.Journal.Kind() != journal.KindFile {
		return
	}
	s.inputs.forget(in)
	used := map[*stream]bool{}
	for _, i := range s.inputs.all {
		if !i.done {
			for _, st := range i.streams {
				used[st] = true
			}
		}
	}
	for _, st := range in.streams {
		if !used[st] && st.idle() {
			delete(s.streams, st.Name)
		}
	}
	in.streams = nil
}

// closeAll closes the journals of the inputs that are not done, with what is left in them.
func (s *Shipper) closeAll() {
	for _, in := range s.inputs.all {
		if in.done {
			continue
		}
		in.quit()
		s.report.take(in)
		s.report.leave(in)
		if err := in.Journal.Close(); err != nil {
			s.complain("close "+in.Shape.Input, err)
		}
		in.closed()
	}
}

// complainOfCursor says that the cursor of in could not be written.
func (s *Shipper) complainOfCursor(in *input, err error) { s.complain("cursor "+in.Shape.Input, err) }

// complain says an error of this machine's: once, then at most once a minute.
func (s *Shipper) complain(kind string, err error) {
	if s.said.Allow(kind, time.Now()) {
		s.log.Error(err.Error())
	}
}
