//go:build !race

package fleet

// small is how many tasks most fleets of `make test` have.
const small = 60
