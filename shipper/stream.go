package shipper

import (
	"context"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/deliver"
)

const (
	// parallel is how many puts are under way at once, over all streams: enough to fill a link at
	// any latency, few enough for the quota.
	parallel = 8
	// maxInterval is how far the flush interval stretches under throttling: fewer, fuller puts.
	maxInterval = 30 * time.Second
)

// stream is one log stream: what waits for it, in order. The loop owns it.
type stream struct {
	// Stream is passed to each delivery, and replaced by what its outcome says.
	deliver.Stream

	open  *batch.Batch // being filled; nil: none
	since time.Time    // when the first event came into open
	// share is how much of the flush interval open waits: see earliest.
	share  float64
	closed []*batch.Batch
	// prepared is closed when the first of closed is prepared; nil: nobody has begun to.
	prepared chan struct{}
	trial    trial

	counted bool // the report knows of it
	busy    bool // a delivery is under way: one put in flight per stream
	hurry   bool // do not wait for the flush interval: an input that writes here has ended
}

// due reports whether a batch should be put now.
func (st *stream) due(now time.Time, interval time.Duration) bool {
	if st.busy {
		return false
	}
	return len(st.closed) > 0 || st.open != nil && (st.hurry || !now.Before(st.dueAt(interval)))
}

// earliest is the least share of the flush interval after which a batch is put. Each batch draws
// its own from there up to 1, so that shippers that were started in the same second, or got through
// to CloudWatch again in the same second, do not go on flushing together: after seven intervals
// they come evenly. It makes for a fifth more puts where lines come all the time.
const earliest = 2.0 / 3

// begin makes b the open batch.
func (st *stream) begin(b *batch.Batch, now time.Time, random float64) {
	st.open, st.since, st.share = b, now, earliest+(1-earliest)*random
}

// dueAt is when the open batch is due.
func (st *stream) dueAt(interval time.Duration) time.Time {
	return st.since.Add(time.Duration(st.share * float64(interval)))
}

// closeOpen moves the open batch behind the closed ones.
func (st *stream) closeOpen() {
	if st.open != nil {
		st.closed = append(st.closed, st.open)
		st.open = nil
	}
}

// prepare begins to prepare the first closed batch, if there is one, beside the put under way.
// compress: its body is compressed.
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

// shift takes the first closed batch; it is prepared when the channel is closed.
func (st *stream) shift(compress bool) (*batch.Batch, <-chan struct{}) {
	st.prepare(compress)
	b, prepared := st.closed[0], st.prepared
	st.closed[0], st.prepared = nil, nil
	st.closed = st.closed[1:]
	return b, prepared
}

// idle reports whether nothing of it is under way or waits.
func (st *stream) idle() bool {
	return !st.busy && st.open == nil && len(st.closed) == 0 && len(st.trial.batches) == 0
}

// stream returns the stream of a name, which it makes if there is none.
func (s *Shipper) stream(name string) *stream {
	st := s.streams[name]
	if st == nil {
		st = &stream{Stream: deliver.Stream{Name: name, Head: batch.BodyHead(s.o.Client.Target().Group, name)}}
		s.streams[name] = st
	}
	return st
}

// start seals the inputs that are complete, and begins the deliveries that are due.
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
		if st.trialStalled() && (s.memory.short || now.Sub(st.trial.since) >= s.patience.trial) {
			s.probe(st, now)
		}
		if st.due(now, s.interval) {
			s.deliver(ctx, st)
		}
		st.prepare(s.deliverer.Compresses())
	}
}

// deliver begins the delivery of the first batch of st.
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

// stretch lengthens the flush interval while CloudWatch throttles: fewer, fuller puts. It shortens
// it again by less than it lengthened it: where a fleet has more to put than its quota, the
// interval settles where both keep the balance, which is at one throttled delivery in four and not
// in two.
func (s *Shipper) stretch(r deliver.Outcome) {
	if r.Throttled {
		s.interval = max(s.o.FlushInterval, min(2*s.interval, maxInterval))
	} else if r.Puts > 0 {
		s.interval = max(s.o.FlushInterval, s.interval/5*4)
	}
}
