//go:build race

package fleet

const small = 20
