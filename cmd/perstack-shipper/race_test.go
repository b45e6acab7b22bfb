//go:build race

package main

// underRace reports whether the race detector is at work.
const underRace = true
