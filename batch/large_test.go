package batch

import "testing"

// Large leaves a test that takes seconds of one goroutine to the run of this package without the
// race detector, which is part of `make test`. The detector makes each byte ten times as expensive
// and finds nothing there: the only goroutine that this package starts hashes blocks beside the
// shaping, and the recordings have it at work.
func Large(t testing.TB) {
	t.Helper()
	if UnderRace {
		t.Skip("left to the run without the race detector")
	}
}
