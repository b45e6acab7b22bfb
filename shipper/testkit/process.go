package testkit

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"perstack-shipper/shipper/testkit/await"
)

// Process is a running program.
type Process struct {
	Cmd    *exec.Cmd
	t      testing.TB
	stderr string
	done   chan struct{} // closed when the program has ended and err is set
	err    error
}

// Start starts a program, in the world's environment unless the command has one. If the test fails,
// it logs what the program printed on stderr. If the program is still running when the test ends,
// it is killed.
func (w *World) Start(c *exec.Cmd) *Process {
	w.T.Helper()
	if c.Env == nil {
		c.Env = w.Env
	}
	return Start(w.T, c)
}

// Start starts a program as [World.Start] does, in the environment of the command.
func Start(t testing.TB, c *exec.Cmd) *Process {
	t.Helper()
	// Use a file instead of a pipe: processes that the program leaves behind may keep its stderr
	// open, and a pipe would have to be read until they end.
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	c.Stderr = stderr
	p := &Process{Cmd: c, t: t, stderr: stderr.Name(), done: make(chan struct{})}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		p.err = c.Wait()
	}()
	t.Cleanup(func() {
		_ = c.Process.Kill() // it fails if the program has ended
		<-p.done
		if t.Failed() {
			t.Logf("%s printed:\n%s", strings.Join(c.Args, " "), p.Said())
		}
	})
	return p
}

// Said returns what the program has printed on stderr.
func (p *Process) Said() string {
	text, err := os.ReadFile(p.stderr)
	if err != nil {
		p.t.Error(err)
	}
	return string(text)
}

// Says reports whether the program has printed the text on stderr.
func (p *Process) Says(text string) bool { return strings.Contains(p.Said(), text) }

// MustSay fails the test for each text that the program has not printed on stderr.
func (p *Process) MustSay(texts ...string) {
	p.t.Helper()
	said := p.Said()
	for _, text := range texts {
		if !strings.Contains(said, text) {
			p.t.Errorf("the program did not print %q", text)
		}
	}
}

// Signal sends a signal to the program.
func (p *Process) Signal(s os.Signal) {
	p.t.Helper()
	if err := p.Cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// Ended reports whether the program has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// End waits for the end of the program and returns its exit code, or -1 if a signal killed it.
func (p *Process) End() int {
	p.t.Helper()
	await.Receive(p.t, strings.Join(p.Cmd.Args, " ")+" ends", p.done)
	if p.err != nil && !errors.As(p.err, new(*exec.ExitError)) {
		p.t.Fatal(p.err)
	}
	return p.Cmd.ProcessState.ExitCode()
}

// Wait waits for the end of the program and fails the test if the exit code is another.
func (p *Process) Wait(code int) {
	p.t.Helper()
	if got := p.End(); got != code {
		p.t.Fatalf("%s: %v, want exit code %d", strings.Join(p.Cmd.Args, " "), p.Cmd.ProcessState, code)
	}
}

// Stop ends the program with SIGTERM, as ECS does.
func (p *Process) Stop(code int) {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	p.Wait(code)
}

// Kill ends the program with SIGKILL, as the kernel does when memory is short.
func (p *Process) Kill() {
	p.t.Helper()
	p.Signal(syscall.SIGKILL)
	p.Wait(-1)
}

// KillAll kills every process with the world's HOME: those that Start started and those that they
// left behind.
func (w *World) KillAll() {
	w.T.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		w.T.Error(err)
	}
	for _, f := range found {
		data, err := os.ReadFile(f)
		if err != nil || !bytes.Contains(data, []byte("HOME="+w.Home+"\x00")) {
			continue // usually because the process has ended
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // the process may have ended
		}
	}
}
