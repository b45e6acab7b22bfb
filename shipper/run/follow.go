package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/batch"
	"perstack-shipper/shipper"
	"perstack-shipper/shipper/feed"
	"perstack-shipper/shipper/follow"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/logfield"
	"perstack-shipper/shipper/snapshot"
)

// FollowOptions say what [Session.Follow] ships.
type FollowOptions struct {
	Paths     []string      // files, FIFOs and folders
	Wait      bool          // for paths that do not exist yet
	UntilIdle time.Duration // end when nothing has come for so long; 0: follow until a signal
	Signals   <-chan os.Signal
}

// Follow ships files and FIFOs that others write, until a signal, or until nothing has come for
// long enough. If a path cannot be followed, the error is an *OptionError.
func (s *Session) Follow(o FollowOptions) (Outcome, error) {
	end := newShutdown(o.Signals, s.delivery.DrainTimeout, s.patience, s.log)
	defer end.close()
	var set *follow.Set
	err := s.withRoom(end.running, func() error {
		known, err := s.known()
		if err != nil {
			return err
		}
		set, err = follow.New(follow.Options{
			Paths: o.Paths, Wait: o.Wait, UntilIdle: o.UntilIdle, Reading: end.reading,
			Folder: s.folder, Journal: s.keep, Known: known, About: s.aboutFollowed,
			Patience: s.patience.Follow, Log: s.log,
		})
		return err
	})
	if err != nil {
		return Failed, inputError(err)
	}

	// The set finds inputs until it is stopped. They are shipped until the last of them has ended.
	more := make(chan shipper.Input)
	alive, done := context.WithCancel(end.running)
	fifos := movers{running: alive, log: s.log}
	var first []shipper.Input
	for _, in := range set.Found() {
		first = append(first, s.followed(in, fifos.start(in)))
	}
	searched := make(chan struct{})
	go func() {
		defer close(searched)
		defer close(more)
		set.Run(end.signalled, alive, func(in *follow.Input) bool {
			quit := fifos.start(in)
			select {
			case more <- s.followed(in, quit):
				return true
			case <-alive.Done():
				quit()
				return false
			}
		})
	}()
	outcome := s.ship(end.running, first, more)
	done()
	<-searched
	end.endReading()
	if fifos.wait(); fifos.failed.Load() || len(set.Failed()) > 0 {
		outcome = max(outcome, Rejected)
	}
	if len(set.Left()) > 0 {
		outcome = max(outcome, Left)
	}
	return outcome, nil
}

// inputError makes an error about a path an error of the option --input.
func inputError(err error) error {
	_, input := errors.AsType[*follow.InputError](err)
	_, held := errors.AsType[*journal.HeldError](err)
	if input || held {
		return optionError("--input", "%v", err)
	}
	return err
}

// movers move the bytes of FIFOs to their journals.
type movers struct {
	running context.Context
	log     *zap.Logger
	going   sync.WaitGroup
	failed  atomic.Bool
}

// start starts a mover for in, if that is a FIFO. It returns a function that stops the mover.
func (m *movers) start(in *follow.Input) (quit func()) {
	if in.FIFO == nil {
		return func() {}
	}
	reading, stopReading := context.WithCancel(in.Reading)
	running, stopRunning := context.WithCancel(m.running)
	done := make(chan struct{})
	m.going.Go(func() {
		defer close(done)
		defer in.FIFO.Close()
		err := move(reading, running, in, m.log)
		if err != nil && !errors.Is(err, context.Canceled) {
			m.failed.Store(true)
			m.log.Error(fmt.Sprintf("%s: %v", in.Path, err), append(logfield.Of(err), logfield.Path(in.Path))...)
		}
	})
	return func() {
		stopReading()
		stopRunning()
		<-done
	}
}

func move(reading, running context.Context, in *follow.Input, log *zap.Logger) error {
	r, release, err := feed.Stoppable(reading, in.FIFO)
	if err != nil {
		return errors.Join(err, in.Pipe.End())
	}
	defer release()
	return feed.Move(running, r, in.Pipe, nil, log)
}

func (m *movers) wait() { m.going.Wait() }

// followed returns what the set has found as an input to ship. If an earlier process recorded its
// options, it is shipped with those. quit stops its mover.
func (s *Session) followed(in *follow.Input, quit func()) shipper.Input {
	shape := s.shapeOf(in.Journal.ID())
	shape.Source = follow.Source(in.Path)
	if a, err := decodeAbout(in.Journal.About()); err == nil && a.Shape.Input == shape.Input {
		if !sameOptions(a.Shape, shape) {
			s.log.Info(fmt.Sprintf("%s continues as input %s with the options it began with; the options given now are for new inputs", in.Path, shape.Input), logfield.Path(in.Path), logfield.Input(shape.Input))
		}
		shape = a.Shape
	}
	return shipper.Input{Journal: in.Journal, Shape: shape, Primary: true, JobOf: follow.JobOf(in.Path), Path: in.Path, Grew: in.Grew, Ending: endingOf(in), Quit: quit, Shaped: in.Shaped, Closed: in.Close}
}

// sameOptions reports whether two shapes of an input come from the same options. The names of its
// host and its file may have changed.
func sameOptions(a, b batch.Shape) bool {
	a.Hostname, a.Source = b.Hostname, b.Source
	return reflect.DeepEqual(a, b)
}

// endingOf returns a function that says, once in has ended, what that means.
func endingOf(in *follow.Input) func() shipper.Ending {
	return func() shipper.Ending {
		switch paused, inLine := in.Paused(); {
		case inLine:
			return shipper.PausedInLine
		case paused:
			return shipper.Paused
		}
		return shipper.Finished
	}
}

// aboutFollowed returns the snapshot of an input of a file or a FIFO. If there is an old snapshot,
// it keeps the options.
func (s *Session) aboutFollowed(id string, note follow.Note, old []byte) []byte {
	a, err := decodeAbout(old)
	if err != nil || a.Shape.Input != id {
		shape := s.shapeOf(id)
		shape.Source = follow.Source(note.Path)
		a = s.newAbout(shape, follow.JobOf(note.Path), note.Path)
	}
	a.File = &note
	return a.encode()
}

// known returns the inputs in the journal folder. If a newer program follows a file there, the
// error is an *OptionError, because following that file from its beginning would ship all of it
// again.
func (s *Session) known() ([]follow.Known, error) {
	left, err := s.folder.Leftover()
	if err != nil {
		s.log.Warn(fmt.Sprintf("what earlier processes left in %s cannot be listed: %v", s.folder.Path(), err), logfield.Folder(s.folder.Path()))
	}
	var all []follow.Known
	for _, l := range left {
		k := follow.Known{Left: l, Mine: true}
		a, err := readAbout(l)
		if _, newer := errors.AsType[*snapshot.NewerError](err); newer && l.Kind == journal.KindFile {
			return nil, optionError("--journal-dir", "has an input that this program cannot continue: %v, or name another folder", err)
		}
		if err == nil {
			k.Mine = sameTarget(a.Target, s.client.Target())
			if k.Note.Path = a.Path; a.File != nil {
				k.Note = *a.File
			}
		}
		all = append(all, k)
	}
	return all, nil
}
