package shipper

import (
	"testing"
	"time"

	"perstack-shipper/batch"
)

func TestSentence(t *testing.T) {
	job := func(id string, o batch.Outcome, tokens int64) batch.Job {
		return batch.Job{JobID: id, Outcome: o, Runs: 1, Usage: batch.Usage{TotalTokens: tokens}}
	}
	report := func(lines int64, streams []string, jobs ...batch.Job) Report {
		r := Report{Counts: Counts{Lines: lines}, Groups: []string{"/perstack/prod"}, Streams: len(streams), StreamNames: streams[:min(len(streams), mostNames)], Took: 10 * time.Millisecond}
		for _, j := range jobs {
			r.Jobs.take(j)
		}
		return r
	}
	troubled := report(1, []string{"j"}, job("j", batch.Failed, 1))
	troubled.Excluded, troubled.Redacted = 1, 1
	troubled.EmptyLines, troubled.Lossy, troubled.Retimed, troubled.Retries, troubled.Repeated, troubled.Rejected = 1, 1, 1, 1, 1, 1
	more := report(20000, []string{"a", "b", "c", "d", "e"}, job("a", batch.Completed, 4000), job("b", batch.Interactive, 0), job("c", batch.Completed, 1000000))
	more.Excluded, more.Redacted = 2, 2
	more.EmptyLines, more.Lossy, more.Retimed, more.Retries, more.Repeated, more.Rejected = 2, 2, 2, 2, 2, 2
	left := report(2, []string{"j"}, job("j", batch.Unfinished, 0))
	left.Left = []Left{{Primary: true}}
	both := report(1, []string{"j"})
	both.Add(Report{Counts: Counts{Lines: 1}, Groups: []string{"/other", "/perstack/prod"}, Streams: 1, StreamNames: []string{"k"}})
	logs := report(1, []string{"j"}, batch.Job{JobID: "j", Outcome: batch.Unfinished})
	for _, c := range []struct {
		report Report
		want   string
	}{
		{report(0, nil), "shipped 0 lines to /perstack/prod (0.01 s)"},
		{report(318, []string{"rg5x"}, job("rg5x", batch.Completed, 3318)), "shipped 318 lines to /perstack/prod rg5x (completed, 3,318 tokens, 0.01 s)"},
		{report(1, []string{"j/r", "j/s"}, job("j", batch.MaxSteps, 0)), "shipped 1 line to /perstack/prod j/r, j/s (job j out of steps, 0.01 s)"},
		{report(1, []string{"a b\x1b"}, job("\n", batch.Completed, 0)), `shipped 1 line to /perstack/prod "a b\x1b" (job "\n" completed, 0.01 s)`},
		{logs, "shipped 1 line to /perstack/prod j (0.01 s)"},
		{troubled, "shipped 1 line to /perstack/prod j (stopped by an error, 1 token, 1 empty line, 1 line left out, 1 match redacted, 1 line that was not UTF-8, 1 event with the time of sending, 1 retry, 1 event possibly repeated, 1 line rejected, 0.01 s)"},
		{more, "shipped 20,000 lines to /perstack/prod a, b, c and 2 more streams (3 jobs: 2 completed, 1 waiting for a person, 1,004,000 tokens, 2 empty lines, 2 lines left out, 2 matches redacted, 2 lines that were not UTF-8, 2 events with the time of sending, 2 retries, 2 events possibly repeated, 2 lines rejected, 0.01 s)"},
		{left, "read, but did not fully ship, 2 lines to /perstack/prod j (unfinished, 0.01 s)"},
		{both, "shipped 2 lines to /perstack/prod and /other j, k (0.01 s)"},
	} {
		if got := c.report.Sentence(); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
}
