//go:build !race

package shipper

// runs is how many runs a distribution is taken of.
const runs = 50
