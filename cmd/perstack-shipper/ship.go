package main

import (
	"context"
	"os"

	"go.uber.org/zap"

	"perstack-shipper/config"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/run"
	"perstack-shipper/shipper/terminal"
)

// runShip ships stdin to its end, or follows the paths of --input.
func runShip(options *config.Ship, log *zap.Logger) int {
	client, err := connect(context.Background(), options.Target, options.Creation, log)
	if err != nil {
		return fail(err)
	}
	defer client.Close()
	to := run.Target{Client: client, Caller: cloudwatch.Caller(options.Caller), Creation: creationOf(options.Creation)}
	s, err := run.Open(optionsOf(options.Journal, options.Delivery, options.Metrics, options.Log, log), to, eventsOf(options.Events, options.Verdict))
	if err != nil {
		return fail(err)
	}
	defer s.Close()
	signals, stop := endSignals()
	defer stop()

	var outcome run.Outcome
	if len(options.Inputs) > 0 {
		outcome, err = s.Follow(run.FollowOptions{
			Paths: options.Inputs, Wait: options.InputWait, UntilIdle: options.UntilIdle, Signals: signals,
		})
		return outcomeCode(outcome, err)
	}
	if err := checkStdin(os.Stdin); err != nil {
		return fail(err)
	}
	stdin := run.StdinOptions{Stdin: os.Stdin, Terminal: terminal.Is(os.Stdin), Signals: signals}
	if options.Tee {
		stdin.Copy = os.Stdout
	}
	outcome, err = s.Stdin(stdin)
	return outcomeCode(outcome, err)
}
