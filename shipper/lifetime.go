package shipper

import (
	"errors"
	"fmt"
	"time"
)

// GaveUpError says that Run ended because nothing had been acknowledged for too long.
type GaveUpError struct {
	After    time.Duration // Options.GiveUpAfter or HopelessAfter
	Hopeless bool          // it was HopelessAfter
	Cause    string        // what went wrong last, for a person; "" where nothing did
}

func (e *GaveUpError) Error() string { return fmt.Sprintf("no acknowledgement for %s", e.After) }

// errAllDone says that nothing is left that Run should wait for.
var errAllDone = errors.New("all is delivered")

// lifetime decides when Run ends. The process lives for its own inputs, if it has any or may get
// some; else for those that others left.
type lifetime struct {
	giveUpAfter, hopelessAfter, othersAfter time.Duration // see Options

	hasOwn     bool      // there are own inputs, or were, or may come
	ownDone    time.Time // since when none of them is left; zero: one is
	quietSince time.Time // since when nothing can come that the process lives for; zero: something can
	progress   time.Time // when something was acknowledged last, be it by the reader of --tee
}

// remaining is what remains to be delivered of the own inputs, or of the others.
type remaining struct {
	any   bool // there are such inputs
	grows bool // and bytes may come to one of them. Whether all is read does not count: memory may hold less than that.
}

// deliveries is what lifetime asks of the deliveries.
type deliveries interface {
	// Progress is when a put was accepted last.
	Progress() time.Time
	// Hopeless reports whether none ever was, and nothing but somebody's help will change that.
	Hopeless() bool
	// Cause says what went wrong last.
	Cause() string
}

// begin notes that Run begins. more: own inputs may come.
func (l *lifetime) begin(now time.Time, more bool) {
	l.progress, l.hasOwn = now, more
}

// isQuiet reports whether nothing can come that the process lives for: it only waits for
// acknowledgements.
func (l *lifetime) isQuiet() bool { return !l.quietSince.IsZero() }

// over returns why Run ends: errAllDone, a *GaveUpError, or nil where it does not. more: inputs may
// come.
func (l *lifetime) over(now time.Time, own, others remaining, more bool, d deliveries) error {
	if own.any {
		l.ownDone = time.Time{}
	} else if l.ownDone.IsZero() {
		l.ownDone = now
	}
	if more {
		return nil
	}
	if !own.any && !others.any {
		return errAllDone
	}
	if !own.any && l.hasOwn && now.Sub(l.ownDone) >= l.othersAfter {
		return errAllDone // what others left is for the next start
	}
	if own.grows || !l.hasOwn && others.grows {
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

// over returns why Run ends, or nil where it does not.
func (s *Shipper) over(now time.Time, more bool) error {
	var own, others remaining
	for _, in := range s.inputs.all {
		if in.done || s.mayLeave(in) {
			continue
		}
		r := &others
		if in.Own {
			r = &own
		}
		r.any, r.grows = true, r.grows || !in.ended()
	}
	return s.life.over(now, own, others, more, s.deliverer.Trouble)
}

// mayLeave reports whether Run may end although in goes on: all that has come is shipped, and nobody
// waits for what comes, as nobody does for an agent that outlived its shipper.
func (s *Shipper) mayLeave(in *input) bool {
	if in.Own {
		select {
		case <-s.o.Stop:
		default:
			return false
		}
	}
	return !in.ended() && in.caughtUp()
}
