package proof

import (
	"fmt"
	"strings"

	"perstack-shipper/shipper/quantity"
)

func days(n int) string { return quantity.Count(int64(n), "day", "days") }

// rangesText lists ranges of seqs: 12, 40–41. Beyond the first ten it only counts them.
func rangesText(ranges [][2]int64) string {
	const most = 10
	var b strings.Builder
	for i, r := range ranges {
		if i == most {
			fmt.Fprintf(&b, " and %s", quantity.Count(int64(len(ranges)-most), "more range", "more ranges"))
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quantity.Number(r[0]))
		if r[1] > r[0] {
			b.WriteString("–" + quantity.Number(r[1]))
		}
	}
	return b.String()
}
