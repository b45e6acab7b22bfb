package testkit

import (
	"testing"
	"time"
)

// Deadline is how long a test waits for anything before it fails. It is many times what a busy
// machine needs, so only something that hangs reaches it.
const Deadline = 2 * time.Minute

// Until waits until is returns true. After Deadline the test fails with what it waited for, and
// each [Process] of the test shows what it printed.
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

// Until is [Until] for the world's test.
func (w *World) Until(what string, is func() bool) {
	w.T.Helper()
	Until(w.T, what, is)
}
