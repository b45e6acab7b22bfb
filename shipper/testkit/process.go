package testkit

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Process is a program under way.
type Process struct {
	Cmd    *exec.Cmd
	t      testing.TB
	stderr string
	done   chan struct{} // closed when it has ended, and err is set
	err    error
}

// Start starts a program in the world's environment, unless it has one of its own. If the test
// fails, it shows what the program printed on stderr; if the program still runs at the end, it is
// killed.
func (w *World) Start(c *exec.Cmd) *Process {
	w.T.Helper()
	if c.Env == nil {
		c.Env = w.Env
	}
	return Start(w.T, c)
}

// Start starts a program as [World.Start] does, in its own environment.
func Start(t testing.TB, c *exec.Cmd) *Process {
	t.Helper()
	// A file and not a pipe: what the program leaves behind may hold its stderr, and nobody waits
	// for that.
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
		_ = c.Process.Kill() // it fails where the program has ended
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
			p.t.Errorf("it did not print %q", text)
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

// End waits for the program's end and returns its exit code, -1 if a signal ended it.
func (p *Process) End() int {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Deadline)
	defer cancel()
	select {
	case <-p.done:
	case <-ctx.Done():
		p.t.Fatalf("%s has not ended within %s", strings.Join(p.Cmd.Args, " "), Deadline)
	}
	if p.err != nil && !errors.As(p.err, new(*exec.ExitError)) {
		p.t.Fatal(p.err)
	}
	return p.Cmd.ProcessState.ExitCode()
}

// Wait waits for the program's end, and fails the test if its exit code is another.
func (p *Process) Wait(code int) {
	p.t.Helper()
	if got := p.End(); got != code {
		p.t.Fatalf("%s: %v, want exit code %d", strings.Join(p.Cmd.Args, " "), p.Cmd.ProcessState, code)
	}
}

// Stop ends the program as ECS does, with SIGTERM.
func (p *Process) Stop(code int) {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	p.Wait(code)
}

// Kill ends the program as the kernel does when memory is short, with SIGKILL.
func (p *Process) Kill() {
	p.t.Helper()
	p.Signal(syscall.SIGKILL)
	p.Wait(-1)
}

// KillAll kills every process that has the world's HOME, which are those that Start started and
// those that they left behind.
func (w *World) KillAll() {
	w.T.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		w.T.Error(err)
	}
	for _, f := range found {
		data, err := os.ReadFile(f)
		if err != nil || !bytes.Contains(data, []byte("HOME="+w.Home+"\x00")) {
			continue // most often the process has ended
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended meanwhile
		}
	}
}
