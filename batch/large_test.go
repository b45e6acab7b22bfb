package batch

import "testing"

// Large leaves a test of many megabytes to the run of this package without the race detector, which
// is part of `make test`. The detector makes each byte ten times as expensive and finds nothing in
// them: the only goroutine here hashes blocks beside the shaping, and the recordings have it at
// work.
func Large(t testing.TB) {
	t.Helper()
	if UnderRace {
		t.Skip("left to the run without the race detector")
	}
}
