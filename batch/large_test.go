package batch

import "testing"

// Large skips a slow test of a single goroutine under the race detector. `make test` runs this
// package a second time without the detector. The detector makes each byte ten times as expensive
// and finds nothing in these tests: the only goroutine that this package starts hashes blocks while
// they are shaped, and the recordings exercise that.
func Large(t testing.TB) {
	t.Helper()
	if UnderRace {
		t.Skip("runs only without the race detector")
	}
}
