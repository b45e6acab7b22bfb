// Package await waits in tests, with a deadline. It is apart from testkit because the tests of the
// packages that testkit imports need it too.
package await

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Deadline is how long a test waits for anything before it fails. It is many times what a busy
// machine needs, so only something that hangs reaches it.
const Deadline = 2 * time.Minute

// Context returns a context that ends after Deadline, or with the test.
func Context(t testing.TB) context.Context {
	ctx, stop := context.WithTimeout(t.Context(), Deadline)
	t.Cleanup(stop)
	return ctx
}

// Until waits until is returns true. After Deadline the test fails with what it waited for.
func Until(t testing.TB, what string, is func() bool) {
	t.Helper()
	pause := time.Millisecond
	for deadline := time.Now().Add(Deadline); !is(); time.Sleep(pause) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", Deadline, what)
		}
		pause = min(2*pause, 10*time.Millisecond)
	}
}

// Receive receives from a channel, or returns the zero value if it is closed. After Deadline the
// test fails with what it waited for.
func Receive[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	deadline := time.NewTimer(Deadline)
	defer deadline.Stop()
	select {
	case v := <-from:
		return v
	case <-deadline.C:
	}
	t.Fatalf("not within %s: %s", Deadline, what)
	panic("unreachable")
}

// Return waits until a function returns, which must not call FailNow.
func Return(t testing.TB, what string, function func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		function()
	}()
	Receive(t, what, done)
}

// Exit waits for the end of a program that was started, as [exec.Cmd.Wait] does. After Deadline it
// kills the program, and the test fails with what a buffer got of the program's stderr.
func Exit(t testing.TB, c *exec.Cmd) error {
	t.Helper()
	// Kill fails if the program has ended.
	killed := time.AfterFunc(Deadline, func() { _ = c.Process.Kill() })
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	late := time.NewTimer(Deadline + 5*time.Second) // its children may keep a pipe open
	defer late.Stop()
	said := ""
	select {
	case err := <-ended:
		if killed.Stop() {
			return err
		}
		if buffer, ok := c.Stderr.(fmt.Stringer); ok {
			said = "; it printed:\n" + buffer.String()
		}
	case <-late.C:
	}
	t.Fatalf("%s has not ended within %s%s", strings.Join(c.Args, " "), Deadline, said)
	panic("unreachable")
}
