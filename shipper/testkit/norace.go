//go:build !race

package testkit

// UnderRace reports whether the race detector is at work.
const UnderRace = false
