//go:build !race

package fleet

// small is the number of tasks of most fleets in `make test`.
const small = 60
