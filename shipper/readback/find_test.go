package readback

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
)

func TestResolve(t *testing.T) {
	long := strings.Repeat("n", 600)
	for _, c := range []struct {
		template, job, run string
		prefix             string
		whole, named       bool
		matches            []string
		not                []string // names that do not match
	}{
		{template: "{jobId}", job: "nightly:build*42/日本", prefix: "nightly-build-42/日本", whole: true, named: true},
		{template: "{jobId}/{runId}", job: "a:b", run: "r", prefix: "a-b/r", whole: true, named: true},
		{template: "{jobId}", job: long, prefix: long[:512], whole: true, named: true},
		{template: "x-{jobId}-y", job: "j", prefix: "x-j-y", whole: true, named: true},
		{template: "agents", job: "j", prefix: "agents", whole: true},
		{
			template: "{jobId}/{runId}", job: "a:b", prefix: "a-b/", named: true,
			matches: []string{"a-b/", "a-b/-", "a-b/r/s"}, not: []string{"a-b", "a:b/r", "xa-b/r"},
		},
		{
			template: "p*/{hostname}/{jobId}.{runId}:log", job: "j", prefix: "p-/", named: true,
			matches: []string{"p-/host/j.r-log", "p-/h/h/j.-log"}, not: []string{"p-/host/k.r-log", "p-/host/j.r", "p-/j.r-log", "p*/host/j.r-log"},
		},
		{
			template: "{hostname}{expertKey}/{jobId}", job: "j", prefix: "", named: true,
			matches: []string{"/j", "h/j", "h/k/j"}, not: []string{"j", "h/j/k"},
		},
		{
			template: "{jobId}/{runId}/end", job: long, prefix: long[:512], named: true,
			matches: []string{long[:512]}, not: []string{long[:507] + "other"},
		},
		{template: "p/{hostname}", job: "j", prefix: "p/", matches: []string{"p/h"}},
		{template: "{runId}", job: "j", prefix: ""},
	} {
		t.Run(c.template, func(t *testing.T) {
			template, err := batch.ParseTemplate(c.template)
			if err != nil {
				t.Fatal(err)
			}
			got := resolve(template, c.job, c.run)
			if got.prefix() != c.prefix || got.named != c.named || (len(got.fixed) == 1) != c.whole {
				t.Errorf("resolved to %q with prefix %q, named %v", got.fixed, got.prefix(), got.named)
			}
			for _, name := range c.matches {
				if !got.matches(name) {
					t.Errorf("%q does not match", name)
				}
			}
			for _, name := range c.not {
				if got.matches(name) {
					t.Errorf("%q matches", name)
				}
			}
		})
	}
}

func TestSearchPattern(t *testing.T) {
	for id, want := range map[string]string{
		"uo5pABC_-9":             `"uo5pABC_-9"`,
		"two words":              `"two words"`,
		`a"bcd\e`:                `"bcd"`,
		"nightly:build*42/日本":    `"nightly:build*42"`,
		"日本":                     "",
		" \t ":                   "",
		"<a&b>":                  `"a"`,
		strings.Repeat("x", 500): `"` + strings.Repeat("x", 256) + `"`,
	} {
		if got := searchPattern(id); got != want {
			t.Errorf("searchPattern(%q) = %s, want %s", id, got, want)
		}
	}
}

func TestLinesFindsStreams(t *testing.T) {
	line := func(job, run string) string { return `{"jobId":"` + job + `","runId":"` + run + `"}` }
	build := func() *group {
		g := &group{}
		g.put("j/r1", 1, event("a", 1, line("j", "r1")))
		g.put("j/r1", 1, event("c", 1, line("j:", "r1"))) // another job whose stream has the same name
		g.put("j/r2", 2, event("a", 2, line("j", "r2")))
		g.put("other/r3", 3, event("b", 1, line("other", "r3")))
		g.put("other/r3", 3, event("b", 2, line("late", "r4"))) // the input had all its streams open
		g.put("other/r3", 3, seal("b", 2, 0, true))
		g.put("other/r3", 3, event("b", 3, line("j", "r4")))
		g.put("talk/r5", 4, event("d", 1, `{"jobId":"talk","runId":"r5","text":"of job late"}`))
		g.put("more", 5, event("f", 1, line("late", "r9")))
		g.put("late/x", 5, event("e", 1, line("other", "r6")))
		return g
	}
	for _, c := range []struct {
		name     string
		query    Query
		want     string
		streams  []string
		searched []string
	}{
		{name: "the streams of the template", query: Query{Job: "j", StreamTemplate: "{jobId}/{runId}"},
			want: line("j", "r1") + line("j", "r2"), streams: []string{"j/r1", "j/r2"}},
		{name: "one of them", query: Query{Job: "j", Run: "r2", StreamTemplate: "{jobId}/{runId}"},
			want: line("j", "r2"), streams: []string{"j/r2"}},
		{name: "and what is elsewhere", query: Query{Job: "j", StreamTemplate: "{jobId}/{runId}", Search: true},
			want: line("j", "r1") + line("j", "r2") + line("j", "r4"), streams: []string{"j/r1", "j/r2", "other/r3"}, searched: []string{`"j"`}},
		{name: "a stream that does not exist", query: Query{Job: "late", Run: "r4"},
			want: line("late", "r4"), streams: []string{"other/r3"}, searched: []string{`"late"`}},
		{name: "streams that hold only another job", query: Query{Job: "late", StreamTemplate: "{jobId}/{runId}"},
			want: line("late", "r4") + line("late", "r9"), streams: []string{"late/x", "more", "other/r3"}, searched: []string{`"late"`}},
		{name: "a run without its job", query: Query{Run: "r4", StreamTemplate: "{jobId}/{runId}"},
			want: line("late", "r4") + line("j", "r4"), streams: []string{"other/r3"}, searched: []string{`"r4"`}},
		{name: "given", query: Query{Job: "j", Streams: []string{"j/r2", "j/r2"}},
			want: line("j", "r2"), streams: []string{"j/r2"}},
		{name: "given, of whatever job", query: Query{Streams: []string{"other/r3"}},
			want: line("other", "r3") + line("late", "r4") + line("j", "r4"), streams: []string{"other/r3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := build()
			var out strings.Builder
			report, err := Lines(t.Context(), g, c.query, &out)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.ReplaceAll(c.want, "}", "}\n"); out.String() != want {
				t.Errorf("printed %q, want %q", out.String(), want)
			}
			if !reflect.DeepEqual(report.Streams, c.streams) {
				t.Errorf("read %q, want %q", report.Streams, c.streams)
			}
			if patterns := slices.Compact(g.filters); !reflect.DeepEqual(patterns, c.searched) {
				t.Errorf("searched %q, want %q", patterns, c.searched)
			}
		})
	}
}

// The lines that an input had before it named a job are in another stream. They belong to the first
// job that it named.
func TestLinesFindsTheBeginning(t *testing.T) {
	open := `{"shipper":{"record":"open","input":"i"},"type":"shipper.open","unattributed":"unattributed/host-i"}`
	early := func(seq int, text string) string {
		return fmt.Sprintf(`{"shipper":{"input":"i","seq":%d,"text":true},"type":"text","message":%q}`, seq, text)
	}
	g := &group{}
	g.put("first", 3, open)
	g.put("first", 3, event("i", 3, `{"jobId":"first"}`))
	g.put("second", 4, open)
	g.put("second", 4, event("i", 4, `{"jobId":"second"}`))
	g.put("unattributed/host-i", 1, early(1, "npm warn"))
	g.put("unattributed/host-i", 2, early(2, "npm notice"))
	g.put("unattributed/host-i", 9, event("i", 9, `{"jobId":"overflow"}`))
	g.put("unattributed/host-i", 9, event("i", 10, `{"jobId":null}`))
	for job, want := range map[string]string{
		"first":    "npm warn\nnpm notice\n" + `{"jobId":"first"}` + "\n",
		"second":   `{"jobId":"second"}` + "\n",
		"overflow": `{"jobId":"overflow"}` + "\n" + `{"jobId":null}` + "\n",
	} {
		var out strings.Builder
		if _, err := Lines(t.Context(), g, Query{Job: job}, &out); err != nil || out.String() != want {
			t.Errorf("of job %s: printed %q, want %q; %v", job, out.String(), want, err)
		}
	}
	var out strings.Builder
	if _, err := Lines(t.Context(), g, Query{Job: "first", Streams: []string{"first"}}, &out); err != nil || out.String() != `{"jobId":"first"}`+"\n" {
		t.Errorf("of the given stream: printed %q, %v", out.String(), err)
	}
}

func TestLinesFindsNothing(t *testing.T) {
	g := &group{}
	g.put("other", 1, event("b", 1, `{"jobId":"other"}`))
	var out strings.Builder
	g.put("foreign", 1, "not ours")
	for want, q := range map[string]Query{
		`job "gone"`:              {Job: "gone"},
		`job "other", run "gone"`: {Job: "other", Run: "gone"},
		`job "other:"`:            {Job: "other:"}, // its stream would be other-
		`log streams ["foreign"]`: {Streams: []string{"foreign"}},
	} {
		_, err := Lines(t.Context(), g, q, &out)
		if !errors.Is(err, ErrNothing) || out.Len() > 0 || !strings.HasPrefix(err.Error(), "nothing found for "+want+"; check") {
			t.Errorf("%+v: printed %q, %v", q, out.String(), err)
		}
	}
	if _, err := Lines(t.Context(), g, Query{Types: []string{"x"}}, &out); err == nil || errors.Is(err, ErrNothing) {
		t.Errorf("a query without job, run and stream: %v", err)
	}
	// A stream given in the query must exist.
	_, err := Lines(t.Context(), g, Query{Job: "other", Streams: []string{"other", "gone"}}, &out)
	call, ok := errors.AsType[*CallError](err)
	if !ok || call.Action != "GetLogEvents" || call.Stream != "gone" || cloudwatch.Classify(err) != cloudwatch.Missing {
		t.Errorf("error %v", err)
	}
}
