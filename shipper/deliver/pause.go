package deliver

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// How long to wait between attempts.

// Paces are the pauses after each kind of failure.
type Paces struct {
	Chance Sprint // of network or service: it may pass at once
	// Throttled does not begin below a second: a quota is one of calls a second, and where a fleet
	// uses it up, retries within that second only take what others wait for.
	Throttled Pace
	Steady    Pace // credentials, and what is not there: trying again soon does not help
	Denied    Pace // changes of permissions take time to arrive, and asking does not hasten them
	Refused   Pace // a target that refuses everything is somebody's to mend
}

// Usual are the paces of the program, tried on fleets: see docs/fleet.md.
var Usual = Paces{
	Chance: Sprint{
		First: 20 * time.Millisecond, Most: time.Second, Fresh: 7, Known: 12,
		Long: 10 * time.Second, Longest: 20 * time.Second,
	},
	Throttled: Pace{time.Second, 20 * time.Second},
	Steady:    Pace{200 * time.Millisecond, 20 * time.Second},
	Denied:    Pace{5 * time.Second, 30 * time.Second},
	Refused:   Pace{15 * time.Second, 5 * time.Minute},
}

// Pace doubles the pauses, with full jitter: from nothing to First, and in the end from nothing to
// Most.
type Pace struct{ First, Most time.Duration }

// Begin returns the pauses of a new run of failures. They have no end.
func (p Pace) Begin() backoff.BackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(p.First/2), // the jitter is around this, up to its double
		backoff.WithMaxInterval(p.Most/2),
		backoff.WithRandomizationFactor(1),
		backoff.WithMultiplier(2),
		backoff.WithMaxElapsedTime(0), // no end while the process lives
	)
}

// Sprint is the pace for failures that may be chance: of an endpoint that fails half of all calls,
// say. The pauses are short as long as a run of failures can be chance, and long when it must be an
// outage. An endpoint that fails half of all calls fails n in a row once in 2^n times.
type Sprint struct {
	First, Most time.Duration // the short pauses grow from First to Most
	// Fresh and Known are how many short pauses there are in a row: Fresh as long as no call has
	// ever succeeded, because an outage is likely then; Known later.
	Fresh, Known int
	// Long and Longest bound the long pauses. They are far apart, so that the shippers whom an
	// outage met at the same moment soon try at different ones.
	Long, Longest time.Duration
}

// sprinting is a Sprint under way. It implements backoff.BackOff.
type sprinting struct {
	Sprint
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
	short := s.Fresh
	if s.answered.Load() {
		short = s.Known
	}
	if s.pauses > short {
		return s.between(s.Long, s.Longest)
	}
	s.last = min(s.between(s.First, 3*max(s.last, s.First)), s.Most)
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
