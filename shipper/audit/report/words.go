package report

// This file formats times and sizes for people.

import (
	"fmt"
	"strconv"
	"time"

	"perstack-shipper/shipper/terminal"
)

// duration formats a time in ms with at most two units.
func duration(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	two := func(big int64, bigUnit string, small int64, smallUnit string) string {
		if small == 0 {
			return fmt.Sprintf("%d %s", big, bigUnit)
		}
		return fmt.Sprintf("%d %s %d %s", big, bigUnit, small, smallUnit)
	}
	switch {
	case ms < 0:
		return "–"
	case ms < 1000:
		return fmt.Sprintf("%d ms", ms)
	case ms < 60_000:
		return strconv.FormatFloat(float64(ms/10)/100, 'f', -1, 64) + " s"
	case d < time.Hour:
		return two(ms/60_000, "min", ms/1000%60, "s")
	case d < 48*time.Hour:
		return two(ms/3_600_000, "h", ms/60_000%60, "min")
	}
	return two(ms/86_400_000, "d", ms/3_600_000%24, "h")
}

// size formats a number of bytes.
func size(n int) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d bytes", n)
	case n < 1_000_000:
		return fmt.Sprintf("%.3g kB", float64(n)/1000)
	}
	return fmt.Sprintf("%.3g MB", float64(n)/1e6)
}

// clock formats the time of day of a time in ms, in UTC.
func clock(ms int64) string {
	if ms <= 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format("15:04:05.000")
}

// moment formats a time in ms with its date, in UTC.
func moment(ms int64) string {
	if ms <= 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05 UTC")
}

// fit cuts a name to a number of columns.
func fit(s string, width int) string { return terminal.Fit(terminal.Escape(s), width) }
