package shipper

import (
	"sync/atomic"
	"time"

	"perstack-shipper/batch"
)

// stream is one log stream: what waits for it, in order. The loop owns it, but for created.
type stream struct {
	name string
	head []byte // the beginning of each request body for it

	open   *batch.Batch // being filled; nil: none
	since  time.Time    // when the first event came into open
	closed []*batch.Batch
	// prepared is closed when the first of closed is prepared; nil: nobody has begun to.
	prepared chan struct{}
	lones    []*batch.Batch // refused as a whole, with no neighbour that was taken: the next put tells whose fault that is
	lonely   time.Time      // when that came

	counted bool // the report knows of it
	busy    bool // a delivery is under way: one put in flight per stream
	hurry   bool // do not wait for the flush interval: an input that writes here has ended
	// failures counts what came to nothing since something was accepted. The delivery under way counts, and the loop asks.
	failures atomic.Int32
	created  bool // it is there, as far as we know; owned by the delivery under way, else by the loop
}

// failing reports whether the stream is in trouble that may be its own. A single failure of the network or the service is no sign of that.
func (st *stream) failing() bool { return st.failures.Load() > 1 }

// due reports whether a batch should be put now.
func (st *stream) due(now time.Time, interval time.Duration) bool {
	if st.busy {
		return false
	}
	return len(st.closed) > 0 || st.open != nil && (st.hurry || now.Sub(st.since) >= interval)
}

// forlorn reports whether nothing is there that would judge lone events.
func (st *stream) forlorn() bool {
	return len(st.lones) > 0 && !st.busy && st.open == nil && len(st.closed) == 0
}

// dueAt is when the open batch is due.
func (st *stream) dueAt(interval time.Duration) time.Time { return st.since.Add(interval) }

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
	b, done := st.closed[0], make(chan struct{})
	st.prepared = done
	go func() {
		b.Prepare(st.head)
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

// waiting is how many closed batches wait.
func (st *stream) waiting() int { return len(st.closed) }

// idle reports whether nothing of it is under way or waits.
func (st *stream) idle() bool {
	return !st.busy && st.open == nil && len(st.closed) == 0 && len(st.lones) == 0
}
