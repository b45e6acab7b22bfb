package run

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"perstack-shipper/shipper"
)

func TestDrainIsLoggedNowAndThen(t *testing.T) {
	core, logged := observer.New(zap.InfoLevel)
	began := time.Now()
	now := began
	s := &Session{log: zap.New(core), now: func() time.Time { return now }, patience: Patience{DrainLog: 10 * time.Second}}
	for range 35 { // a report a second
		now = now.Add(time.Second)
		s.showDrain(shipper.Drain{Since: began, Left: 12_300_000, Rate: 500_000, Cause: "HTTP 503"})
	}
	entries := logged.All()
	if len(entries) != 3 {
		t.Fatalf("%d messages in 35 s, want one every 10 s", len(entries))
	}
	fields := entries[0].ContextMap()
	if entries[0].Message != "the input has ended: 12.3 MB left to ship, 0.5 MB/s; waiting because of: HTTP 503" ||
		fields["bytes"] != int64(12_300_000) || fields["cause"] != "HTTP 503" {
		t.Errorf("%s %v", entries[0].Message, fields)
	}
}

func TestDrainOnATerminalIsALineThatIsRewritten(t *testing.T) {
	core, logged := observer.New(zap.InfoLevel)
	began := time.Now()
	now := began
	var shown []string
	s := &Session{log: zap.New(core), now: func() time.Time { return now }, status: func(text string) { shown = append(shown, text) }}
	s.showDrain(shipper.Drain{Since: began, Left: 5}) // the drain may end at once, so nothing is shown
	for range 3 {
		now = now.Add(time.Second)
		s.showDrain(shipper.Drain{Since: began, Left: 5})
	}
	if len(shown) != 3 || logged.Len() != 0 || strings.Contains(shown[0], "waiting") {
		t.Errorf("shown %q, logged %d", shown, logged.Len())
	}
}
