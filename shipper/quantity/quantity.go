// Package quantity writes numbers as people read them.
package quantity

import "strconv"

// Number returns n with commas between the thousands.
func Number(n int64) string {
	s := strconv.FormatInt(n, 10)
	start := 0
	if n < 0 {
		start = 1
	}
	for at := len(s) - 3; at > start; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

// Count returns n with its noun: 1 run, 3 runs.
func Count(n int64, one, many string) string { return Number(n) + " " + Plural(n, one, many) }

// Plural returns the noun for n things.
func Plural(n int64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
