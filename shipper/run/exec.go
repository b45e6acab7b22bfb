package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"perstack-shipper/shipper"
	"perstack-shipper/shipper/child"
	"perstack-shipper/shipper/logfield"
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

// waitForEnd ends the inputs when the command has ended, or when a signal leaves no time to wait
// for that.
func (o *commandOutput) waitForEnd(end *shutdown) {
	select {
	case <-o.command.Done():
		o.logKilled()
		o.noteInterrupt(end)
		o.waitForWriters(end.reading, o.s.patience.Orphans)
		o.finish()
		return
	case <-end.running.Done(): // a second signal: what is not shipped is left
		return
	case <-end.reading.Done():
	}
	// The deadline is near, and the signal has not ended the command. What it has written can still
	// be shipped. If we are PID 1, our exit kills the command, and whatever it wrote until then
	// would be lost. So we kill it now, deliver all of its output, and seal it. Otherwise, the
	// command may outlive us, and the next start ships what it writes from then on.
	if os.Getpid() == 1 {
		o.s.log.Warn("the command did not stop on the signal, and would be killed when this process exits: it is killed now, while there is time to ship what it wrote", logfield.PID(o.command.Pid()))
		o.command.Signal(syscall.SIGKILL)
		select {
		case <-o.command.Done():
			o.waitForWriters(end.running, o.s.patience.Killed)
		case <-end.running.Done():
			return
		}
	}
	o.finish()
}

// logKilled logs that the command was killed, because it could not do so itself. Its exit code
// alone does not say who killed it.
func (o *commandOutput) logKilled() {
	const code = 128 + int(syscall.SIGKILL)
	switch {
	case o.command.EndedBy() == syscall.SIGKILL:
		o.s.log.Warn(fmt.Sprintf("the command was killed by SIGKILL (exit code %d), which this program did not send; in a container, usually because memory ran out: check the container's memory limit", code), zap.Int("code", code), logfield.PID(o.command.Pid()))
	case o.command.Code() == code:
		o.s.log.Warn(fmt.Sprintf("the command exited with %d, as when one of its processes is killed by SIGKILL; in a container, usually because memory ran out: check the container's memory limit", code), zap.Int("code", code), logfield.PID(o.command.Pid()))
	}
}

// noteInterrupt shuts the run down, as a signal does, if Ctrl-C ended a command that had the
// terminal: the kernel sends that SIGINT only to the command's process group. If this process got a
// SIGINT, it has passed it on and is shutting down already.
func (o *commandOutput) noteInterrupt(end *shutdown) {
	if o.command.OnTerminal() && o.command.EndedBy() == syscall.SIGINT && !o.command.Warned() {
		end.interrupt()
	}
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
