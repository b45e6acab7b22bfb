package child

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"perstack-shipper/shipper/testkit/await"
)

// state returns the state of a process from /proc, or 0 if the process does not exist.
func state(t *testing.T, pid int) byte {
	t.Helper()
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	for i := len(data) - 1; i > 0; i-- {
		if data[i] == ')' {
			return data[i+2]
		}
	}
	t.Fatalf("/proc says %q", data)
	return 0
}

// stopped reports whether a shell is stopped. A shell in the middle of a vfork is in state D until
// its stopped child goes on.
func stopped(t *testing.T, c *Child) bool {
	now := state(t, c.Pid())
	return now == 'T' || now == 'D'
}

// shell starts a shell script with its stdout in a file.
func shell(t *testing.T, script string) (c *Child, said func() string) {
	t.Helper()
	c = New(Patience{})
	t.Cleanup(c.Close)
	path := filepath.Join(t.TempDir(), "stdout")
	out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if err := c.Start("/bin/sh", []string{"sh", "-c", script}, null, out, out); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Signal(syscall.SIGKILL) })
	return c, func() string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
}

func wantCode(t *testing.T, c *Child, code int) {
	t.Helper()
	await.Receive(t, "the end of the command", c.Done())
	if got := c.Code(); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
}

func TestCode(t *testing.T) {
	for script, code := range map[string]int{"true": 0, "exit 7": 7, "kill -TERM $$": 143, "kill -KILL $$": 137} {
		c, _ := shell(t, script)
		wantCode(t, c, code)
	}
}

// A signal that arrives before the start is not lost.
func TestSignalBeforeStart(t *testing.T) {
	c := New(Patience{})
	defer c.Close()
	c.Signal(syscall.SIGTERM)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if err := c.Start("/bin/sleep", []string{"sleep", "60"}, null, null, null); err != nil {
		t.Fatal(err)
	}
	wantCode(t, c, 128+int(syscall.SIGTERM))
}

func TestStartError(t *testing.T) {
	c := New(Patience{})
	data := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(data, []byte("no program"), 0o755); err != nil {
		t.Fatal(err)
	}
	err := c.Start(data, []string{"data"}, os.Stdin, os.Stdout, os.Stderr)
	if start, ok := errors.AsType[*StartError](err); !ok || start.Code != CodeNotExecutable || !errors.Is(err, syscall.ENOEXEC) {
		t.Errorf("%v", err)
	}
	c.Close()
	c.Signal(syscall.SIGTERM) // does nothing and does not block
}

// Stop stops the whole group, and Continue continues it.
func TestStop(t *testing.T) {
	c, said := shell(t, `sh -c 'while :; do echo x; sleep 0.002; done'; exit 1`)
	await.Until(t, "the script writes", func() bool { return said() != "" })
	for range 3 {
		c.Stop()
		await.Until(t, "the script is stopped", func() bool { return stopped(t, c) })
		size := len(said())
		time.Sleep(30 * time.Millisecond) // if it ran, it would write ten lines
		if got := len(said()); got != size || !c.Stopped() {
			t.Fatalf("it wrote while it was stopped: %d bytes, then %d", size, got)
		}
		c.Continue()
		await.Until(t, "the script goes on", func() bool { return len(said()) > size+20 })
	}
	c.Stop()
	await.Until(t, "the script is stopped", func() bool { return stopped(t, c) })
	c.Signal(syscall.SIGTERM) // which a stopped process does not handle
	wantCode(t, c, 128+int(syscall.SIGTERM))
	if !c.Warned() || c.Stopped() {
		t.Error("warned", c.Warned(), "stopped", c.Stopped())
	}
}

// Close continues a stopped command, because nobody else would.
func TestCloseContinues(t *testing.T) {
	c, said := shell(t, `trap 'echo on; exit' USR1; echo ready; while :; do sleep 0.01; done`)
	await.Until(t, "the script is ready", func() bool { return said() != "" })
	c.Stop()
	await.Until(t, "the script is stopped", func() bool { return stopped(t, c) })
	pid := c.Pid()
	c.Close()
	await.Until(t, "the script runs", func() bool { return state(t, pid) != 'T' })
	if err := syscall.Kill(-pid, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the script handles the signal", func() bool { return strings.Contains(said(), "on") })
	var status syscall.WaitStatus
	if got, err := wait(pid, &status, 0); got != pid || err != nil {
		t.Error(got, err)
	}
}
