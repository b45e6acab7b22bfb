//go:build race

package batch

// UnderRace says that the race detector is at work. This package starts no goroutine, so it finds
// nothing here and makes a byte ten times as dear: the largest inputs are left to a run without it.
const UnderRace = true
