package loglimit

import (
	"testing"
	"time"
)

func TestEachKindOnceAMinute(t *testing.T) {
	var l Limiter
	start := time.Unix(1_700_000_000, 0)
	for _, step := range []struct {
		kind  string
		after time.Duration
		want  bool
	}{
		{"a", 0, true},
		{"a", time.Second, false},
		{"b", time.Second, true},
		{"a", time.Minute - 1, false}, // a message that is held back does not restart the minute
		{"a", time.Minute, true},
		{"b", time.Minute, false},
		{"b", time.Minute + time.Second, true},
	} {
		if got := l.Allow(step.kind, start.Add(step.after)); got != step.want {
			t.Errorf("%q after %s: %t, want %t", step.kind, step.after, got, step.want)
		}
	}
}
