package testkit

import (
	"testing"
	"time"
)

// Deadline is how long a test waits for anything before it fails. It is many times what a busy
// machine needs, so that only what hangs reaches it.
const Deadline = 2 * time.Minute

// Until waits until is holds. If that takes longer than Deadline, the test fails and says what it
// waited for; a [Process] that it started then shows what it printed.
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

// Until waits as the function does.
func (w *World) Until(what string, is func() bool) {
	w.T.Helper()
	Until(w.T, what, is)
}
