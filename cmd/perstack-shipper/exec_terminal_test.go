package main

// This file shows exec at a terminal: what a person sees and types, and the effect of Ctrl-C and
// Ctrl-Z.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"perstack-shipper/shipper/testkit/await"
)

// console is a terminal with a program.
type console struct {
	w    *world
	cmd  *exec.Cmd
	keys *os.File
	done chan struct{}

	mu    sync.Mutex // guards shown, which fills while the test reads it
	shown bytes.Buffer
}

// at starts a program on a terminal of its own.
func (w *world) at(c *exec.Cmd) *console {
	w.T.Helper()
	keys, err := pty.Start(c)
	if err != nil {
		w.T.Fatal(err)
	}
	term := &console{w: w, cmd: c, keys: keys, done: make(chan struct{})}
	go func() {
		defer close(term.done)
		buf := make([]byte, 4096)
		for {
			n, err := keys.Read(buf)
			term.mu.Lock()
			term.shown.Write(buf[:n])
			term.mu.Unlock()
			if err != nil { // EIO: no process has the terminal open
				return
			}
		}
	}()
	w.T.Cleanup(func() {
		w.KillAll() // a read returns only once no process has the terminal open
		await.Receive(w.T, "the end of the terminal", term.done)
		keys.Close()
	})
	return term
}

func (term *console) screen() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.shown.String()
}

// shows waits until the screen shows the text.
func (term *console) shows(text string) {
	term.w.T.Helper()
	defer func() {
		if term.w.T.Failed() {
			term.w.T.Logf("the screen:\n%s", term.screen())
		}
	}()
	term.w.Until("the screen shows "+text, func() bool { return strings.Contains(term.screen(), text) })
}

func (term *console) types(text string) {
	term.w.T.Helper()
	if _, err := io.WriteString(term.keys, text); err != nil {
		term.w.T.Fatal(err)
	}
}

// foreground returns the process group that gets the keys.
func (term *console) foreground() (group int) {
	term.w.T.Helper()
	raw, err := term.keys.SyscallConn()
	if err != nil {
		term.w.T.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		if group, err = unix.IoctlGetInt(int(fd), unix.TIOCGPGRP); err != nil {
			term.w.T.Error(err)
		}
	})
	if err != nil {
		term.w.T.Fatal(err)
	}
	return group
}

// ends waits for the program's end and checks its exit code.
func (term *console) ends(code int) {
	term.w.T.Helper()
	ended := make(chan error, 1)
	go func() { ended <- term.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil && !errors.As(err, new(*exec.ExitError)) {
			term.w.T.Fatal(err)
		}
	case <-time.After(await.Deadline):
		term.w.T.Fatalf("it has not ended within %s; the screen:\n%s", await.Deadline, term.screen())
	}
	if got := term.cmd.ProcessState.ExitCode(); got != code {
		term.w.T.Fatalf("%v, want exit code %d\n%s", term.cmd.ProcessState, code, term.screen())
	}
}

const (
	ctrlC = "\x03"
	ctrlZ = "\x1a"
)

// shell returns the program with a shell script as its command.
func (w *world) shell(script string) *exec.Cmd {
	w.T.Helper()
	return w.command("exec", "--", "sh", "-c", script)
}

// A prompt without a newline is shown, typed input reaches the command, and both outputs are
// shipped.
func TestExecPromptOnATerminal(t *testing.T) {
	w := newWorld(t)
	term := w.at(w.shell(`printf 'your name? '; read name; echo "hello $name"; echo careful >&2; read x </dev/tty; echo "got $x"`))
	term.shows("your name? ")
	term.types("Ada\n")
	term.shows("hello Ada")
	term.shows("careful")
	term.types("more\n") // through /dev/tty, which only the foreground may read
	term.ends(exitOK)
	term.shows("got more")
	if out, err := w.text(""), w.text("stderr"); out != "your name? hello Ada\ngot more\n" || err != "careful\n" {
		t.Errorf("%q and %q arrived", out, err)
	}
	w.nothingLeft()
}

// With --tee=none, output is shipped but not shown.
func TestExecNoTeeOnATerminal(t *testing.T) {
	w := newWorld(t)
	term := w.at(w.command("exec", "--tee=none", "--", "sh", "-c", "echo hidden; echo hidden >&2"))
	term.ends(exitOK)
	if strings.Contains(term.screen(), "hidden") {
		t.Errorf("the screen:\n%s", term.screen())
	}
	if out, err := w.text(""), w.text("stderr"); out != "hidden\n" || err != "hidden\n" {
		t.Errorf("%q and %q arrived", out, err)
	}
}

// Ctrl-C reaches the command as it would without the program, and the command's output is shipped.
func TestExecCtrlC(t *testing.T) {
	w := newWorld(t)
	term := w.at(w.shell(`echo ready; exec cat`))
	term.shows("ready")
	term.types("typed\n")
	term.shows("typed\r\ntyped")
	term.types(ctrlC)
	term.ends(128 + int(syscall.SIGINT))
	if got := w.text(""); got != "ready\ntyped\n" {
		t.Errorf("%q arrived", got)
	}
	w.nothingLeft()
}

// A command may use Ctrl-C for something else. The program does not take it for a signal to stop.
func TestExecCtrlCThatIsTheCommands(t *testing.T) {
	w := newWorld(t)
	term := w.at(w.shell(`trap 'echo menu' INT; echo ready; read x || read x; echo "chose $x"`))
	term.shows("ready")
	term.types(ctrlC)
	term.shows("menu")
	term.types("3\n")
	term.shows("chose 3")
	term.ends(exitOK)
	if strings.Contains(term.screen(), "another signal") {
		t.Errorf("it took Ctrl-C for a signal to stop:\n%s", term.screen())
	}
	if got := w.text(""); got != "ready\nmenu\nchose 3\n" {
		t.Errorf("%q arrived", got)
	}
}

// The second Ctrl-C ends a drain that makes no progress.
func TestExecSecondCtrlC(t *testing.T) {
	w := newWorld(t)
	w.Stall()
	term := w.at(w.shell(`echo ready; exec cat`))
	term.shows("ready")
	term.types(ctrlC)
	term.shows("another signal stops at once")
	time.Sleep(200 * time.Millisecond) // a person does not press it faster
	term.types(ctrlC)
	term.ends(128 + int(syscall.SIGINT))
	term.shows("bytes of the input are not delivered (stopped by a second signal)")
}

// A SIGINT sent to the program, as by `timeout --foreground -s INT` and `docker kill -s INT`,
// counts as one signal even though the command also gets it and dies. The command's output is
// shipped.
func TestExecOneInterruptAtATerminal(t *testing.T) {
	w := newWorld(t)
	w.Stall()
	term := w.at(w.shell(`echo ready; exec cat`))
	term.shows("ready")
	if err := term.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	term.shows("another signal stops at once")
	w.Until("the command has died", func() bool { return len(childrenOf(t, term.cmd.Process.Pid)) == 0 })
	time.Sleep(50 * time.Millisecond) // by then a second signal would have had its effect
	w.Unstall()
	term.ends(128 + int(syscall.SIGINT))
	if strings.Contains(term.screen(), "second signal") {
		t.Errorf("the screen:\n%s", term.screen())
	}
	if got := w.text(""); got != "ready\n" {
		t.Errorf("%q arrived", got)
	}
	w.nothingLeft()
}

// childrenOf returns the processes that pid started and has not waited for.
func childrenOf(t *testing.T, pid int) []string {
	t.Helper()
	var children []string
	found, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if data, err := os.ReadFile(f); err == nil {
			children = append(children, strings.Fields(string(data))...)
		}
	}
	return children
}

// After bg and fg the program itself is in the foreground, because fg sends no SIGCONT to a running
// job. The command gets the terminal when it reads, and a Ctrl-C before that counts as one signal.
func TestExecCtrlCAfterBgAndFg(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("NOT TESTED: bash is not installed")
	}
	w := newWorld(t)
	// The command is one process that waits at a FIFO. A shell that is stopped while it starts
	// another process may become unstoppable.
	gate := filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	w.Env = append(w.Env, "GATE="+gate)
	c := w.with(exec.Command(bash, "--norc", "--noprofile", "-i"))
	c.Env = append(c.Env, "PS1=$ ", "HISTFILE=", "TERM=dumb")
	term := w.at(c)
	term.types(`perstack-shipper exec -- sh -c 'echo ready; read g <$GATE; read x; echo "got $x"; read g <$GATE'` + "\n")
	term.shows("ready\r\n")
	term.types(ctrlZ)
	term.shows("Stopped")
	term.types("bg; echo at the $((1+1))nd prompt\n")
	term.shows("at the 2nd prompt\r\n")
	term.types("fg\n")
	term.shows("fg\r\nperstack-shipper exec")
	w.Until("the command continues", func() bool {
		f, err := os.OpenFile(gate, os.O_WRONLY|syscall.O_NONBLOCK, 0) // ENXIO as long as it has no reader
		return err == nil && f.Close() == nil
	})
	term.types("on\n")
	term.shows("got on")
	term.types(ctrlZ)
	w.Until("it is stopped again", func() bool { return strings.Count(term.screen(), "Stopped") == 2 })
	term.types("bg; echo at the $((1+2))rd prompt\n")
	term.shows("at the 3rd prompt\r\n")
	w.Stall()
	term.types("fg\n")
	w.Until("the program is in the foreground", func() bool { return term.foreground() != term.cmd.Process.Pid })
	term.types(ctrlC)
	term.shows("another signal stops at once")
	time.Sleep(50 * time.Millisecond) // by then a second signal would have had its effect
	w.Unstall()
	w.Until("it has ended", func() bool { return len(w.Kept()) == 0 })
	term.types("echo code $?; exit 3\n")
	term.shows("code 130")
	term.ends(3)
	if strings.Contains(term.screen(), "second signal") {
		t.Errorf("the screen:\n%s", term.screen())
	}
	if got := w.text(""); got != "ready\ngot on\n" {
		t.Errorf("%q arrived", got)
	}
}

// Without a shell that could continue it, Ctrl-Z stops nothing: a container's terminal would hang.
func TestExecCtrlZWithoutAShell(t *testing.T) {
	w := newWorld(t)
	term := w.at(w.shell(`echo ready; read x; echo "got $x"`))
	term.shows("ready")
	term.types(ctrlZ)
	term.types("on\n")
	term.shows("got on")
	term.ends(exitOK)
}

// At a shell, Ctrl-Z stops the whole job and fg continues it.
func TestExecCtrlZAtAShell(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("NOT TESTED: bash is not installed")
	}
	w := newWorld(t)
	c := w.with(exec.Command(bash, "--norc", "--noprofile", "-i"))
	c.Env = append(c.Env, "PS1=$ ", "HISTFILE=", "TERM=dumb")
	term := w.at(c)
	term.types(`perstack-shipper exec -- sh -c 'echo ready; read x; echo "got $x"; read y; echo "and $y"'` + "\n")
	term.shows("ready\r\n")
	term.types(ctrlZ)
	term.shows("Stopped")
	term.types("echo at the $((1+1))nd prompt\n")
	term.shows("at the 2nd prompt\r\n")
	term.types("fg\n")
	term.types("on\n")
	term.shows("got on")
	term.types(ctrlZ)
	w.Until("it is stopped again", func() bool { return strings.Count(term.screen(), "Stopped") == 2 })
	term.types("fg\n")
	term.types("so forth\n")
	term.shows("and so forth")
	// The shell has the terminal back, and gets the keys.
	term.types("echo code $?; exit 3\n")
	term.shows("code 0")
	term.ends(3)
	if got := w.text(""); got != "ready\ngot on\nand so forth\n" {
		t.Errorf("%q arrived", got)
	}
	w.nothingLeft()
}
