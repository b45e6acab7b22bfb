package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"perstack-shipper/batch"
	"perstack-shipper/config"
	"perstack-shipper/shipper"
	"perstack-shipper/shipper/feed"
	"perstack-shipper/shipper/follow"
	"perstack-shipper/shipper/journal"
)

// shipInputs follows the paths of --input until a signal, or until nothing came for --until-idle.
func (s *session) shipInputs(options *config.Ship) int {
	end := newEnding(options.DrainTimeout, s.log)
	defer end.close()
	var set *follow.Set
	err := s.withRoom(end.running, func() (err error) {
		set, err = follow.New(follow.Options{
			Paths: options.Inputs, Wait: options.InputWait, UntilIdle: options.UntilIdle, Reading: end.reading,
			Folder: s.folder, Journal: s.keep, Known: s.known(), Log: s.log,
			About: func(id string, note follow.Note, old []byte) []byte {
				return s.aboutFollowed(id, note, old, options.Events)
			},
		})
		return err
	})
	if err != nil {
		return fail(inputUsage(err))
	}

	// The set finds inputs until it is stopped; they are shipped until the last of them has ended.
	more := make(chan shipper.Input)
	alive, done := context.WithCancel(end.running)
	fifos := movers{running: alive, log: s.log}
	var first []shipper.Input
	for _, in := range set.Found() {
		first = append(first, s.followed(in, options.Events, fifos.start(in)))
	}
	searched := make(chan struct{})
	go func() {
		defer close(searched)
		defer close(more)
		set.Run(end.signalled, alive, func(in *follow.Input) bool {
			quit := fifos.start(in)
			select {
			case more <- s.followed(in, options.Events, quit):
				return true
			case <-alive.Done():
				quit()
				return false
			}
		})
	}()
	code := s.run(end.running, first, more, options.FailOn)
	done()
	<-searched
	end.stopReading()
	if fifos.wait(); fifos.failed.Load() || len(set.Failed()) > 0 {
		code = max(code, exitRejected)
	}
	if len(set.Left()) > 0 {
		code = max(code, exitLeft)
	}
	return code
}

// inputUsage makes errors of --input those of a wrong option.
func inputUsage(err error) error {
	_, input := errors.AsType[*follow.InputError](err)
	_, held := errors.AsType[*journal.HeldError](err)
	if input || held {
		return config.Usage("--input", "%v", err)
	}
	return err
}

// movers move what comes out of FIFOs to their journals.
type movers struct {
	running context.Context
	log     *zap.Logger
	going   sync.WaitGroup
	failed  atomic.Bool
}

// start starts one for in, if that is a FIFO, and returns what stops it.
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
			m.log.Error(fmt.Sprintf("%s: %v", in.Path, err))
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
		return errors.Join(err, in.Journal.End())
	}
	defer release()
	return feed.Move(running, r, in.Journal, nil, log)
}

func (m *movers) wait() { m.going.Wait() }

// followed is what was found, as an input to ship: with the options that it was recorded with, if it was. quit stops its mover.
func (s *session) followed(in *follow.Input, events config.Events, quit func()) shipper.Input {
	shape := s.shape(in.Journal.ID(), events)
	shape.Source = follow.Source(in.Path)
	var a about
	if err := json.Unmarshal(in.Journal.About(), &a); err == nil && a.Shape.Input == shape.Input {
		if now := shape; !sameOptions(a.Shape, now) {
			s.log.Info(fmt.Sprintf("%s goes on as input %s with the options that it began with; those given now are for what is new", in.Path, shape.Input))
		}
		shape = a.Shape
	}
	return shipper.Input{Journal: in.Journal, Shape: shape, Own: true, JobOf: follow.JobOf(in.Path), Path: in.Path, Grew: in.Grew, Ending: endingOf(in), Quit: quit, Shaped: in.Shaped, Closed: in.Close}
}

// sameOptions reports whether two shapes of an input are by the same options; its host and its file may have other names now.
func sameOptions(a, b batch.Shape) bool {
	a.Hostname, a.Source = b.Hostname, b.Source
	return reflect.DeepEqual(a, b)
}

// endingOf says, when in has ended, what that means.
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

// aboutFollowed is the snapshot for an input of a file or a FIFO. One that there is keeps its options.
func (s *session) aboutFollowed(id string, note follow.Note, old []byte, events config.Events) []byte {
	var a about
	if json.Unmarshal(old, &a) != nil || a.Shape.Input != id {
		shape := s.shape(id, events)
		shape.Source = follow.Source(note.Path)
		a = s.newAbout(shape, follow.JobOf(note.Path), note.Path)
	}
	a.File = &note
	return a.encode()
}

// known are the inputs that the journal folder has.
func (s *session) known() []follow.Known {
	left, err := s.folder.Leftover()
	if err != nil {
		s.log.Warn(fmt.Sprintf("what earlier processes left in %s cannot be listed: %v", s.folder.Path(), err))
	}
	var all []follow.Known
	for _, l := range left {
		k := follow.Known{Left: l, Mine: true}
		if a, err := readAbout(l); err == nil {
			k.Mine = sameTarget(a.Target, s.client.Target())
			if k.Note.Path = a.Path; a.File != nil {
				k.Note = *a.File
			}
		}
		all = append(all, k)
	}
	return all
}
