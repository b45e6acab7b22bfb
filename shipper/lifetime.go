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

// lifetime decides when Run ends. The process lives for its primary inputs if it has any or may get
// some, and otherwise for those that earlier processes left.
type lifetime struct {
	giveUpAfter, hopelessAfter, othersAfter time.Duration // see Options

	hasPrimary  bool      // there are primary inputs, or were, or may come
	primaryDone time.Time // since when none of them is left; zero: one is
	quietSince  time.Time // since when nothing can come that the process lives for; zero: something can
	progress    time.Time // when something was acknowledged last, be it by the reader of --tee
}

// remaining is what remains to be delivered of the primary inputs, or of the others.
type remaining struct {
	any bool // there are such inputs
	// grows says that one of them may still get bytes. It does not matter whether they are all
	// read: memory may hold less than that.
	grows bool
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

// begin notes that Run begins. more: primary inputs may come.
func (l *lifetime) begin(now time.Time, more bool) {
	l.progress, l.hasPrimary = now, more
}

// isQuiet reports whether nothing can come that the process lives for: it only waits for
// acknowledgements.
func (l *lifetime) isQuiet() bool { return !l.quietSince.IsZero() }

// over returns why Run ends: errAllDone, a *GaveUpError, or nil where it does not. more: inputs may
// come.
func (l *lifetime) over(now time.Time, primary, others remaining, more bool, d deliveries) error {
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
		return errAllDone // what others left is for the next start
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

// over returns why Run ends, or nil where it does not.
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

// mayLeave reports whether Run may end although an input goes on: everything that has come is
// shipped, and nobody waits for the rest, as with an agent that outlived its shipper.
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
