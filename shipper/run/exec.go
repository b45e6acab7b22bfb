package run

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"perstack-shipper/shipper"
	"perstack-shipper/shipper/child"
)

// ExecOptions say which command [Session.Exec] runs, and how.
type ExecOptions struct {
	File    string   // of the program: see child.Find
	Command []string // its name and its arguments
	Stdin   *os.File
	// PipeStdout makes the command's stdout a FIFO in the journal folder instead of a file. The
	// command may open a FIFO by name.
	PipeStdout bool
	// CopyStdout and CopyStderr get what the command writes; nil: no copy.
	CopyStdout, CopyStderr io.Writer
	// Signals ask the run to end. Package child passes signals on to the command by itself.
	Signals <-chan os.Signal
}

// ExecResult says how a command ended, and what happened to its output.
type ExecResult struct {
	// Outcome is the outcome of shipping. It is Failed if the command succeeded and a job did not;
	// see Events.FailOn.
	Outcome Outcome
	Left    bool // some of the output is left in the journal, or still to be written
	Ended   bool // the command has ended; otherwise it is still running
	Code    int  // its exit code, as a shell would report it
}

// Exec runs a command and ships what it writes. The error is a *child.StartError if the command
// could not be started.
func (s *Session) Exec(o ExecOptions) (ExecResult, error) {
	command := child.New(s.patience.Child)
	defer command.Close()
	end := newShutdown(o.Signals, s.delivery.DrainTimeout, s.patience, s.log)
	defer end.close()
	s.command = withoutSecrets(o.Command)
	var out *commandOutput
	err := s.withRoom(end.running, func() (err error) {
		out, err = s.newCommandOutput(&o, command)
		return err
	})
	if err != nil {
		return ExecResult{}, err
	}
	if err := command.Start(o.File, o.Command, o.Stdin, out.stdout.end, out.stderr.end); err != nil {
		return ExecResult{}, errors.Join(err, out.abandon())
	}
	inputs := out.started()
	for i := range inputs {
		inputs[i].Command = s.command
		inputs[i].Exit = func() *shipper.Exit { return commandExit(command) }
	}

	guarding, unguard := context.WithCancel(context.Background())
	var beside sync.WaitGroup
	if out.guard != nil {
		beside.Go(func() { out.guard.Run(guarding) })
	}
	beside.Go(func() { out.waitForEnd(end) })
	inputs = append(inputs, s.leftovers()...)
	unguardSurvivors := s.guardSurvivors()
	report, why := shipper.New(s.options()).Run(end.running, inputs, nil)
	end.endRunning(nil)
	unguardSurvivors()
	unguard()
	beside.Wait()

	shipped := s.conclude(report, why)
	if out.failed() {
		shipped = max(shipped, Rejected)
	}
	out.logLeft()
	if !command.Ended() { // it is still running, so its exit code is not known
		return ExecResult{Outcome: Left, Left: true}, nil
	}
	result := ExecResult{Outcome: shipped, Left: shipped == Left, Ended: true, Code: command.Code()}
	if result.Code == 0 && s.failedOn(report.Jobs) {
		result.Outcome = Failed
	}
	return result, nil
}

// commandExit returns how the command ended, for the seal, or nil if it has not ended.
func commandExit(command *child.Child) *shipper.Exit {
	if !command.Ended() {
		return nil
	}
	if signal := command.EndedBy(); signal != 0 {
		return &shipper.Exit{Signal: unix.SignalName(signal)}
	}
	code := command.Code()
	return &shipper.Exit{Code: &code}
}
