package testkit

import (
	"testing"

	"perstack-shipper/shipper/testkit/await"
)

// Deadline is how long a test waits for anything before it fails.
const Deadline = await.Deadline

// Until waits until is returns true. After Deadline the test fails with what it waited for, and
// each [Process] of the test shows what it printed.
func Until(t testing.TB, what string, is func() bool) {
	t.Helper()
	await.Until(t, what, is)
}

// Until is [Until] for the world's test.
func (w *World) Until(what string, is func() bool) {
	w.T.Helper()
	await.Until(w.T, what, is)
}
