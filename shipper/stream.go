package shipper

import (
	"context"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/deliver"
)

const (
	// parallel is how many puts may be in progress at once, over all streams: enough to fill a link
	// at any latency, few enough for the quota.
	parallel = 8
	// maxInterval is how far throttling may stretch the flush interval.
	maxInterval = 30 * time.Second
)

// stream holds the batches that wait for one log stream, in order. The loop owns it.
type stream struct {
	// Stream goes into each delivery, and its outcome replaces it.
	deliver.Stream

	open  *batch.Batch // being filled; nil: none
	since time.Time    // when open got its first event
	// share is the part of the flush interval for which open waits; see earliest.
	share  float64
	closed []*batch.Batch
	// prepared is closed when the first of closed is prepared; nil: its preparation has not begun.
	prepared chan struct{}
	trial    trial

	counted bool // the report includes the stream
	busy    bool // a delivery is in progress; each stream has one at a time
	hurry   bool // do not wait for the flush interval, because an input of this stream has ended
}

// due reports whether a batch should be put now.
func (st *stream) due(now time.Time, interval time.Duration) bool {
	if st.busy {
		return false
	}
	return len(st.closed) > 0 || st.open != nil && (st.hurry || !now.Before(st.dueAt(interval)))
}

// earliest is the smallest share of the flush interval after which a batch is put. Each batch draws
// a share between earliest and 1. Otherwise shippers that started in the same second, or reached
// CloudWatch again in the same second, would keep flushing together. With it they are spread evenly
// after seven intervals. The cost is a fifth more puts where lines come all the time.
const earliest = 2.0 / 3

// begin makes b the open batch.
func (st *stream) begin(b *batch.Batch, now time.Time, random float64) {
	st.open, st.since, st.share = b, now, earliest+(1-earliest)*random
}

// dueAt returns when the open batch is due.
func (st *stream) dueAt(interval time.Duration) time.Time {
	return st.since.Add(time.Duration(st.share * float64(interval)))
}

// closeOpen closes the open batch, if there is one.
func (st *stream) closeOpen() {
	if st.open != nil {
		st.closed = append(st.closed, st.open)
		st.open = nil
	}
}

// prepare begins to prepare the first closed batch, if there is one, while the previous put is in
// progress. compress is whether to compress its body.
func (st *stream) prepare(compress bool) {
	if st.prepared != nil || len(st.closed) == 0 {
		return
	}
	b, head, done := st.closed[0], st.Head, make(chan struct{})
	st.prepared = done
	go func() {
		b.Prepare(head, compress)
		close(done)
	}()
}

// shift removes and returns the first closed batch. The batch is prepared once the channel is
// closed.
func (st *stream) shift(compress bool) (*batch.Batch, <-chan struct{}) {
	st.prepare(compress)
	b, prepared := st.closed[0], st.prepared
	st.closed[0], st.prepared = nil, nil
	st.closed = st.closed[1:]
	return b, prepared
}

// idle reports whether the stream has no delivery in progress and no batch.
func (st *stream) idle() bool {
	return !st.busy && st.open == nil && len(st.closed) == 0 && len(st.trial.batches) == 0
}

// stream returns the stream with a name, and creates it if there is none.
func (s *Shipper) stream(name string) *stream {
	st := s.streams[name]
	if st == nil {
		st = &stream{Stream: deliver.Stream{Name: name, Head: batch.BodyHead(s.o.Client.Target().Group, name)}}
		s.streams[name] = st
	}
	return st
}

// sealAndDeliver seals the inputs that are complete and begins the deliveries that are due.
func (s *Shipper) sealAndDeliver(ctx context.Context, now time.Time) {
	for _, st := range s.streams {
		st.hurry = false
	}
	for _, in := range s.inputs.all {
		if !in.done && in.complete() {
			s.sealInput(in, now)
			for _, st := range in.streams {
				st.hurry = true
			}
		}
	}
	for _, st := range s.streams {
		if st.trialStalled() && (s.memory.short || now.Sub(st.trial.since) >= s.patience.trial) {
			s.probe(st, now)
		}
		if st.due(now, s.interval) {
			s.deliver(ctx, st)
		}
		st.prepare(s.deliverer.Compresses())
	}
}

// deliver begins the delivery of the first batch of a stream.
func (s *Shipper) deliver(ctx context.Context, st *stream) {
	if len(st.closed) == 0 {
		st.closeOpen()
	}
	b, prepared := st.shift(s.deliverer.Compresses())
	task := deliver.Task{Stream: st.Stream, Batch: b, OnTrial: st.trial.batches, Last: s.holdsSeal(b)}
	st.busy = true
	s.underway++
	go func() {
		<-prepared
		s.results <- s.deliverer.Deliver(ctx, task)
	}()
}

// stretch lengthens the flush interval while CloudWatch throttles, so that puts are fewer and
// fuller. It shortens the interval in smaller steps than it lengthens it. If a fleet has more to
// put than its quota allows, the steps balance at one throttled delivery in four, instead of one in
// two.
func (s *Shipper) stretch(r deliver.Outcome) {
	if r.Throttled {
		s.interval = max(s.o.FlushInterval, min(2*s.interval, maxInterval))
	} else if r.Puts > 0 {
		s.interval = max(s.o.FlushInterval, s.interval/5*4)
	}
}
