//go:build race

package testkit

// UnderRace reports whether the race detector is at work. It makes each byte ten times as expensive
// and sees nothing where a single goroutine does all the work, so `make test` runs the largest
// inputs of such tests without it.
const UnderRace = true
