package config

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 11, 26, 14, 30, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"7d":                        "2026-11-19T14:30:00Z",
		"12h":                       "2026-11-26T02:30:00Z",
		"30m":                       "2026-11-26T14:00:00Z",
		"90s":                       "2026-11-26T14:28:30Z",
		"2w":                        "2026-11-12T14:30:00Z",
		"1d12h":                     "2026-11-25T02:30:00Z",
		"1h30m":                     "2026-11-26T13:00:00Z",
		"0s":                        "2026-11-26T14:30:00Z",
		"2026-11-20":                "2026-11-20T00:00:00Z",
		"2026-11-20T08:15":          "2026-11-20T08:15:00Z",
		"2026-11-20 08:15":          "2026-11-20T08:15:00Z",
		"2026-11-20T08:15:01":       "2026-11-20T08:15:01Z",
		"2026-11-20T08:15:01Z":      "2026-11-20T08:15:01Z",
		"2026-11-20T08:15:01.5Z":    "2026-11-20T08:15:01.5Z",
		"2026-11-20T08:15:01+09:00": "2026-11-19T23:15:01Z",
	} {
		got, err := ParseTime(text, now)
		if err != nil || got.UTC().Format(time.RFC3339Nano) != want {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
	for _, bad := range []string{"", "7", "d", "7 d", "-7d", "1.5h", "12h1d", "yesterday", "2026-13-01", "2026-11-20T25:00", "20/11/2026", "1732608000000", "99999w", "99999999999999999999s"} {
		if got, err := ParseTime(bad, now); err == nil {
			t.Errorf("ParseTime(%q) = %s, want an error", bad, got)
		}
	}
}
