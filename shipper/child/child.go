// Package child runs one command as a shell would: in a process group of its own, in the foreground
// of the terminal if stdin is one, with the signals that this process gets. It is the only place
// that waits for processes: as PID 1 of a container it reaps the orphans, too.
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

// Child is one command. Make it with New, Start it once, Close it in the end. Its methods may be
// called from any goroutine.
type Child struct {
	patience Patience
	asked    chan request // to the loop
	done     chan struct{}
	close    chan struct{}
	gone     chan struct{} // the loop has ended
	once     sync.Once     // for Close

	held    atomic.Bool // stopped by Hold
	warned  atomic.Bool // a signal that means to end it was passed on
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

// request is what the loop is asked to do to the group.
type request struct {
	signal syscall.Signal
	hold   bool // the signal is SIGSTOP or SIGCONT on behalf of Hold and Release
}

// requests is how many may wait: signals that come before the command is started do.
const requests = 16

// lookAgain is how long a zombie that somebody else in this process waits for is left alone before
// the next look.
const lookAgain = 10 * time.Millisecond

// Patience is how long a Child waits. The zero value means the usual value.
type Patience struct {
	// Stop is how long this process may take to stop after it has asked the kernel to stop it. If
	// it still runs then, the kernel has refused. It does so where nobody could continue the
	// process: in an orphaned process group, or for PID 1. 0: 200 ms.
	Stop time.Duration
}

// passedOn are the signals that the command gets when this process does. One that is ignored here
// is ignored there, too. SIGTSTP is none of them: once Go has caught it, nothing makes it stop the
// process again, and the kernel knows better than we whether it should.
var passedOn = []syscall.Signal{
	syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2,
}

// New returns a command that is not started yet. From now on signals are passed on to it; those
// that come before it is started wait till then.
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

// Start starts the program file (see Find) with these arguments, the first of which is its name,
// and these files. The caller closes its own copies of what the command alone should have. The
// error is a *StartError.
func (c *Child) Start(file string, args []string, stdin, stdout, stderr *os.File) error {
	c.init = os.Getpid() == 1
	c.terminal = terminalOf(stdin)
	files := make([]uintptr, 0, 3)
	for _, f := range []*os.File{stdin, stdout, stderr} {
		files = append(files, descriptor(f))
	}
	// Without a terminal it gets a session of its own, too: if we are killed while our guard has
	// stopped the group, the kernel would send it SIGHUP, as to the jobs of a shell that is gone.
	// setpgid(2)
	sys := &syscall.SysProcAttr{Setpgid: c.terminal != nil, Setsid: c.terminal == nil}
	pid, err := syscall.ForkExec(file, args, &syscall.ProcAttr{Env: os.Environ(), Files: files, Sys: sys})
	if err != nil {
		return startError(args[0], err)
	}
	c.pid, c.started = pid, true
	if c.terminal != nil {
		// Only now, because a child would inherit it. It lets us write to the terminal and take it
		// back while the command has it.
		signal.Ignore(syscall.SIGTTOU)
		c.terminal.give(pid)
		// It may have asked for the terminal before it had it, and been stopped for that.
		c.kill(syscall.SIGCONT)
	}
	go c.run()
	return nil
}

// Pid is the command's, and the id of its process group. Call it after Start.
func (c *Child) Pid() int { return c.pid }

// Done is closed when the command has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Ended reports whether the command is Done.
func (c *Child) Ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// Code is the exit code of a command that is Done: 128+N when signal N ended it.
func (c *Child) Code() int {
	if c.status.Signaled() {
		return 128 + int(c.status.Signal())
	}
	return c.status.ExitStatus()
}

// EndedBy is the signal that ended a command that is Done; 0 for none.
func (c *Child) EndedBy() syscall.Signal {
	if c.status.Signaled() {
		return c.status.Signal()
	}
	return 0
}

// OnTerminal reports whether the command had a terminal as its stdin. Call it after Start.
func (c *Child) OnTerminal() bool { return c.terminal != nil }

// Signal sends s to the command's process group; before Start it waits for that, after the
// command's end it comes to nothing.
func (c *Child) Signal(s syscall.Signal) { c.ask(request{signal: s}) }

// Warned reports whether a signal was passed on that means to end the command.
func (c *Child) Warned() bool { return c.warned.Load() }

// Hold stops the group until Release. A signal that means to end the command continues it, so that
// it can end.
func (c *Child) Hold() {
	c.held.Store(true) // the loop says it again, after signals that are on their way
	c.ask(request{syscall.SIGSTOP, true})
}

// Release continues what Hold stopped.
func (c *Child) Release() {
	c.held.Store(false)
	c.ask(request{syscall.SIGCONT, true})
}

// Held reports whether the group is stopped by Hold.
func (c *Child) Held() bool { return c.held.Load() }

func (c *Child) ask(r request) {
	select {
	case c.asked <- r:
	case <-c.gone:
	}
}

// Close takes the terminal back and waits for processes no more. The command goes on if it has not
// ended, and is continued if it was held: nobody else would do that. A second Close does nothing.
func (c *Child) Close() { c.once.Do(c.letGo) }

func (c *Child) letGo() {
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

// run is the loop: all that is done to the group, and all waiting for processes.
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
			for len(c.passed) > 0 { // the last may be why we close
				c.do(request{signal: (<-c.passed).(syscall.Signal)})
			}
			if c.held.Load() {
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
		return // the id of a group may be another's by now
	}
	if r.hold {
		c.held.Store(r.signal == syscall.SIGSTOP)
		c.kill(r.signal)
		return
	}
	c.kill(r.signal)
	switch r.signal {
	case syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT:
		c.warned.Store(true)
		// What is stopped does not hear; as shells and service managers do, continue it.
		c.held.Store(false)
		c.kill(syscall.SIGCONT)
	}
}

// kill sends s to the group. An error says that there is nobody left to take it.
func (c *Child) kill(s syscall.Signal) {
	if !c.ended {
		_ = syscall.Kill(-c.pid, s)
	}
}

// reap takes the status of what has ended or stopped. Look again soon, it says, when it left a
// zombie for others.
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

// take notes what became of the command.
func (c *Child) take(status syscall.WaitStatus) {
	switch {
	case status.Exited(), status.Signaled():
		c.terminal.takeBack(c.pid)
		c.ended, c.status = true, status
		close(c.done)
	case status.Stopped() && c.terminal != nil:
		switch status.StopSignal() {
		case syscall.SIGTTIN, syscall.SIGTTOU:
			// A shell's fg gives the terminal to this process, and sends no SIGCONT to a job that
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

// suspend stops this process and what else is of its job, as if all of it had been in the
// foreground, until a shell continues it; then the command goes on, too. Where the kernel does not
// let it stop, the command goes on at once: nobody else would continue it.
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
	if !c.held.Load() {
		c.kill(syscall.SIGCONT)
	}
}

// wait is wait4 for one process.
func wait(pid int, status *syscall.WaitStatus, options int) (int, error) {
	for {
		got, err := syscall.Wait4(pid, status, options, nil)
		if err != syscall.EINTR {
			return got, err
		}
	}
}

// descriptor is the number of f's. It leaves the mode of the file alone, which Fd would not: others
// share it.
func descriptor(f *os.File) uintptr {
	n := ^uintptr(0)
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { n = fd })
	}
	return n
}

// ownGroup is the process group of this process.
func ownGroup() int { return unix.Getpgrp() }
