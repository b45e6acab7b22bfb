// Package child runs one command as a shell would: in a process group of its own, in the foreground
// of the terminal if stdin is one, and with the signals that this process gets. Nothing else in the
// program waits for processes. If this process is PID 1 of a container, the package reaps orphans
// as well.
package child

import (
	"cmp"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Child is one command. Make it with [New], call [Child.Start] once and [Child.Close] at the end.
// Its methods may be called from any goroutine.
type Child struct {
	patience Patience
	asked    chan request // to the loop
	done     chan struct{}
	close    chan struct{}
	gone     chan struct{} // the loop has ended
	once     sync.Once     // for Close

	stopped atomic.Bool // Stop was called after the last Continue
	warned  atomic.Bool // it was sent a signal that asks it to end
	status  syscall.WaitStatus
	started bool

	// Owned by the loop.
	pid      int // also the id of its group
	ended    bool
	init     bool // this process is PID 1
	terminal *terminal
	dead     chan os.Signal // SIGCHLD
	passed   chan os.Signal // signals that the loop passes on by itself
	resumed  chan os.Signal // SIGCONT
}

// request asks the loop to send a signal to the group.
type request struct {
	signal syscall.Signal
	byStop bool // the signal is SIGSTOP or SIGCONT, sent for Stop or Continue
}

// requests is how many requests may wait. Signals that arrive before the command starts do.
const requests = 16

// lookAgain is the pause before the next look at the zombies, if somebody else in this process has
// to wait for the first of them.
const lookAgain = 10 * time.Millisecond

// Patience is how long a Child waits. The zero value of a field means the usual value.
type Patience struct {
	// Stop is how long this process may take to stop after it has asked the kernel to stop it. If
	// it still runs then, the kernel has refused. The kernel does so if nobody could continue the
	// process: in an orphaned process group, or if it is PID 1. 0: 200 ms.
	Stop time.Duration
}

// passedOn are the signals that this process passes on to the command. A signal that is ignored
// here is ignored there too. SIGTSTP is not one of them: once Go has caught it, nothing makes it
// stop the process again, and the kernel knows better than we do whether it should.
var passedOn = []syscall.Signal{
	syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2,
}

// New returns a command that is not started yet. Signals are passed on to it from now on; those
// that arrive before the start wait for it.
func New(patience Patience) *Child {
	patience.Stop = cmp.Or(patience.Stop, 200*time.Millisecond)
	c := &Child{
		patience: patience,
		asked:    make(chan request, requests), done: make(chan struct{}), close: make(chan struct{}), gone: make(chan struct{}),
		dead: make(chan os.Signal, 1), passed: make(chan os.Signal, requests), resumed: make(chan os.Signal, 1),
	}
	for _, s := range passedOn {
		if !signal.Ignored(s) {
			signal.Notify(c.passed, s)
		}
	}
	signal.Notify(c.resumed, syscall.SIGCONT)
	signal.Notify(c.dead, syscall.SIGCHLD)
	return c
}

// Start starts the program file (see [Find]) with these arguments, the first of which is its name,
// and these files. The caller closes its copies of files that only the command should have open.
// The error is a *StartError.
func (c *Child) Start(file string, args []string, stdin, stdout, stderr *os.File) error {
	c.init = os.Getpid() == 1
	c.terminal = terminalOf(stdin)
	files := make([]uintptr, 0, 3)
	for _, f := range []*os.File{stdin, stdout, stderr} {
		files = append(files, descriptor(f))
	}
	// Without a terminal, the command gets a session of its own as well. Otherwise, if we were
	// killed while our guard had stopped the group, the kernel would send it SIGHUP, as it does to
	// the jobs of a shell that is gone. See setpgid(2).
	sys := &syscall.SysProcAttr{Setpgid: c.terminal != nil, Setsid: c.terminal == nil}
	pid, err := syscall.ForkExec(file, args, &syscall.ProcAttr{Env: os.Environ(), Files: files, Sys: sys})
	if err != nil {
		return startError(args[0], err)
	}
	c.pid, c.started = pid, true
	if c.terminal != nil {
		// This comes after the fork, because a child would inherit it. It lets us write to the
		// terminal and take it back while the command has it.
		signal.Ignore(syscall.SIGTTOU)
		c.terminal.give(pid)
		// The command may have read the terminal before it had it, and been stopped for that.
		c.kill(syscall.SIGCONT)
	}
	go c.run()
	return nil
}

// Pid returns the command's process id, which is also the id of its process group. Call it after
// Start.
func (c *Child) Pid() int { return c.pid }

// Done is closed when the command has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Ended reports whether the command has ended.
func (c *Child) Ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// Code returns the exit code of a command that has ended: 128+N if signal N ended it.
func (c *Child) Code() int {
	if c.status.Signaled() {
		return 128 + int(c.status.Signal())
	}
	return c.status.ExitStatus()
}

// EndedBy returns the signal that ended a command, or 0 if none did.
func (c *Child) EndedBy() syscall.Signal {
	if c.status.Signaled() {
		return c.status.Signal()
	}
	return 0
}

// OnTerminal reports whether the command had a terminal as its stdin. Call it after Start.
func (c *Child) OnTerminal() bool { return c.terminal != nil }

// Signal sends s to the command's process group. Before Start, the signal waits for it. After the
// command's end, Signal does nothing.
func (c *Child) Signal(s syscall.Signal) { c.ask(request{signal: s}) }

// Warned reports whether the command was sent a signal that asks it to end.
func (c *Child) Warned() bool { return c.warned.Load() }

// Stop stops the group with SIGSTOP until Continue. A signal that asks the command to end continues
// it, so that it can end.
func (c *Child) Stop() {
	// The loop sets it again, after the signals that are queued before this one.
	c.stopped.Store(true)
	c.ask(request{syscall.SIGSTOP, true})
}

// Continue continues the group after Stop.
func (c *Child) Continue() {
	c.stopped.Store(false)
	c.ask(request{syscall.SIGCONT, true})
}

// Stopped reports whether the group is stopped by Stop.
func (c *Child) Stopped() bool { return c.stopped.Load() }

func (c *Child) ask(r request) {
	select {
	case c.asked <- r:
	case <-c.gone:
	}
}

// Close takes the terminal back and stops waiting for processes. A command that has not ended goes
// on. If it is stopped, Close continues it, because nobody else would. A second Close does nothing.
func (c *Child) Close() { c.once.Do(c.release) }

func (c *Child) release() {
	if c.started {
		close(c.close)
		<-c.gone
	} else {
		close(c.gone)
	}
	signal.Stop(c.dead)
	signal.Stop(c.passed)
	signal.Stop(c.resumed)
	if c.terminal != nil {
		signal.Reset(syscall.SIGTTOU)
	}
}

// run is the loop. It alone sends signals to the group and waits for processes.
func (c *Child) run() {
	defer close(c.gone)
	var again <-chan time.Time
	for {
		if c.reap() {
			again = time.After(lookAgain)
		}
		select {
		case <-c.dead:
		case <-again:
		case r := <-c.asked:
			c.do(r)
		case s := <-c.passed:
			c.do(request{signal: s.(syscall.Signal)})
		case <-c.resumed:
			c.terminal.give(c.pid)
		case <-c.close:
			for len(c.passed) > 0 { // the last one may be the reason for Close
				c.do(request{signal: (<-c.passed).(syscall.Signal)})
			}
			if c.stopped.Load() {
				c.do(request{syscall.SIGCONT, true})
			}
			c.terminal.takeBack(c.pid)
			return
		}
	}
}

// do carries out a request.
func (c *Child) do(r request) {
	if c.ended {
		return // the group's id may belong to another group by now
	}
	if r.byStop {
		c.stopped.Store(r.signal == syscall.SIGSTOP)
		c.kill(r.signal)
		return
	}
	c.kill(r.signal)
	switch r.signal {
	case syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT:
		c.warned.Store(true)
		// A stopped process does not handle signals, so continue it, as shells and service managers
		// do.
		c.stopped.Store(false)
		c.kill(syscall.SIGCONT)
	}
}

// kill sends s to the group. An error means that no process of the group is left.
func (c *Child) kill(s syscall.Signal) {
	if !c.ended {
		_ = syscall.Kill(-c.pid, s)
	}
}

// reap takes the status of processes that have ended or stopped. It reports whether to look again
// soon, because it left a zombie to others.
func (c *Child) reap() (again bool) {
	for !c.ended {
		var status syscall.WaitStatus
		pid, err := wait(c.pid, &status, syscall.WNOHANG|syscall.WUNTRACED)
		if pid != c.pid || err != nil {
			break
		}
		c.take(status)
	}
	return c.init && reapOrphans(c.pid)
}

// take handles a change of the command's status.
func (c *Child) take(status syscall.WaitStatus) {
	switch {
	case status.Exited(), status.Signaled():
		c.terminal.takeBack(c.pid)
		c.ended, c.status = true, status
		close(c.done)
	case status.Stopped() && c.terminal != nil:
		switch status.StopSignal() {
		case syscall.SIGTTIN, syscall.SIGTTOU:
			// A shell's fg gives the terminal to this process, but sends no SIGCONT to a job that
			// ran in the background.
			if group, ok := c.terminal.foreground(); ok && group == c.terminal.own {
				c.terminal.give(c.pid)
				c.kill(syscall.SIGCONT)
				return
			}
			c.suspend()
		case syscall.SIGTSTP:
			c.suspend()
		}
	}
}

// suspend stops this process and the rest of its job, as if all of it had been in the foreground.
// When a shell continues it, the command goes on too. If the kernel does not let it stop, the
// command goes on at once, because nobody else would continue it.
func (c *Child) suspend() {
	select {
	case <-c.resumed:
	default:
	}
	_ = syscall.Kill(0, syscall.SIGTSTP)
	timer := time.NewTimer(c.patience.Stop)
	select {
	case <-c.resumed:
	case <-timer.C:
	}
	timer.Stop()
	c.terminal.give(c.pid)
	if !c.stopped.Load() {
		c.kill(syscall.SIGCONT)
	}
}

// wait calls wait4 for one process.
func wait(pid int, status *syscall.WaitStatus, options int) (int, error) {
	for {
		got, err := syscall.Wait4(pid, status, options, nil)
		if err != syscall.EINTR {
			return got, err
		}
	}
}

// descriptor returns the number of f's descriptor. Unlike Fd, it leaves the mode of the file alone,
// which other processes share.
func descriptor(f *os.File) uintptr {
	n := ^uintptr(0)
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { n = fd })
	}
	return n
}

// ownGroup returns the process group of this process.
func ownGroup() int { return unix.Getpgrp() }
