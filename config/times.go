package config

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Time is an option whose value is a point in time. Its zero value means that the option was not
// given.
type Time struct{ time.Time }

// timeForms are the accepted formats of a point in time. Those without an offset are in UTC.
var timeForms = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly}

// ago matches a point in time given as the time since then: a number with a unit, or several of
// them.
var ago = regexp.MustCompile(`^([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$`)

// ParseTime reads a point in time. It can be the time that has passed since then, such as 7d, 12h
// or 1h30m; a date, which means midnight in UTC; or a date and time, in UTC unless it ends with an
// offset as in RFC 3339.
func ParseTime(text string, now time.Time) (time.Time, error) {
	for _, form := range timeForms {
		if t, err := time.Parse(form, text); err == nil {
			return t, nil
		}
	}
	parts := ago.FindStringSubmatch(text)
	if parts == nil || text == "" {
		return time.Time{}, fmt.Errorf("%q is not a time: write it like 7d, 12h, 2026-11-20 or 2026-11-20T08:00:00Z", text)
	}
	var back time.Duration
	for i, unit := range []time.Duration{7 * 24 * time.Hour, 24 * time.Hour, time.Hour, time.Minute, time.Second} {
		number := parts[i+1]
		if number == "" {
			continue
		}
		n, err := strconv.ParseInt(number[:len(number)-1], 10, 64)
		if err != nil || n > int64(longAgo/unit) {
			return time.Time{}, fmt.Errorf("%q is too long ago: write it like 7d, 12h, 2026-11-20 or 2026-11-20T08:00:00Z", text)
		}
		back += time.Duration(n) * unit
	}
	return now.Add(-back), nil
}

// longAgo bounds each unit of a relative time, so that their sum fits in a time.Duration.
const longAgo = 50 * 365 * 24 * time.Hour

func (t *Time) set(option, text string) error {
	value, err := ParseTime(text, time.Now())
	if err != nil {
		return Usage(option, "%v", err)
	}
	t.Time = value
	return nil
}

// Period is the time that a reading command looks at.
type Period struct {
	Since Time `name:"since" placeholder:"TIME" group:"Selection:" help:"Start of the period: 7d, 12h, a date or RFC 3339."`
	Until Time `name:"until" placeholder:"TIME" group:"Selection:" help:"End of the period, like --since. Default: now."`
}
