package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"perstack-shipper/config"
	"perstack-shipper/shipper"
	"perstack-shipper/shipper/child"
)

// orphanPatience is how long what the command leaves behind may take to let go of its output, after the command has ended: npx dies before the agent that
// it started, and the agent's last lines come some 30 ms later. Servers that the agent started may hold its stderr for ever.
const orphanPatience = time.Second

// killedPatience is how long those that were killed may take to let go of the output: on a busy machine they end some time after the signal was sent.
const killedPatience = 300 * time.Millisecond

// runExec runs a command, ships what it writes and exits as it did.
func runExec(options *config.Exec, log *zap.Logger) int {
	file, err := child.Find(options.Command[0], os.Getenv("PATH"))
	if err != nil {
		return failStart(err)
	}
	s, err := newSession(options.Target, options.Delivery, options.Creation, options.Journal, log)
	if err != nil {
		return fail(err)
	}
	defer s.close()
	return s.exec(options, file)
}

func (s *session) exec(options *config.Exec, file string) int {
	command := child.New()
	defer command.Close()
	end := newEnding(options.DrainTimeout, s.log)
	defer end.close()
	s.command = withoutSecrets(options.Command)
	var out *output
	err := s.withRoom(end.running, func() (err error) {
		out, err = s.newOutput(options, command)
		return err
	})
	if err != nil {
		return fail(err)
	}
	if err := command.Start(file, options.Command, os.Stdin, out.stdout.file, out.stderr.file); err != nil {
		return max(failStart(err), out.abandon())
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
	unguardOthers := s.guardOutlived()
	report, why := shipper.New(s.options()).Run(end.running, inputs, nil)
	end.stopRunning(nil)
	unguardOthers()
	unguard()
	beside.Wait()
	shipped := s.conclude(report, why)
	if out.failed() {
		shipped = max(shipped, exitRejected)
	}
	out.sayLeft()
	code := s.execCode(command, shipped, report.Jobs, options.FailOn)
	left := shipped == exitLeft || !command.Ended()
	if left && options.LeftCode != 0 && options.LeftCode != code {
		if command.Ended() {
			s.log.Info(fmt.Sprintf("the command exited with %d; the exit code is %d (--left-code), because not all of its output is delivered", command.Code(), options.LeftCode))
		}
		return options.LeftCode
	}
	return code
}

// waitForEnd ends the inputs when the command has ended, or when a signal leaves no time to wait for that.
func (o *output) waitForEnd(end *ending) {
	select {
	case <-o.command.Done():
		o.sayKilled()
		o.interrupted(end)
		o.waitForWriters(end.reading, orphanPatience)
		o.end()
		return
	case <-end.running.Done(): // a second signal: what is not shipped stays
		return
	case <-end.reading.Done():
	}
	// The deadline is near, and the command has not ended by the signal that it got. What it wrote can still be shipped. Where we are PID 1 our
	// exit ends it, and all it would write till then would be lost: so it is ended here, and all it wrote is delivered and sealed. Elsewhere it
	// may go on without us; the next start ships what it writes.
	if os.Getpid() == 1 {
		o.s.log.Warn("the command has not ended by the signal, and would be killed at our exit: it is killed now, while there is time to ship what it wrote")
		o.command.Signal(syscall.SIGKILL)
		select {
		case <-o.command.Done():
			o.waitForWriters(end.running, killedPatience)
		case <-end.running.Done():
			return
		}
	}
	o.end()
}

// sayKilled says that the command was killed, which it could not say itself. Its exit code alone does not say who did that.
func (o *output) sayKilled() {
	const code = 128 + int(syscall.SIGKILL)
	switch {
	case o.command.EndedBy() == syscall.SIGKILL:
		o.s.log.Warn(fmt.Sprintf("the command was killed by SIGKILL (exit code %d), which this program did not send; in a container that is mostly the kernel for want of memory: see the container's memory limit", code))
	case o.command.Code() == code:
		o.s.log.Warn(fmt.Sprintf("the command exited with %d, as when one of its processes is killed by SIGKILL; in a container that is mostly the kernel for want of memory: see the container's memory limit", code))
	}
}

// interrupted begins the end of this process, as a signal does, when Ctrl-C ended a command that had the terminal: the kernel sends that to the
// command's process group alone. A SIGINT that arrived here was passed on and has begun the end already; the command's death adds nothing to it.
func (o *output) interrupted(end *ending) {
	if o.command.OnTerminal() && o.command.EndedBy() == syscall.SIGINT && !o.command.Warned() {
		select {
		case end.signals <- os.Interrupt:
		default: // enough came already
		}
	}
}

// execCode is the command's own if that is not 0, else 1 if a job ended in a way of failOn, else what became of the shipping.
func (s *session) execCode(command *child.Child, shipped int, jobs shipper.Jobs, failOn []string) int {
	if !command.Ended() { // it goes on, and nobody knows how it will end
		return max(shipped, exitLeft)
	}
	if code := command.Code(); code != exitOK {
		return code
	}
	if s.failedOn(failOn, jobs) {
		return exitFailure
	}
	return shipped
}

// commandExit is how the command ended, for the seal; nil while it has not.
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

// failStart says why the command cannot be run, and returns the exit code that a shell would give.
func failStart(err error) int {
	code := fail(err)
	if start, ok := errors.AsType[*child.StartError](err); ok {
		return start.Code
	}
	return code
}
