package main

// This file ships recordings, and counts with jobs and usage what they took.

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/audit"
)

// checkpointUsage returns the usage of a job by Perstack's own account: that in the last checkpoint
// of the Expert with which the job began.
func checkpointUsage(t *testing.T, data []byte) (usage batch.Usage) {
	t.Helper()
	root := ""
	for line := range bytes.Lines(data) {
		var e struct {
			ExpertKey  string
			Checkpoint *struct{ Usage batch.Usage }
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if root == "" {
			root = e.ExpertKey
		}
		if e.Checkpoint != nil && e.ExpertKey == root {
			usage = e.Checkpoint.Usage
		}
	}
	return usage
}

// inDocumentedWords is a run in the vocabulary of Perstack's documentation, which no recording has.
const inDocumentedWords = `{"type":"startRun","id":"1","expertKey":"writer","timestamp":1764000000000,"jobId":"documented","runId":"r1","stepNumber":1}
{"type":"startGeneration","id":"2","expertKey":"writer","timestamp":1764000000100,"jobId":"documented","runId":"r1","stepNumber":1}
{"type":"finishGeneration","id":"3","expertKey":"writer","timestamp":1764000001100,"jobId":"documented","runId":"r1","stepNumber":1,"usage":{"inputTokens":100,"outputTokens":20,"reasoningTokens":5,"totalTokens":120,"cachedInputTokens":40}}
{"type":"finishStep","id":"4","expertKey":"writer","timestamp":1764000001200,"jobId":"documented","runId":"r1","stepNumber":1}
{"type":"finishGeneration","id":"5","expertKey":"writer","timestamp":1764000002200,"jobId":"documented","runId":"r1","stepNumber":2,"usage":{"inputTokens":200,"outputTokens":30,"reasoningTokens":0,"totalTokens":230,"cachedInputTokens":100}}
{"type":"finishRun","id":"6","expertKey":"writer","timestamp":1764000002300,"jobId":"documented","runId":"r1","stepNumber":2,"totalUsage":{"inputTokens":300,"outputTokens":50,"reasoningTokens":5,"totalTokens":350,"cachedInputTokens":140},"checkpoint":{"usage":{"inputTokens":300,"outputTokens":50,"reasoningTokens":5,"totalTokens":350,"cachedInputTokens":140}}}
`

func TestUsageOfRecordings(t *testing.T) {
	t.Parallel()
	w := newLocalWorld(t)
	group := []string{"--log-group", "/perstack/usage"}
	for _, test := range []struct {
		recording, job string
		tokens         int64
	}{
		{"simple", "gbm035hrs7s02bhiqyrb0o7k", 34},
		{"tools", "d9urbpfdpmij1axcii58vgzr", 6270},
		{"delegate", "srp4066usunf32qhaxqi4s4n", 724},
		{"delegate-parallel", "rg5xjsjyitoxtwsf2dwjccga", 3318},
		{"streaming", "cpjye1ellnp72izz20krse8x", 2175},
		{"maxsteps", "sf9wpe38w6xqb9v2olhqqua7", 700},
		{"old-tools", "old-tools", 20147},
		{"old-interactive", "old-interactive", 4559},
		{"mixed", "rec-mixed-1795697507", 14107},
		{"", "documented", 350},
	} {
		t.Run(test.job, func(t *testing.T) {
			w.T = t
			data := []byte(inDocumentedWords)
			if test.recording != "" {
				data = w.recording(test.recording + ".jsonl")
			}
			args := group
			if strings.HasPrefix(test.recording, "old-") {
				args = append(args[:len(args):len(args)], "--job-id", test.job)
			}
			w.ship(data, args...)

			var got audit.JobUsage
			decode(t, w.run(append([]string{"usage", "--job", test.job, "--json"}, group...)...), &got)
			want := checkpointUsage(t, data)
			if got.Job != test.job || got.Usage != want || want.TotalTokens != test.tokens {
				t.Errorf("usage reports for job %s %+v, want %+v with %d tokens", got.Job, got.Usage, want, test.tokens)
			}
			// Each table adds up to the whole.
			var experts, runs, steps batch.Usage
			var calls [3]int64
			for _, e := range got.Experts {
				experts.Add(e.Usage)
				calls[0] += e.Calls
			}
			var runSteps int64
			for _, r := range got.Runs {
				runs.Add(r.Usage)
				calls[1] += r.Calls
				runSteps += r.Steps
				if r.Started == 0 || r.Finished < r.Started {
					t.Errorf("run %s is from %d to %d", r.RunID, r.Started, r.Finished)
				}
			}
			for _, s := range got.Steps {
				steps.Add(s.Usage)
				calls[2] += s.Calls
			}
			if experts != want || runs != want || steps != want || calls != [3]int64{got.Calls, got.Calls, got.Calls} || runSteps != int64(len(got.Steps)) {
				t.Errorf("by Expert %+v, by run %+v, by step %+v, in %d calls, and %v calls by the tables; %d steps, and %d by the runs", experts, runs, steps, got.Calls, calls, len(got.Steps), runSteps)
			}

			// The seal agrees.
			var listed audit.Job
			for _, line := range bytes.Split(bytes.TrimSpace(w.run(append([]string{"jobs", "--since", "2000-01-01", "--json"}, group...)...)), []byte("\n")) {
				var job audit.Job
				if decode(t, line, &job); job.ID == test.job {
					listed = job
				}
			}
			if listed.Usage != want || listed.Calls != got.Calls || listed.Steps != int64(len(got.Steps)) || !listed.Ended || listed.Lines == nil || *listed.Lines != int64(bytes.Count(data, []byte("\n"))) {
				t.Errorf("jobs reports %+v", listed)
			}
		})
	}
	w.T = t
	if t.Failed() {
		return
	}

	// A period includes all jobs, in every form.
	const total = 34 + 6270 + 724 + 3318 + 2175 + 700 + 20147 + 4559 + 14107 + 350
	for _, by := range []string{"expert", "run", "step", "job", "day"} {
		text := w.run(append([]string{"usage", "--since", "2000-01-01", "--by", by, "--csv"}, group...)...)
		rows, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff")))).ReadAll()
		if err != nil || len(rows) < 2 {
			t.Fatalf("by %s: %v\n%s", by, err, text)
		}
		var sum int64
		for _, row := range rows[1:] {
			var n int64
			decode(t, []byte(row[len(row)-1]), &n)
			sum += n
		}
		if sum != total || rows[0][len(rows[0])-1] != "total_tokens" {
			t.Errorf("by %s: %d tokens, want %d\n%s", by, sum, total, text)
		}
	}
	// Part of the period includes some of them.
	day := string(w.run(append([]string{"usage", "--since", "2025-11-24", "--until", "2025-11-25", "--by", "job"}, group...)...))
	if !strings.Contains(day, "documented") || strings.Contains(day, "old-tools") {
		t.Errorf("on the day of the job documented, usage prints\n%s", day)
	}
}

func decode(t *testing.T, data []byte, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(into); err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Fatalf("there is more than one value:\n%s", data)
	}
}
