package run

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"go.uber.org/zap"

	"perstack-shipper/shipper"
	"perstack-shipper/shipper/feed"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/logfield"
)

// mover moves what a command writes to a FIFO into the FIFO's journal.
type mover struct {
	j                        *journal.Pipe
	stopReading, stopRunning context.CancelFunc
	done                     chan struct{}
	failed                   bool        // set when it is done
	goesOn                   atomic.Bool // set as it ends the journal: some process still writes it
}

// startMover starts the mover of j, which has a FIFO. tee, if not nil, copies j. When the FIFO
// ends, the mover ends the journal. Before that it waits until ended is closed, if that is not nil,
// because the seal says how the command ended.
func startMover(j *journal.Pipe, tee *feed.Tee, ended <-chan struct{}, log *zap.Logger) *mover {
	m := &mover{j: j, done: make(chan struct{})}
	var reading, running context.Context
	reading, m.stopReading = context.WithCancel(context.Background())
	running, m.stopRunning = context.WithCancel(context.Background())
	go func() {
		defer close(m.done)
		err := fill(reading, running, j, tee, log)
		if ended != nil {
			select {
			case <-ended:
			case <-reading.Done():
			}
		}
		writer, _ := j.HasWriter() // nothing else takes bytes out of the FIFO now
		m.goesOn.Store(writer)
		if end := j.End(); err == nil {
			err = end
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			m.failed = true
			log.Error(fmt.Sprintf("input %s: %v", j.ID(), err), append(logfield.Of(err), logfield.Input(j.ID()))...)
		}
	}()
	return m
}

func fill(reading, running context.Context, j *journal.Pipe, tee *feed.Tee, log *zap.Logger) error {
	r, release, err := feed.Stoppable(reading, j.FIFO())
	if err != nil {
		return err
	}
	defer release()
	return feed.Fill(running, r, j, tee, log)
}

// finish makes the mover move what is in the FIFO now, and then end the journal.
func (m *mover) finish() { m.stopReading() }

// quit is finish, except that the mover does not wait for room in the journal. quit returns when
// the mover is done.
func (m *mover) quit() {
	m.stopReading()
	m.stopRunning()
	<-m.done
}

// ending returns what the end of the journal means. If the mover was stopped or has failed, some
// process may still write the FIFO, and the next start reads on.
func (m *mover) ending() shipper.Ending {
	if m.goesOn.Load() {
		return shipper.PausedInLine
	}
	return shipper.Finished
}

// hasFailed waits until the mover is done, and reports whether some of what the command wrote could
// not be moved. Call it when the journal is delivered or given up.
func (m *mover) hasFailed() bool {
	m.quit()
	return m.failed
}

// isDone reports whether the mover is done. It ends by itself when no process has the FIFO open for
// writing any more.
func (m *mover) isDone() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}
