package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// stopReading is how long before the deadline the input is read no more: what was read must still be shipped.
const stopReading = 3 * time.Second

var (
	errDeadline     = errors.New("the drain timeout is over")
	errSecondSignal = errors.New("stopped by a second signal")
)

// ending is how a signal ends the process: one deadline for everything.
type ending struct {
	signalled context.Context // ends at the first signal
	reading   context.Context // ends when the input is to be read no more
	running   context.Context // ends at the deadline

	signal      context.CancelFunc
	stopReading context.CancelFunc
	stopRunning context.CancelCauseFunc
	signals     chan os.Signal
	done        chan struct{}
}

// newEnding waits for the first SIGTERM, SIGINT or SIGHUP and then gives everything drain; a second one ends it now. Call close when done.
func newEnding(drain time.Duration, log *zap.Logger) *ending {
	e := &ending{signals: make(chan os.Signal, 4), done: make(chan struct{})}
	e.signalled, e.signal = context.WithCancel(context.Background())
	e.reading, e.stopReading = context.WithCancel(context.Background())
	e.running, e.stopRunning = context.WithCancelCause(context.Background())
	for _, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt, syscall.SIGHUP} {
		if !signal.Ignored(sig) { // nohup, or a shell's background job: the agent outlives it, and so does its reader
			signal.Notify(e.signals, sig)
		}
	}
	go e.wait(drain, log)
	return e
}

func (e *ending) wait(drain time.Duration, log *zap.Logger) {
	var s os.Signal
	select {
	case s = <-e.signals:
	case <-e.done:
		return
	}
	deadline := time.NewTimer(drain)
	defer deadline.Stop()
	reading := time.NewTimer(drain - min(stopReading, drain/2))
	defer reading.Stop()
	e.signal()
	// Not before the clock runs, nor in its way: a stderr that nobody reads must not stop the end.
	go log.Info(fmt.Sprintf("%v: shipping what is left, for at most %s; another signal stops at once", s, drain))
	for {
		select {
		case <-reading.C:
			e.stopReading()
		case <-deadline.C:
			e.stopRunning(errDeadline)
			return
		case <-e.signals:
			e.stopReading()
			e.stopRunning(errSecondSignal)
			return
		case <-e.done:
			return
		}
	}
}

func (e *ending) close() {
	signal.Stop(e.signals)
	close(e.done)
	e.signal()
	e.stopReading()
	e.stopRunning(nil)
}
