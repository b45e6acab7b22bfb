//go:build race

package batch

// UnderRace reports whether the race detector is at work.
const UnderRace = true
