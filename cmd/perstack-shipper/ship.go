package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/config"
	"perstack-shipper/shipper"
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

	stdin, release, err := shipper.Stoppable(end.reading, os.Stdin)
	if err != nil {
		return fail(fmt.Errorf("stdin: %w", err))
	}
	defer release()
	id := journal.NewID()
	shape := s.shape(id, options.Events)
	j, err := s.folder.NewPipe(id, s.aboutInput(shape, "", ""), s.keep)
	if err != nil {
		return fail(err)
	}
	in := shipper.Input{Journal: j, Shape: shape, Own: true}
	if options.Tee {
		in.Tee = shipper.StartTee(j, os.Stdout, s.log)
	}

	moving, stopMoving := context.WithCancel(end.running)
	moved := make(chan error, 1)
	go func() { moved <- shipper.Move(moving, stdin, j, in.Tee, s.log) }()
	code := s.run(end.running, []shipper.Input{in}, nil)
	stopMoving()
	// The mover is done, unless Run ended before the input did; then its read is cut short.
	end.stopReading()
	select {
	case err := <-moved:
		if err != nil && !errors.Is(err, context.Canceled) {
			s.log.Error(err.Error())
			code = max(code, exitRejected)
		}
	case <-time.After(time.Second): // a read that cannot be cut short ends with the process
	}
	return code
}
