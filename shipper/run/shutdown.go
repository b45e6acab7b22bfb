package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"
)

// sameSignal is how soon after the first signal another of the same kind counts as the same signal:
// timeout(1) signals its command, and then the process group that the command is in. Nobody presses
// Ctrl-C twice that fast.
const sameSignal = 100 * time.Millisecond

var (
	errDeadline     = errors.New("the drain timeout has expired")
	errSecondSignal = errors.New("stopped by a second signal")
)

// shutdown ends a run on a signal, with one deadline for everything.
type shutdown struct {
	signalled context.Context // ends at the first signal
	reading   context.Context // ends when the input should no longer be read
	running   context.Context // ends at the deadline

	endSignalled context.CancelFunc
	endReading   context.CancelFunc
	endRunning   context.CancelCauseFunc
	interrupted  chan struct{} // receives from interrupt
	closed       chan struct{}
}

// newShutdown waits for the first of signals and then gives the whole run drain to end. A second
// signal ends the run at once, except as in [sameSignal]. signals may be nil. Call close when done.
func newShutdown(signals <-chan os.Signal, drain time.Duration, patience Patience, log *zap.Logger) *shutdown {
	s := &shutdown{interrupted: make(chan struct{}, 1), closed: make(chan struct{})}
	s.signalled, s.endSignalled = context.WithCancel(context.Background())
	s.reading, s.endReading = context.WithCancel(context.Background())
	s.running, s.endRunning = context.WithCancelCause(context.Background())
	deliver := cmp.Or(patience.Deliver, min(3*time.Second, drain/2))
	go s.wait(signals, drain, deliver, log)
	return s
}

func (s *shutdown) wait(signals <-chan os.Signal, drain, deliver time.Duration, log *zap.Logger) {
	var first os.Signal
	select {
	case first = <-signals:
	case <-s.interrupted:
		first = os.Interrupt
	case <-s.closed:
		return
	}
	began := time.Now()
	deadline := time.NewTimer(drain)
	defer deadline.Stop()
	reading := time.NewTimer(drain - deliver)
	defer reading.Stop()
	s.endSignalled()
	// The deadline does not wait for this message: a stderr that nobody reads must not delay the
	// end.
	go log.Info(fmt.Sprintf("%v: shipping what is left, for at most %s; another signal stops at once", first, drain), zap.Stringer("signal", first), zap.Float64("seconds", drain.Seconds()))
	for {
		select {
		case <-reading.C:
			s.endReading()
			continue
		case <-deadline.C:
			s.endRunning(errDeadline)
			return
		case again := <-signals:
			if again == first && time.Since(began) < sameSignal {
				continue
			}
		case <-s.interrupted:
		case <-s.closed:
			return
		}
		s.endReading()
		s.endRunning(errSecondSignal)
		return
	}
}

// interrupt counts as a signal. It never blocks, because one pending interrupt is enough.
func (s *shutdown) interrupt() {
	select {
	case s.interrupted <- struct{}{}:
	default:
	}
}

func (s *shutdown) close() {
	close(s.closed)
	s.endSignalled()
	s.endReading()
	s.endRunning(nil)
}
