package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"perstack-shipper/shipper"
	"perstack-shipper/shipper/feed"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/logfield"
)

// StdinOptions say what [Session.Stdin] reads.
type StdinOptions struct {
	Stdin    *os.File
	Terminal bool      // Stdin is a terminal
	Copy     io.Writer // gets what is read, unchanged; nil: no copy
	Signals  <-chan os.Signal
}

// Stdin ships stdin, until its end or until a signal.
func (s *Session) Stdin(o StdinOptions) (Outcome, error) {
	end := newShutdown(o.Signals, s.delivery.DrainTimeout, s.patience, s.log)
	defer end.close()

	reading := end.reading
	if o.Terminal {
		s.log.Info("reading the terminal: Ctrl-D ends the input; to ship a file, use --input FILE or <FILE")
		reading = end.signalled // nobody types any more after Ctrl-C
	}
	stdin, release, err := feed.Stoppable(reading, o.Stdin)
	if err != nil {
		return Failed, fmt.Errorf("stdin: %w", err)
	}
	defer release()
	id := journal.NewID()
	shape := s.shapeOf(id)
	var j *journal.Pipe
	err = s.withRoom(end.running, func() (err error) {
		j, err = s.folder.NewPipe(id, s.newAbout(shape, "", "").encode(), s.keep)
		return err
	})
	if err != nil {
		return Failed, err
	}
	in := shipper.Input{Journal: j.Journal, Shape: shape, Primary: true}
	if o.Copy != nil {
		in.Tee = feed.StartTee(j.Journal, o.Copy, s.patience.Feed, s.log)
	}

	moving, stopMoving := context.WithCancel(end.running)
	moved := make(chan error, 1)
	go func() { moved <- feed.Move(moving, stdin, j, in.Tee, s.log) }()
	var lost error
	in.Quit = sync.OnceFunc(func() {
		stopMoving()
		end.endReading()
		select {
		case lost = <-moved:
		// A read that cannot be interrupted ends with the process.
		case <-time.After(s.patience.Read):
		}
	})
	outcome := s.ship(end.running, []shipper.Input{in}, nil)
	in.Quit() // the mover has ended, or the loop has called Quit already
	if lost != nil && !errors.Is(lost, context.Canceled) {
		s.log.Error(lost.Error(), logfield.Of(lost)...)
		outcome = max(outcome, Rejected)
	}
	return outcome, nil
}
