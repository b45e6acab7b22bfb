package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/config"
	"perstack-shipper/shipper"
	"perstack-shipper/shipper/feed"
	"perstack-shipper/shipper/journal"
)

// runShip ships stdin until its end.
func runShip(options *config.Ship, log *zap.Logger) int {
	s, err := newSession(options.Target, options.Delivery, options.Creation, options.Journal, log)
	if err != nil {
		return fail(err)
	}
	defer s.close()
	if len(options.Inputs) > 0 {
		return s.shipInputs(options)
	}
	return s.shipStdin(options)
}

func (s *session) shipStdin(options *config.Ship) int {
	if err := checkStdin(os.Stdin); err != nil {
		return fail(err)
	}
	end := newEnding(options.DrainTimeout, s.log)
	defer end.close()

	reading := end.reading
	if isTerminal(os.Stdin) {
		s.log.Info("reading the terminal: Ctrl-D ends the input; to ship a file, use --input FILE or <FILE")
		reading = end.signalled // nobody types on after Ctrl-C
	}
	stdin, release, err := feed.Stoppable(reading, os.Stdin)
	if err != nil {
		return fail(fmt.Errorf("stdin: %w", err))
	}
	defer release()
	id := journal.NewID()
	shape := s.shape(id, options.Events)
	var j *journal.Journal
	err = s.withRoom(end.running, func() (err error) {
		j, err = s.folder.NewPipe(id, s.aboutInput(shape, "", ""), s.keep)
		return err
	})
	if err != nil {
		return fail(err)
	}
	in := shipper.Input{Journal: j, Shape: shape, Own: true}
	if options.Tee {
		in.Tee = feed.StartTee(j, os.Stdout, s.log)
	}

	moving, stopMoving := context.WithCancel(end.running)
	moved := make(chan error, 1)
	go func() { moved <- feed.Move(moving, stdin, j, in.Tee, s.log) }()
	var lost error
	in.Quit = sync.OnceFunc(func() {
		stopMoving()
		end.stopReading()
		select {
		case lost = <-moved:
		case <-time.After(time.Second): // a read that cannot be cut short ends with the process
		}
	})
	code := s.run(end.running, []shipper.Input{in}, nil, options.FailOn)
	in.Quit() // the mover is done, or Run has done this
	if lost != nil && !errors.Is(lost, context.Canceled) {
		s.log.Error(lost.Error())
		code = max(code, exitRejected)
	}
	return code
}
