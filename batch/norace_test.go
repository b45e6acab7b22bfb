//go:build !race

package batch

const UnderRace = false
