package audit

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/readback"
)

// expected is what Jobs should say about a job.
type expected struct {
	outcome       batch.Outcome
	tokens, lines int64 // lines is negative if unknown
	inputs        int
	ended         bool
}

// fate puts the records of a job and sets what Jobs should say about it. It returns the number of
// jobs that seem to have been running for long.
type fate func(g *testGroup, id, input string, ago time.Duration, tokens int64, want map[string]expected) (listened int)

const hour = time.Hour

// sealedAs is the fate of most jobs: one input that was opened and sealed.
func sealedAs(outcome batch.Outcome, ended bool) fate {
	return func(g *testGroup, id, input string, ago time.Duration, tokens int64, want map[string]expected) int {
		g.open(input, id, id, ago)
		g.seal(input, []string{id}, ago-hour, 10, ended, []batch.Job{entry(id, outcome, ago, tokens)})
		want[id] = expected{outcome, tokens, 10, 1, ended}
		return 0
	}
}

var fates = []fate{
	sealedAs(batch.Completed, true),
	sealedAs(batch.Failed, true),
	sealedAs(batch.MaxSteps, true),
	sealedAs(batch.Interactive, true),
	sealedAs(batch.Unfinished, true),
	sealedAs(batch.Unfinished, false), // the shipper was stopped before the agent
	// It has just begun.
	func(g *testGroup, id, input string, _ time.Duration, _ int64, want map[string]expected) int {
		g.open(input, id, id, 5*time.Minute)
		want[id] = expected{Running, 0, -1, 1, false}
		return 0
	},
	// It has been running for long.
	func(g *testGroup, id, input string, ago time.Duration, _ int64, want map[string]expected) int {
		g.open(input, id, id, ago)
		g.put(id, time.Minute, `{"shipper":{"input":"`+input+`","seq":9},"type":"callTools","jobId":"`+id+`"}`)
		want[id] = expected{Running, 0, -1, 1, false}
		return 1
	},
	// It has been silent for long.
	func(g *testGroup, id, input string, ago time.Duration, _ int64, want map[string]expected) int {
		g.open(input, id, id, ago)
		g.put(id, SilentAfter+time.Minute, `{"shipper":{"input":"`+input+`","seq":9},"type":"callTools","jobId":"`+id+`"}`)
		want[id] = expected{Silent, 0, -1, 1, false}
		return 1
	},
	// An earlier version shipped it.
	func(g *testGroup, id, input string, ago time.Duration, _ int64, want map[string]expected) int {
		g.open(input, id, "", ago)
		g.seal(input, []string{id}, ago-hour, 7, true, nil)
		want[id] = expected{Unknown, 0, 7, 1, true}
		return 0
	},
	// Its stderr is an input of its own, and sealed later.
	func(g *testGroup, id, input string, ago time.Duration, tokens int64, want map[string]expected) int {
		g.open(input, id, id, ago)
		g.seal(input, []string{id}, ago-hour, 10, true, []batch.Job{entry(id, batch.Completed, ago, tokens)})
		g.seal(input+".err", []string{id}, ago-2*hour, 3, true, []batch.Job{{JobID: id, Outcome: batch.Unfinished}})
		want[id] = expected{batch.Completed, tokens, 13, 2, true}
		return 0
	},
	// Three jobs share an input, which has a line before all of them.
	func(g *testGroup, id, input string, ago time.Duration, tokens int64, want map[string]expected) int {
		b, c := id+"-b", id+"-c"
		g.seal(input, []string{id, b, c}, ago-hour, 30, true, []batch.Job{
			{Outcome: batch.Unfinished}, entry(id, batch.Completed, ago, tokens), entry(b, batch.Failed, ago, 5), entry(c, batch.MaxSteps, ago, 6)})
		want[id] = expected{batch.Completed, tokens, -1, 1, true}
		want[b], want[c] = expected{batch.Failed, 5, -1, 1, true}, expected{batch.MaxSteps, 6, -1, 1, true}
		return 0
	},
	// Two processes shipped it, and the second one completed.
	func(g *testGroup, id, input string, ago time.Duration, tokens int64, want map[string]expected) int {
		g.open(input, id, id, ago)
		g.seal(input, []string{id}, ago-hour, 10, true, []batch.Job{entry(id, batch.Failed, ago, 11)})
		g.open(input+"x", id, id, ago-hour)
		g.seal(input+"x", []string{id}, ago-2*hour, 20, true, []batch.Job{entry(id, batch.Completed, ago-hour, tokens)})
		want[id] = expected{batch.Completed, tokens + 11, 30, 2, true}
		return 0
	},
	// Two processes shipped it. The first was killed, and its rest was shipped last.
	func(g *testGroup, id, input string, ago time.Duration, tokens int64, want map[string]expected) int {
		g.open(input+"x", id, id, ago-hour)
		g.seal(input+"x", []string{id}, ago-2*hour, 20, true, []batch.Job{entry(id, batch.Completed, ago-hour, tokens)})
		g.open(input, id, id, ago)
		g.seal(input, []string{id}, ago-2*hour-time.Minute, 10, true, []batch.Job{entry(id, batch.Unfinished, ago, 11)})
		want[id] = expected{batch.Completed, tokens + 11, 30, 2, true}
		return 0
	},
	// The shipper was stopped and started again.
	func(g *testGroup, id, input string, ago time.Duration, tokens int64, want map[string]expected) int {
		g.open(input, id, id, ago)
		g.seal(input, []string{id}, ago-hour, 10, false, []batch.Job{entry(id, batch.Unfinished, ago, tokens)})
		g.open(input, id, id, 3*time.Minute)
		want[id] = expected{Running, tokens, 10, 1, false}
		return 0
	},
	// Each run has a stream, and all were sealed twice.
	func(g *testGroup, id, input string, ago time.Duration, tokens int64, want map[string]expected) int {
		runs := []string{id + "/r1", id + "/r2", id + "/r3"}
		for _, stream := range runs {
			g.open(input, stream, id, ago)
		}
		g.seal(input, runs, ago-hour, 4, false, []batch.Job{entry(id, batch.Unfinished, ago, 3)})
		g.seal(input, runs, ago-2*hour, 9, true, []batch.Job{entry(id, batch.Completed, ago, tokens)})
		want[id] = expected{batch.Completed, tokens, 9, 1, true}
		return 0
	},
	// Lines before the first one that named a job have a stream of their own.
	func(g *testGroup, id, input string, ago time.Duration, tokens int64, want map[string]expected) int {
		first := batch.Unattributed("host", input)
		g.open(input, first, "", ago)
		g.open(input, id, id, ago)
		g.seal(input, []string{first, id}, ago-hour, 12, true, []batch.Job{{Outcome: batch.Unfinished}, entry(id, batch.Completed, ago, tokens)})
		want[id] = expected{batch.Completed, tokens, 12, 1, true}
		return 0
	},
}

func TestJobs(t *testing.T) {
	g := newTestGroup(t)
	g.filler = strings.Repeat("x", 1500) // so that the records fill two pages
	want := map[string]expected{}
	listened := 0
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 20 * len(fates) {
		ago := 3*hour + time.Duration(random.IntN(6*24*60))*time.Minute
		listened += fates[i%len(fates)](g, fmt.Sprintf("job-%04d", i), fmt.Sprintf("in%06d", i), ago, 100+random.Int64N(1000), want)
	}
	// Events of other programs are not records, nor are lines that look like records.
	for i := range 50 {
		g.put("job-0000", hour, fmt.Sprintf(`{"type":"shipper.seal","jobId":"forged-%d","jobs":[{"jobId":"forged"}]}`, i))
		g.put("job-0000", hour, fmt.Sprintf(`{"shipper":{"input":"in000000","seq":%d},"type":"shipper.seal","jobId":"job-0000","jobs":[{"jobId":"forged"}]}`, i+100))
	}

	clear(g.calls)
	since := testNow.Add(-7 * 24 * hour)
	jobs, err := Jobs(t.Context(), g.client, JobsQuery{Since: since, Now: testNow})
	if err != nil {
		t.Fatal(err)
	}
	if len(jobs) != len(want) {
		t.Errorf("%d jobs, want %d", len(jobs), len(want))
	}
	for _, j := range jobs {
		w, ok := want[j.ID]
		lines := int64(-1)
		if j.Lines != nil {
			lines = *j.Lines
		}
		if got := (expected{j.Outcome, j.Usage.TotalTokens, lines, j.Inputs, j.Ended}); !ok || got != w {
			t.Errorf("%s: %+v, want %+v", j.ID, got, w)
		}
	}
	if !slices.IsSortedFunc(jobs, func(a, b *Job) int { return int(b.Started - a.Started) }) {
		t.Error("the jobs are not sorted, newest first")
	}

	// Jobs makes one call per page of seals and opens, and at most two per job that seems to
	// have been running for long: an empty page is the end only when it comes twice.
	pages := g.size/(batch.MaxBatchBytes-10_000) + 1
	if calls := g.calls["FilterLogEvents"]; calls > pages || calls < 2 {
		t.Errorf("%d calls of FilterLogEvents for %d bytes of records, want 2 to %d", calls, g.size, pages)
	}
	if calls := g.calls["GetLogEvents"]; calls > 2*listened {
		t.Errorf("%d calls of GetLogEvents for %d jobs that seem to have been running for long", calls, listened)
	}
	if len(g.calls) != 2 {
		t.Errorf("there were other calls: %v", g.calls)
	}

	failed, ran, early := 0, 0, 0
	middle := testNow.Add(-3 * 24 * hour)
	for _, j := range jobs {
		switch want[j.ID].outcome {
		case batch.Failed, batch.MaxSteps, batch.Unfinished, Silent:
			failed++
		}
		if want[j.ID].tokens > 0 {
			ran++
		}
		if j.Started < middle.UnixMilli() {
			early++
		}
	}
	for _, c := range []struct {
		name string
		q    JobsQuery
		want int
	}{
		{"failed", JobsQuery{Since: since, Failed: true}, failed},
		{"of the Expert", JobsQuery{Since: since, Expert: "writer"}, ran},
		{"of an Expert that never ran", JobsQuery{Since: since, Expert: "other"}, 0},
		{"begun before the middle", JobsQuery{Since: since, Until: middle}, early},
	} {
		c.q.Now = testNow
		found, err := Jobs(t.Context(), g.client, c.q)
		if err != nil || len(found) != c.want || len(found) == len(jobs) {
			t.Errorf("%s: %d jobs of %d, %v; want %d", c.name, len(found), len(jobs), err, c.want)
		}
	}
	if _, err := Jobs(t.Context(), g.client, JobsQuery{Since: testNow.Add(hour), Now: testNow}); !errors.Is(err, readback.ErrNothing) {
		t.Errorf("in the future: %v", err)
	}
}
