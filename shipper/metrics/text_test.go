package metrics

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"perstack-shipper/batch"
)

func some() *Stats {
	var calls Calls
	calls.Put(20 * time.Millisecond)
	calls.Put(time.Hour)
	calls.Accepted()
	calls.Failed("throttled")
	s := &Stats{
		Lines: 7, Bytes: 700, Rejected: 1, Types: map[string]int64{"callTools": 4, "\"\\\n\xff": 3},
		Outcomes: batch.Tally{Completed: 2, Error: 1}, Inputs: 1, Waiting: 50, Oldest: time.UnixMilli(1000), Calls: calls.Stats(),
	}
	s.AddTokens("math-expert", batch.Usage{InputTokens: 10, OutputTokens: 5, CachedInputTokens: 3})
	return s
}

// Prometheus's own parser reads the text, and its linter finds no fault with it.
func TestPrometheusReadsText(t *testing.T) {
	text := Text(some(), "v1", 1<<30, time.UnixMilli(3500))
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v\n%s", problems, err, text)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for name, family := range families {
		for _, m := range family.Metric {
			for _, l := range m.Label {
				name += "," + l.GetValue()
			}
			switch {
			case m.Counter != nil:
				got[name] = m.Counter.GetValue()
			case m.Gauge != nil:
				got[name] = m.Gauge.GetValue()
			case m.Histogram != nil:
				got[name] = float64(m.Histogram.GetSampleCount())
			}
			name = family.GetName()
		}
	}
	for name, want := range map[string]float64{
		"lines_total": 7, "read_bytes_total": 700, "rejected_lines_total": 1,
		"events_total,callTools": 4, "events_total,\"\\\n\uFFFD": 3,
		"tokens_total,math-expert,input": 10, "tokens_total,math-expert,cache_read": 3, "tokens_total,math-expert,reasoning": 0,
		"jobs,completed": 2, "jobs,error": 1, "jobs,unfinished": 0,
		"puts_total": 1, "failed_calls_total,throttled": 1, "failed_calls_total,denied": 0, "put_duration_seconds": 2,
		"inputs": 1, "waiting_bytes": 50, "oldest_line_age_seconds": 2.5, "journal_limit_bytes": 1 << 30, "build_info,v1": 1,
	} {
		if value, ok := got[prefix+name]; !ok || value != want {
			t.Errorf("%s: %v (%t), want %v", name, value, ok, want)
		}
	}
}

func TestExpertsAreBounded(t *testing.T) {
	source := NewSource()
	for i := range 2 * maxExperts {
		name := strings.Repeat("x", i)
		if got := source.Expert(name); (got == name) != (i < maxExperts) {
			t.Fatalf("Expert %d is counted as %q", i, got)
		}
	}
	// An Expert keeps its name, because a counter must not go backwards.
	for i := range 2 * maxExperts {
		name := strings.Repeat("x", 2*maxExperts-1-i)
		if got := source.Expert(name); (got == name) != (i >= maxExperts) || got != name && got != "other" {
			t.Fatalf("an Expert that was counted before is now counted as %q", got)
		}
	}
}
