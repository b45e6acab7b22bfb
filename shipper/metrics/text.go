package metrics

// This file writes the text format of Prometheus, version 0.0.4.

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"perstack-shipper/batch"
)

// contentType is the content type of the text format.
const contentType = "text/plain; version=0.0.4; charset=utf-8"

const prefix = "perstack_shipper_"

type writer struct{ strings.Builder }

// family writes the header of a metric, which its samples must follow.
func (w *writer) family(name, kind, help string) {
	fmt.Fprintf(w, "# HELP %s%s %s\n# TYPE %s%s %s\n", prefix, name, help, prefix, name, kind)
}

// sample writes a value. labels alternates names and values.
func (w *writer) sample(name string, value float64, labels ...string) {
	w.WriteString(prefix + name)
	for i := 0; i+1 < len(labels); i += 2 {
		w.WriteByte("{,"[min(i, 1)])
		w.WriteString(labels[i] + `="` + escapeLabel.Replace(strings.ToValidUTF8(labels[i+1], "\uFFFD")) + `"`)
	}
	if len(labels) > 0 {
		w.WriteByte('}')
	}
	w.WriteString(" " + strconv.FormatFloat(value, 'g', -1, 64) + "\n")
}

var escapeLabel = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

func (w *writer) counter(name string, value int64, help string) {
	w.family(name, "counter", help)
	w.sample(name, float64(value))
}

func (w *writer) gauge(name string, value float64, help string) {
	w.family(name, "gauge", help)
	w.sample(name, value)
}

// Text returns the metrics of a shipper at the time now. journalLimit is how much disk space an
// input may take.
func Text(s *Stats, version string, journalLimit int64, now time.Time) string {
	w := &writer{}
	w.family("build_info", "gauge", "Version of the program.")
	w.sample("build_info", 1, "version", version)

	w.counter("lines_total", s.Lines, "Lines read and turned into events.")
	w.counter("read_bytes_total", s.Bytes, "Bytes of these lines.")
	w.counter("excluded_lines_total", s.Excluded, "Lines excluded by --exclude-type.")
	w.counter("redactions_total", s.Redacted, "Matches redacted by --redact.")
	w.counter("lossy_lines_total", s.Lossy, "Lines that were not UTF-8.")
	w.counter("retimed_events_total", s.Retimed, "Events sent with a time other than their own.")
	w.counter("repeated_events_total", s.Repeated, "Events that may be in CloudWatch twice.")
	w.counter("rejected_lines_total", s.Rejected, "Lines that CloudWatch refused for good.")
	w.family("events_total", "counter", "Lines by event type.")
	for _, name := range slices.Sorted(maps.Keys(s.Types)) {
		w.sample("events_total", float64(s.Types[name]), "type", name)
	}
	w.tokens(s.Experts)
	w.family("jobs", "gauge", "Jobs of this process by outcome so far.")
	for _, outcome := range batch.Outcomes {
		w.sample("jobs", float64(s.Outcomes.Of(outcome)), "outcome", string(outcome))
	}
	w.calls(&s.Calls)

	w.gauge("inputs", float64(s.Inputs), "Inputs being shipped.")
	w.gauge("waiting_bytes", float64(s.Waiting), "Bytes read but not yet acknowledged by CloudWatch.")
	age := 0.0
	if !s.Oldest.IsZero() {
		age = max(0, now.Sub(s.Oldest).Seconds())
	}
	w.gauge("oldest_line_age_seconds", age, "How long the oldest waiting line has waited.")
	w.gauge("journal_bytes", float64(s.JournalBytes), "Disk space that inputs take in the journal.")
	w.gauge("journal_limit_bytes", float64(journalLimit), "Maximum disk space that one input may take.")
	return w.String()
}

// tokens writes the tokens of each Expert. Tokens read from a cache are also input tokens, and
// reasoning tokens are also output tokens.
func (w *writer) tokens(experts map[string]batch.Usage) {
	w.family("tokens_total", "counter", "Tokens by Expert and kind; cache_read is part of input, reasoning part of output.")
	for _, expert := range slices.Sorted(maps.Keys(experts)) {
		u := experts[expert]
		for _, kind := range []struct {
			name string
			n    int64
		}{{"input", u.InputTokens}, {"output", u.OutputTokens}, {"cache_read", u.CachedInputTokens}, {"reasoning", u.ReasoningTokens}} {
			w.sample("tokens_total", float64(kind.n), "expert", expert, "kind", kind.name)
		}
	}
}

func (w *writer) calls(c *CallStats) {
	w.counter("puts_total", c.Accepted, "Accepted calls of PutLogEvents.")
	w.family("failed_calls_total", "counter", "Failed calls by the class of their error.")
	for i, class := range Classes {
		w.sample("failed_calls_total", float64(c.Failed[i]), "class", class)
	}
	w.family("put_duration_seconds", "histogram", "Time until PutLogEvents answered.")
	n := int64(0)
	for i, count := range c.Buckets {
		n += count
		bound := "+Inf"
		if i < len(bounds) {
			bound = strconv.FormatFloat(bounds[i], 'g', -1, 64)
		}
		w.sample("put_duration_seconds_bucket", float64(n), "le", bound)
	}
	w.sample("put_duration_seconds_sum", c.Seconds)
	w.sample("put_duration_seconds_count", float64(n))
}
