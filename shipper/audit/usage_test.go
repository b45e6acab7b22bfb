package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/readback"
)

// line puts a line of an input as an event.
func (g *testGroup) line(input, stream string, seq int, ago time.Duration, members string) {
	g.put(stream, ago, fmt.Sprintf(`{"shipper":{"input":"%s","seq":%d},%s}`, input, seq, members))
}

// call returns the members of an event that ends a call of the model.
func call(job, run, expert string, step, tokens int, ago time.Duration) string {
	return fmt.Sprintf(`"type":"callTools","expertKey":"%s","timestamp":%d,"jobId":"%s","runId":"%s","stepNumber":%d,"usage":{"inputTokens":%d,"outputTokens":1,"totalTokens":%d}`,
		expert, testNow.Add(-ago).UnixMilli(), job, run, step, tokens-1, tokens)
}

// Each line counts once and for its own job, although jobs share streams and inputs.
func TestUsageOfSharedStreams(t *testing.T) {
	g := newTestGroup(t)
	// Two inputs share a stream, and one continues in another stream with another job.
	g.open("one", "shared", "a", 50*hour)
	g.line("one", "shared", 1, 50*hour, call("a", "r1", "writer", 1, 100, 50*hour))
	g.line("one", "second", 2, 49*hour, call("b", "r2", "writer", 1, 20, 49*hour))
	g.line("one", "second", 2, 49*hour, call("b", "r2", "writer", 1, 20, 49*hour)) // a repeat
	g.open("two", "shared", "c", 26*hour)
	g.line("two", "shared", 1, 26*hour, call("c", "r3", "reader", 1, 3, 26*hour))
	g.line("two", "shared", 2, 2*hour, call("c", "r3", "reader", 2, 4, 2*hour))
	g.seal("one", []string{"shared", "second"}, 48*hour, 2, true, nil)
	// An input without anything to count.
	g.open("three", "empty", "d", hour)

	for _, c := range []struct {
		name string
		q    UsageQuery
		by   By
		want string
	}{
		{"all", UsageQuery{Since: testNow.Add(-100 * hour)}, ByJob, "a:1,100 b:1,20 c:2,7"},
		{"by Expert", UsageQuery{Since: testNow.Add(-100 * hour)}, ByExpert, "writer:2,120 reader:2,7"},
		{"by day", UsageQuery{Since: testNow.Add(-100 * hour)}, ByDay, "2026-11-24:2,120 2026-11-25:1,3 2026-11-26:1,4"},
		{"a part of a job", UsageQuery{Since: testNow.Add(-100 * hour), Until: testNow.Add(-3 * hour)}, ByJob, "a:1,100 b:1,20 c:1,3"},
		{"a job that is a part of an input", UsageQuery{Jobs: []string{"b"}, Read: readback.Query{Search: true}}, ByJob, "b:1,20"},
		{"two jobs", UsageQuery{Jobs: []string{"b", "c", "b"}, Read: readback.Query{Search: true}}, ByRun, "b:1,20 c:2,7"},
		{"steps", UsageQuery{Jobs: []string{"c"}, Read: readback.Query{Search: true}}, ByStep, "c:1,3 c:1,4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, err := CountUsage(t.Context(), g.client, c.q)
			if err != nil || len(u.Differences) > 0 {
				t.Fatalf("%v, %q", err, u.Differences)
			}
			var got []string
			s := u.sheet(c.by)
			for _, row := range s.rows {
				got = append(got, row[0].plain()+":"+row[len(row)-6].plain()+","+row[len(row)-1].plain())
			}
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("%s, want %s", text, c.want)
			}
		})
	}
	if _, err := CountUsage(t.Context(), g.client, UsageQuery{Jobs: []string{"nobody"}}); !errors.Is(err, readback.ErrNothing) {
		t.Errorf("a job that does not exist: %v", err)
	}
}

// A line that the seal counts is missing.
func TestUsageDiffersFromTheSeal(t *testing.T) {
	g := newTestGroup(t)
	g.line("one", "a", 1, hour, call("a", "r1", "writer", 1, 100, hour))
	job := entry("a", batch.Completed, hour, 120)
	job.Calls = 2
	g.seal("one", []string{"a"}, hour, 2, true, []batch.Job{job})
	u, err := CountUsage(t.Context(), g.client, UsageQuery{Jobs: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Join(u.Differences, "\n")
	for _, want := range []string{
		"input one, line 2 is missing",
		"job a: the events of input one have 1 call with 100 tokens, but its seal counts 2 calls with 120 tokens",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not among the differences:\n%s", want, said)
		}
	}
	// Lines after the seal are not a difference.
	g.line("one", "a", 2, hour, call("a", "r1", "writer", 2, 20, hour))
	g.line("one", "a", 3, hour, call("a", "r1", "writer", 3, 7, hour))
	job.Usage = batch.Usage{InputTokens: 118, OutputTokens: 2, TotalTokens: 120}
	g.seal("one", []string{"a"}, hour-time.Minute, 2, true, []batch.Job{job})
	if u, err = CountUsage(t.Context(), g.client, UsageQuery{Jobs: []string{"a"}}); err != nil || len(u.Differences) > 0 || u.Jobs[0].Usage.TotalTokens != 127 {
		t.Errorf("%v, %q, %+v", err, u.Differences, u.Jobs[0].Usage)
	}
}

// TestUsageOfExcludedCalls checks that calls left out by --exclude-type are no difference, and that
// missing and altered ones still are.
func TestUsageOfExcludedCalls(t *testing.T) {
	for _, c := range []struct {
		name       string
		excluded   [][2]int64 // of 3 lines, of which the first has one of the seal's 2 calls
		calls      int64      // of the seal
		leftOut    string
		difference string
	}{
		{"left out", [][2]int64{{2, 3}}, 2, "have 1 call with 100 tokens, but its seal counts 2 calls with 120 tokens: --exclude-type left out", ""},
		{"one is missing", [][2]int64{{3, 3}}, 2, "--exclude-type left out", "input one, line 2 is missing"},
		{"altered", [][2]int64{{2, 3}}, 1, "", "have 1 call with 100 tokens, but its seal counts 1 call with 120 tokens: events are missing or altered"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newTestGroup(t)
			g.line("one", "a", 1, hour, call("a", "r1", "writer", 1, 100, hour))
			job := entry("a", batch.Completed, hour, 120)
			job.Calls = c.calls
			n := c.excluded[0][1] - c.excluded[0][0] + 1
			g.put("a", hour, record("seal", "one", map[string]any{
				"timestamp": testNow.Add(-hour).UnixMilli(), "lines": 3, "lastSeq": 3, "streams": []string{"a"}, "ended": true,
				"excludedLines": n, "excluded": c.excluded, "excludedSince": n, "jobs": []batch.Job{job},
			}))
			u, err := CountUsage(t.Context(), g.client, UsageQuery{Jobs: []string{"a"}})
			if err != nil {
				t.Fatal(err)
			}
			for _, said := range []struct{ got, want string }{
				{strings.Join(u.LeftOut, "\n"), c.leftOut}, {strings.Join(u.Differences, "\n"), c.difference},
			} {
				if (said.got == "") != (said.want == "") || !strings.Contains(said.got, said.want) {
					t.Errorf("%q, want %q", said.got, said.want)
				}
			}
		})
	}
}

// TestUsageJSON compares the JSON member by member.
func TestUsageJSON(t *testing.T) {
	g := newTestGroup(t)
	g.line("one", "a", 1, hour, call("a", "r1", "writer", 1, 100, hour))
	u, err := CountUsage(t.Context(), g.client, UsageQuery{Jobs: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := u.WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	usage := `{"inputTokens":99,"outputTokens":1,"reasoningTokens":0,"cachedInputTokens":0,"totalTokens":100}`
	at := fmt.Sprint(testNow.Add(-hour).UnixMilli())
	want := `{"job":"a","calls":1,"usage":` + usage + `,"experts":[{"expertKey":"writer","runs":0,"calls":1,"usage":` + usage + `}],` +
		`"runs":[{"runId":"r1","expertKey":"writer","outcome":"unfinished","started":` + at + `,"finished":` + at + `,"steps":1,"calls":1,"usage":` + usage + `}],` +
		`"steps":[{"runId":"r1","stepNumber":1,"expertKey":"writer","started":` + at + `,"finished":` + at + `,"calls":1,"usage":` + usage + `}]}` + "\n"
	if out.String() != want {
		t.Errorf("%s, want\n%s", out.String(), want)
	}
	var back JobUsage
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || !reflect.DeepEqual(back.Experts, u.Jobs[0].Experts) {
		t.Errorf("%+v, %v", back, err)
	}
}
