package check

import "fmt"

// marks are the first column of a printed result.
var marks = map[Status]string{OK: "ok  ", Warning: "warn", Failed: "FAIL", Skipped: "skip"}

// String returns the result as a line for people, with the remedy on a second line if it has one.
func (r Result) String() string {
	line := fmt.Sprintf("%s  %-23s  %s", marks[r.Status], r.Name, r.Message)
	if r.Remedy != "" {
		line += "\n      -> " + r.Remedy
	}
	return line
}
