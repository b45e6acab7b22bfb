package shipper

import (
	"errors"
	"fmt"
	"time"
)

// GaveUpError says that Run ended because nothing had been acknowledged for too long.
type GaveUpError struct {
	After    time.Duration // Options.GiveUpAfter or HopelessAfter
	Hopeless bool          // After is HopelessAfter
	Cause    string        // the latest problem, for a person; "" if there was none
}

func (e *GaveUpError) Error() string { return fmt.Sprintf("no acknowledgement for %s", e.After) }

// errAllDone means that Run need not wait for anything more.
var errAllDone = errors.New("all is delivered")

// lifetime decides when Run ends. The process lives for its primary inputs if it has any or may get
// some, and otherwise for the inputs that earlier processes left.
type lifetime struct {
	giveUpAfter, hopelessAfter, othersAfter time.Duration // see Options

	hasPrimary  bool      // there are or were primary inputs, or some may come
	primaryDone time.Time // when the last of them was done; zero: some are left
	quietSince  time.Time // since when no input can come that the process lives for; zero: some can
	progress    time.Time // when CloudWatch, or the reader of --tee, last acknowledged something
}

// remaining describes the undelivered inputs: the primary ones, or the others.
type remaining struct {
	any bool // there are such inputs
	// grows is whether one of them may still get bytes. Whether all bytes are read does not matter,
	// because memory may hold only some of them.
	grows bool
}

// deliveryState is what lifetime needs to know about deliveries.
type deliveryState interface {
	// Progress returns when a put was last accepted.
	Progress() time.Time
	// Hopeless reports whether no put was ever accepted, for a reason that a person must remove.
	Hopeless() bool
	// Cause returns the latest problem.
	Cause() string
}

// begin notes that Run begins. more is whether primary inputs may come.
func (l *lifetime) begin(now time.Time, more bool) {
	l.progress, l.hasPrimary = now, more
}

// isQuiet reports whether no input can come that the process lives for, so that it waits only for
// acknowledgements.
func (l *lifetime) isQuiet() bool { return !l.quietSince.IsZero() }

// over returns why Run should end: errAllDone or a [*GaveUpError]. It returns nil if Run should go
// on. more is whether inputs may come.
func (l *lifetime) over(now time.Time, primary, others remaining, more bool, d deliveryState) error {
	if primary.any {
		l.primaryDone = time.Time{}
	} else if l.primaryDone.IsZero() {
		l.primaryDone = now
	}
	if more {
		return nil
	}
	if !primary.any && !others.any {
		return errAllDone
	}
	if !primary.any && l.hasPrimary && now.Sub(l.primaryDone) >= l.othersAfter {
		return errAllDone // the next start ships the other inputs
	}
	if primary.grows || !l.hasPrimary && others.grows {
		l.quietSince = time.Time{}
		return nil
	}
	if l.quietSince.IsZero() {
		l.quietSince = now
	}
	idle := min(now.Sub(l.quietSince), now.Sub(l.progress), now.Sub(d.Progress()))
	if idle >= l.giveUpAfter {
		return &GaveUpError{After: l.giveUpAfter, Cause: d.Cause()}
	}
	if idle >= l.hopelessAfter && d.Hopeless() {
		return &GaveUpError{After: l.hopelessAfter, Hopeless: true, Cause: d.Cause()}
	}
	return nil
}

// over returns why Run should end, or nil if it should go on. more is whether inputs may come.
func (s *Shipper) over(now time.Time, more bool) error {
	var primary, others remaining
	for _, in := range s.inputs.all {
		if in.done || s.mayLeave(in) {
			continue
		}
		r := &others
		if in.Primary {
			r = &primary
		}
		r.any, r.grows = true, r.grows || !in.ended()
	}
	return s.life.over(now, primary, others, more, s.deliverer.Trouble)
}

// mayLeave reports whether Run may end before the input does: everything that has arrived is
// shipped, and nobody waits for the rest, as when an agent has outlived its shipper.
func (s *Shipper) mayLeave(in *input) bool {
	if in.Primary {
		select {
		case <-s.o.Stop:
		default:
			return false
		}
	}
	return !in.ended() && in.caughtUp()
}
