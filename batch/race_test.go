//go:build race

package batch

// UnderRace reports whether the race detector is on.
const UnderRace = true
