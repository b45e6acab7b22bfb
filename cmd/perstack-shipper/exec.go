package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"go.uber.org/zap"

	"perstack-shipper/config"
	"perstack-shipper/shipper/child"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/disk"
	"perstack-shipper/shipper/run"
	"perstack-shipper/shipper/terminal"
)

// runExec runs a command, ships its output and exits with its exit code.
func runExec(options *config.Exec, log *zap.Logger) int {
	if !disk.KnowsWriters {
		return fail(config.Usage("exec", "needs Linux; on this system, ship through a pipe: COMMAND 2>&1 | %s", config.Program))
	}
	file, err := child.Find(options.Command[0], os.Getenv("PATH"))
	if err != nil {
		return failStart(err)
	}
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

	command := run.ExecOptions{
		File: file, Command: options.Command, Stdin: os.Stdin, PipeStdout: options.Stdout == config.StdoutPipe, Signals: signals,
	}
	tee := options.Tee
	if tee == "" {
		if tee = config.TeeStderr; terminal.Is(os.Stdout) {
			tee = config.TeeAll
		}
	}
	if tee == config.TeeAll {
		command.CopyStdout = os.Stdout
	}
	if tee != config.TeeNone {
		command.CopyStderr = os.Stderr
	}
	result, err := s.Exec(command)
	if err != nil {
		return failStart(err)
	}
	return execCode(options, &result, log)
}

// execCode returns the command's own exit code if that is not 0, or else the one for the outcome of
// shipping. --left-code takes precedence over both.
func execCode(options *config.Exec, result *run.ExecResult, log *zap.Logger) int {
	code := outcomeCode(result.Outcome, nil)
	if result.Ended && result.Code != exitOK {
		code = result.Code
	}
	if !result.Left || options.LeftCode == 0 || options.LeftCode == code {
		return code
	}
	if result.Ended {
		log.Info(fmt.Sprintf("the command exited with %d; the exit code is %d (--left-code), because not all of its output is delivered", result.Code, options.LeftCode))
	}
	return options.LeftCode
}

// failStart prints why the command cannot be run, and returns the exit code that a shell would.
func failStart(err error) int {
	code := fail(err)
	if start, ok := errors.AsType[*child.StartError](err); ok {
		return start.Code
	}
	return code
}
