package deliver

// This file says how long to wait between attempts.

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Paces are the pauses after each kind of failure.
type Paces struct {
	Chance Sprint // failures of the network or the service, which may pass at once
	// Throttled starts at a second, because quotas count calls per second. When a fleet uses up a
	// quota, retries within the same second only take calls from others.
	Throttled Pace
	Steady    Pace // credentials, and missing groups or streams: retrying soon does not help
	Denied    Pace // permission changes take time to arrive, and retries do not speed them up
	Refused   Pace // a target that refuses everything, which somebody must fix
}

// Usual are the paces of the program. They were tuned on simulated fleets: see docs/fleet.md.
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

// Pace doubles the pauses, with full jitter: from [0, First] at first to [0, Most] in the end.
type Pace struct{ First, Most time.Duration }

// Begin returns an endless series of pauses for a new run of failures.
func (p Pace) Begin() backoff.BackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(p.First/2), // the jitter ranges from zero to double this
		backoff.WithMaxInterval(p.Most/2),
		backoff.WithRandomizationFactor(1),
		backoff.WithMultiplier(2),
		backoff.WithMaxElapsedTime(0), // never stop
	)
}

// Sprint is the pace for failures that may be chance, such as those of an endpoint that fails half
// of all calls. Pauses are short as long as a run of failures may be chance, and long once it must
// be an outage. An endpoint that fails half of all calls fails n in a row once in 2^n times.
type Sprint struct {
	First, Most time.Duration // the short pauses grow from First to Most
	// Fresh and Known are the number of short pauses in a row. Fresh applies until a call has
	// succeeded, because an outage is likely then; Known applies later.
	Fresh, Known int
	// Long and Longest bound the long pauses. They are far apart, so that shippers hit by the same
	// outage soon retry at different moments.
	Long, Longest time.Duration
}

// sprinting is a Sprint under way. It implements backoff.BackOff.
type sprinting struct {
	Sprint
	random   func() float64
	answered *atomic.Bool // whether a call has ever succeeded

	pauses int // since the last success
	last   time.Duration
}

// Reset forgets the pauses, after a success.
func (s *sprinting) Reset() { s.pauses, s.last = 0, 0 }

// NextBackOff implements decorrelated jitter for the short pauses: each is between First and three
// times the one before it.
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

// wait returns nil after d, or the context's cause if the context ends first.
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
