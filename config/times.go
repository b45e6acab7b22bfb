package config

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Time is an option that names a moment. Its zero value is that none was given.
type Time struct{ time.Time }

// timeForms are the ways to write a moment that say it in full, and those in UTC that leave
// something out.
var timeForms = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly}

// ago is a moment as the time since then: a number and a unit, or several of these.
var ago = regexp.MustCompile(`^([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$`)

// ParseTime reads a moment: as the time that has passed since then, such as 7d, 12h or 1h30m; as a
// date, which begins at midnight in UTC; or as a date and time, in UTC unless it ends with an
// offset as RFC 3339 has it.
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

// longAgo bounds each unit of a time that has passed, so that their sum is a time.Duration.
const longAgo = 50 * 365 * 24 * time.Hour

func (t *Time) set(option, text string) error {
	value, err := ParseTime(text, time.Now())
	if err != nil {
		return Usage(option, "%v", err)
	}
	t.Time = value
	return nil
}

// Period is the time that a reader looks at.
type Period struct {
	Since Time `name:"since" placeholder:"TIME" group:"Selection:" help:"From then on: 7d or 12h ago, a date, or RFC 3339."`
	Until Time `name:"until" placeholder:"TIME" group:"Selection:" help:"Up to then; written like --since. Default: now."`
}
