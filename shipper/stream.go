package shipper

import (
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/deliver"
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
	// onTrial are batches that were refused as a whole, with no accepted put beside them: the next
	// put tells whether their events or the target are at fault.
	onTrial    []*batch.Batch
	trialSince time.Time // when the latest of them came

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

// trialStalled reports whether batches are on trial and nothing waits whose put would decide it.
func (st *stream) trialStalled() bool {
	return len(st.onTrial) > 0 && !st.busy && st.open == nil && len(st.closed) == 0
}

// earliest is the least share of the flush interval after which a batch is put. Each batch draws its
// own from there up to 1, so that shippers that were started in the same second, or got through to
// CloudWatch again in the same second, do not go on flushing together: after seven intervals they
// come evenly. It makes for a fifth more puts where lines come all the time.
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
func (st *stream) prepare() {
	if st.prepared != nil || len(st.closed) == 0 {
		return
	}
	b, head, done := st.closed[0], st.Head, make(chan struct{})
	st.prepared = done
	go func() {
		b.Prepare(head)
		close(done)
	}()
}

// shift takes the first closed batch; it is prepared when the channel is closed.
func (st *stream) shift() (*batch.Batch, <-chan struct{}) {
	st.prepare()
	b, prepared := st.closed[0], st.prepared
	st.closed[0], st.prepared = nil, nil
	st.closed = st.closed[1:]
	return b, prepared
}

// idle reports whether nothing of it is under way or waits.
func (st *stream) idle() bool {
	return !st.busy && st.open == nil && len(st.closed) == 0 && len(st.onTrial) == 0
}
