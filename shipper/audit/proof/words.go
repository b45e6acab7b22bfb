package proof

import (
	"fmt"
	"strconv"
	"strings"
)

// This file writes numbers as people read them.

// count returns n with its noun.
func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + many
}

func days(n int) string { return count(int64(n), "day", "days") }

// thousands returns n with commas.
func thousands(n int64) string {
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

// rangesText names ranges of seqs, the first ones where there are many: 12, 40–41.
func rangesText(ranges [][2]int64) string {
	const most = 10
	var b strings.Builder
	for i, r := range ranges {
		if i == most {
			fmt.Fprintf(&b, " and %s", count(int64(len(ranges)-most), "more range", "more ranges"))
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(thousands(r[0]))
		if r[1] > r[0] {
			b.WriteString("–" + thousands(r[1]))
		}
	}
	return b.String()
}
