//go:build race

package shipper

// runs is how many runs a distribution is taken of. The race detector makes each ten times as dear.
const runs = 12
