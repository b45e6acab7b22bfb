package shipper

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// How long to wait between attempts.

// paces are those of the kinds of trouble.
type paces struct {
	chance  sprint
	steady  pace // throttling, credentials, and what is not there: trying again soon does not help
	denied  pace // changes of permissions take time to arrive, and asking does not hasten them
	refused pace // a target that refuses everything is somebody's to mend
}

var usual = paces{
	chance: sprint{
		first: 20 * time.Millisecond, most: time.Second, fresh: 8, known: 12,
		long: 15 * time.Second, longest: 20 * time.Second,
	},
	steady:  pace{200 * time.Millisecond, 20 * time.Second},
	denied:  pace{5 * time.Second, 30 * time.Second},
	refused: pace{15 * time.Second, 5 * time.Minute},
}

// pace doubles the pauses, with full jitter: from nothing to first, and in the end from nothing to
// most.
type pace struct{ first, most time.Duration }

func (p pace) begin() backoff.BackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(p.first/2), // the jitter is around this, up to its double
		backoff.WithMaxInterval(p.most/2),
		backoff.WithRandomizationFactor(1),
		backoff.WithMultiplier(2),
		backoff.WithMaxElapsedTime(0), // no end while the process lives
	)
}

// sprint is the pace for failures that may be chance: of an endpoint that fails half of all calls,
// say. The pauses are short as long as a run of failures can be chance, and long when it must be an
// outage. An endpoint that fails half of all calls fails n in a row once in 2^n times.
type sprint struct {
	first, most time.Duration // the short pauses grow from first to most
	// How many short pauses there are in a row: fresh as long as no call has ever succeeded, for
	// then an outage is likely; later known.
	fresh, known  int
	long, longest time.Duration // the bounds of the long pauses
}

// sprinting is a sprint under way. It implements backoff.BackOff.
type sprinting struct {
	sprint
	random   func() float64
	answered *atomic.Bool // a call has succeeded

	pauses int // since a call succeeded last
	last   time.Duration
}

func (s *sprinting) Reset() { s.pauses, s.last = 0, 0 }

// NextBackOff implements decorrelated jitter for the short pauses: each is between first and the
// triple of the one before it.
// https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
func (s *sprinting) NextBackOff() time.Duration {
	s.pauses++
	short := s.fresh
	if s.answered.Load() {
		short = s.known
	}
	if s.pauses > short {
		return s.between(s.long, s.longest)
	}
	s.last = min(s.between(s.first, 3*max(s.last, s.first)), s.most)
	return s.last
}

func (s *sprinting) between(a, b time.Duration) time.Duration {
	return a + time.Duration(s.random()*float64(b-a))
}

// wait returns after d, or with the context's cause when that ends before.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
