package batch_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"perstack-shipper/batch"
)

// receiptOf shapes a whole input and returns its receipt.
func receiptOf(t testing.TB, data []byte) *batch.Receipt {
	t.Helper()
	s, err := batch.NewShaper(plainShape(), batch.State{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.StopWaiting()
	s.Begin(data, 0, now, func(int64) int64 { return now }, true)
	var ev batch.Event
	for s.Next(&ev) == batch.Made {
	}
	if n := s.End(); n != len(data) {
		t.Fatalf("only %d of %d bytes were shaped", n, len(data))
	}
	return s.Receipt()
}

// readReceipt counts an input as a reader does, from its events.
func readReceipt(t testing.TB, data []byte) *batch.Receipt {
	t.Helper()
	var receipt batch.Receipt
	var marker batch.Marker
	named := ""
	for _, m := range ship(t, plainShape(), data, regime{}).messages {
		if m.Part > 0 {
			t.Fatal("the line is in parts; this helper does not join them")
		}
		at := m.time
		if m.At != 0 {
			at = m.At
		}
		if m.JobID != "" && m.JobID != named && len(m.Added) == 0 {
			named = m.JobID
			receipt.Name(named, at)
		}
		if mark, ok := marker.Line(m.Line, m.JobID, m.RunID, at); ok {
			receipt.Add(&mark)
		}
	}
	return &receipt
}

func recording(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "cmd", "perstack-shipper", "testdata", "recordings", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// lastTotal returns the usage of the job according to Perstack itself, in the latest checkpoint of
// the Expert that the job began with.
func lastTotal(t testing.TB, data []byte) (u batch.Usage) {
	t.Helper()
	root := ""
	for line := range strings.Lines(string(data)) {
		var e struct {
			ExpertKey  string
			Checkpoint *struct{ Usage batch.Usage }
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if root == "" {
			root = e.ExpertKey
		}
		if e.Checkpoint != nil && e.ExpertKey == root {
			u = e.Checkpoint.Usage
		}
	}
	return u
}

func TestUsageIsThatOfTheLastCheckpoint(t *testing.T) {
	for _, name := range []string{"simple", "tools", "delegate", "delegate-parallel", "streaming", "maxsteps", "old-tools", "old-interactive", "mixed"} {
		data := recording(t, name)
		want := lastTotal(t, data)
		if want.TotalTokens == 0 {
			t.Fatalf("%s has no checkpoint", name)
		}
		receipt := receiptOf(t, data)
		if got := receipt.Usage(); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		if got, want := jobsJSON(readReceipt(t, data)), jobsJSON(receipt); got != want {
			t.Errorf("%s: the reader counts %s\nand the Shaper %s", name, got, want)
		}
	}
}

func jobsJSON(r *batch.Receipt) string {
	data, err := json.Marshal(r.Jobs())
	if err != nil {
		panic(err)
	}
	return string(data)
}

func TestReceiptOfRecordings(t *testing.T) {
	for _, c := range []struct {
		name                string
		outcome             batch.Outcome
		runs, steps, calls  int64
		tokens              int64
		experts             string // with runs and calls of each
		failure             string
		started, finishedAt int64
	}{
		{"simple", batch.Completed, 1, 1, 1, 34, "simple 1 1", "", 1795348705863, 0},
		{"tools", batch.Completed, 1, 9, 10, 6270, "worker 1 10", "", 0, 0},
		{"delegate", batch.Completed, 3, 4, 6, 724, "coordinator 2 3, researcher 1 3", "", 0, 0},
		{"delegate-parallel", batch.Completed, 5, 11, 15, 3318, "parallel-coordinator 2 3, math-expert 1 4, prose-expert 1 4, code-expert 1 4", "", 0, 0},
		{"maxsteps", batch.MaxSteps, 1, 4, 4, 700, "worker 1 4", "", 0, 0},
		{"error", batch.Failed, 1, 0, 0, 0, "worker 1 0", "AI_NoOutputGeneratedError: No output generated. Check the stream for errors.", 0, 0},
		{"interactive", batch.Interactive, 1, 1, 1, 24, "asker 1 1", "", 0, 0},
		{"interactive-continue", batch.Completed, 1, 1, 2, 257, "asker 1 2", "", 0, 0},
		{"old-tools", batch.Completed, 1, 4, 5, 20147, "solo 1 5", "", 0, 0},
		{"old-interactive", batch.Interactive, 1, 1, 1, 4559, "lead 1 1", "", 0, 0},
		{"mixed", batch.Interactive, 3, 3, 4, 14107, "lead 2 1, worker 1 3", "", 0, 0},
		{"mixed-continue", batch.Interactive, 1, 0, 0, 0, "lead 1 0", "", 0, 0},
		{"throw-truncated", batch.Unfinished, 1, 1, 1, 16, "worker 1 1", "", 0, 0},
	} {
		jobs := receiptOf(t, recording(t, c.name)).Jobs()
		if len(jobs) != 1 {
			t.Errorf("%s: %d jobs", c.name, len(jobs))
			continue
		}
		j := jobs[0]
		var experts []string
		for _, e := range j.Experts {
			experts = append(experts, fmt.Sprint(e.Key, " ", e.Runs, " ", e.Calls))
		}
		failure := ""
		if j.Error != nil {
			failure = j.Error.Name + ": " + j.Error.Message
		}
		if got := strings.Join(experts, ", "); j.Outcome != c.outcome || j.Runs != c.runs || j.Steps != c.steps || j.Calls != c.calls ||
			j.Usage.TotalTokens != c.tokens || got != c.experts || failure != c.failure || c.started != 0 && j.Started != c.started ||
			(j.Finished == 0) != (c.outcome == batch.Unfinished) {
			t.Errorf("%s: %+v, experts %s, error %q; want %+v", c.name, *j, got, failure, c)
		}
	}
}

// documented is a stream in the vocabulary of Perstack's documentation.
const documented = `{"type":"startRun","timestamp":1795348705000,"expertKey":"lead","runId":"r1","jobId":"j","stepNumber":1}
{"type":"startGeneration","timestamp":1795348705100,"expertKey":"lead","runId":"r1","jobId":"j","stepNumber":1}
{"type":"finishGeneration","timestamp":1795348705200,"expertKey":"lead","runId":"r1","jobId":"j","stepNumber":1,"usage":{"inputTokens":10,"outputTokens":2,"reasoningTokens":1,"totalTokens":12,"cachedInputTokens":3}}
{"type":"finishStep","timestamp":1795348705300,"expertKey":"lead","runId":"r1","jobId":"j","stepNumber":1}
{"type":"finishGeneration","timestamp":1795348705400,"expertKey":"lead","runId":"r1","jobId":"j","stepNumber":2,"usage":{"inputTokens":20,"outputTokens":4,"totalTokens":24}}
{"type":"finishRun","timestamp":1795348705500,"expertKey":"lead","runId":"r1","jobId":"j","stepNumber":2,"totalUsage":{"inputTokens":30,"outputTokens":6,"totalTokens":36}}
`

func TestReceiptInTheDocumentedVocabulary(t *testing.T) {
	want := []*batch.Job{{JobID: "j", Outcome: batch.Completed, Started: 1795348705000, Finished: 1795348705500, Runs: 1, Steps: 2, Calls: 2,
		Usage:   batch.Usage{InputTokens: 30, OutputTokens: 6, ReasoningTokens: 1, CachedInputTokens: 3, TotalTokens: 36},
		Experts: []batch.Expert{{Key: "lead", Runs: 1, Calls: 2, Usage: batch.Usage{InputTokens: 30, OutputTokens: 6, ReasoningTokens: 1, CachedInputTokens: 3, TotalTokens: 36}}}}}
	if got := receiptOf(t, []byte(documented)).Jobs(); !reflect.DeepEqual(got, want) {
		t.Errorf("%s", jobsJSON(receiptOf(t, []byte(documented))))
	}
	failed := strings.Replace(documented, `"finishRun"`, `"errorRun","error":"it broke"`, 1)
	j := receiptOf(t, []byte(failed)).Jobs()[0]
	if j.Outcome != batch.Failed || j.Error == nil || *j.Error != (batch.Failure{Expert: "lead", Message: "it broke"}) || j.Usage.TotalTokens != 36 {
		t.Errorf("%+v", j)
	}
}

// Runs of several jobs in one input are counted separately, even if all have the same id or none.
func TestReceiptOfJobsSideBySide(t *testing.T) {
	for _, run := range []string{"", `,"runId":"r"`} {
		var b strings.Builder
		for _, line := range []string{`"type":"startRun"`, `"type":"callTools","usage":{"totalTokens":7}`, `"type":"callDelegate","usage":{"totalTokens":7}`, `"type":"completeRun"`} {
			for _, job := range []string{"a", "b"} {
				fmt.Fprintf(&b, `{%s,"expertKey":"e","stepNumber":1,"jobId":%q%s}`+"\n", line, job, run)
			}
		}
		receipt := receiptOf(t, []byte(b.String()))
		for _, j := range receipt.Jobs() {
			if j.Runs != 1 || j.Steps != 1 || j.Calls != 1 || j.Usage.TotalTokens != 7 {
				t.Errorf("runs %q: %s", run, jobsJSON(receipt))
			}
		}
	}
}

// The usage of a line in parts counts once, even over 8 MiB, when the line is never in memory as a
// whole.
func TestUsageOfALineInParts(t *testing.T) {
	batch.Large(t)
	t.Parallel()
	for _, size := range []int{3 << 20, batch.MaxLineBytes, batch.MaxLineBytes + 512<<10 - 30, 9 << 20} {
		data := fmt.Sprintf(`{"type":"callTools","jobId":"j","runId":"r","stepNumber":1,"x":%q,"usage":{"totalTokens":7}}`+"\n", strings.Repeat("x", size))
		data += `{"type":"callDelegate","jobId":"j","runId":"r","stepNumber":1,"usage":{"totalTokens":7}}` + "\n"
		data += fmt.Sprintf(`{"type":"stopRunByError","x":%q,"jobId":"j","runId":"r","error":{"name":"E","message":"no"}}`, strings.Repeat("x", size))
		got := receiptOf(t, []byte(data))
		j := got.Jobs()[0]
		if got.Usage().TotalTokens != 7 || len(got.Jobs()) != 1 || j.Calls != 1 || j.Outcome != batch.Failed || j.Error == nil || *j.Error != (batch.Failure{Name: "E", Message: "no"}) {
			t.Errorf("%d bytes: %s", size, jobsJSON(got))
		}
	}
}

func TestOutcome(t *testing.T) {
	batch.Large(t)
	end := func(typ, expert string) string {
		return `{"type":"` + typ + `","expertKey":"` + expert + `","jobId":"j"}`
	}
	start, done := end("startRun", "parent"), end("completeRun", "parent")
	self := `{"type":"stopRunByError","expertKey":"parent","jobId":"j","checkpoint":{"delegatedBy":{"expert":{"key":"parent"}}}}`
	for _, c := range []struct {
		name      string
		lines     []string
		want      batch.Outcome
		delegates int64 // failed delegates
	}{
		{"no end", []string{start}, batch.Unfinished, 0},
		{"complete", []string{start, done}, batch.Completed, 0},
		{"error", []string{start, end("stopRunByError", "parent")}, batch.Failed, 0},
		{"error by its documented name", []string{`{"type":"startRun"}`, `{"type":"errorRun"}`}, batch.Failed, 0},
		{"steps", []string{start, end("stopRunByExceededMaxSteps", "parent")}, batch.MaxSteps, 0},
		{"an error, and then not", []string{start, end("stopRunByError", "parent"), start, done}, batch.Completed, 0},
		{"an error, and then no end", []string{start, end("stopRunByError", "parent"), start}, batch.Unfinished, 0},
		{"by its documented name", []string{`{"type":"errorRun"}`, `{"type":"finishRun"}`}, batch.Completed, 0},
		{"waits for delegates", []string{start, end("stopRunByDelegate", "parent")}, batch.Unfinished, 0},
		{"waits for a person", []string{start, end("stopRunByInteractiveTool", "parent")}, batch.Interactive, 0},
		{"a delegate's error is the last word", []string{start, end("stopRunByDelegate", "parent"), end("startRun", "child"), end("stopRunByError", "child")}, batch.Failed, 1},
		{"its parent goes on", []string{start, end("stopRunByError", "child"), start}, batch.Unfinished, 1},
		{"its parent completes", []string{start, end("stopRunByError", "child"), start, done}, batch.Completed, 1},
		{"its sibling completes", []string{start, end("stopRunByError", "child"), end("completeRun", "sibling")}, batch.Failed, 1},
		{"a delegate completes", []string{start, end("completeRun", "child")}, batch.Unfinished, 0},
		{"a delegate's steps", []string{start, end("stopRunByExceededMaxSteps", "child")}, batch.MaxSteps, 0},
		{"delegates to itself", []string{start, self, start, done}, batch.Completed, 1},
		{"text that looks like it", []string{start, done, `"type":"stopRunByError"`}, batch.Completed, 0},
		{"in another member", []string{start, `{"kind":{"type":"stopRunByError"}}`}, batch.Unfinished, 0},
		{"in the data of a delta", []string{start, `{"type":"streamRunResult","delta":"{\"type\":\"stopRunByError\"}"}`}, batch.Unfinished, 0},
		{"over 8 MiB", []string{start, `{"type":"stopRunByError","jobId":"j","expertKey":"parent","x":"` + strings.Repeat("x", batch.MaxLineBytes) + `"}`}, batch.Failed, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			jobs := receiptOf(t, []byte(strings.Join(c.lines, "\n"))).Jobs()
			if len(jobs) != 1 || jobs[0].Outcome != c.want || jobs[0].DelegateErrors != c.delegates {
				t.Errorf("%d jobs, the first %+v; want %s, %d failed delegates", len(jobs), jobs[0], c.want, c.delegates)
			}
		})
	}
	if jobs := receiptOf(t, []byte("a line\n{}\n")).Jobs(); len(jobs) != 0 {
		t.Errorf("an input that names no job has the job %+v", jobs[0])
	}
}

// The numbers of jobs and Experts are bounded, and the sums are still right.
func TestReceiptIsBounded(t *testing.T) {
	batch.Large(t)
	t.Parallel()
	var b strings.Builder
	n := 0
	for job := range 130 {
		for expert := range 70 {
			n++
			fmt.Fprintf(&b, `{"type":"completeRun","jobId":"job %d","runId":"r%d","expertKey":"expert %d%s","stepNumber":1,"usage":{"totalTokens":%d}}`+"\n", job, n, expert, strings.Repeat("é", 600), n)
		}
	}
	receipt := receiptOf(t, []byte(b.String()))
	jobs := receipt.Jobs()
	if len(jobs) != 101 || jobs[100].JobID != "" || jobs[99].JobID != "job 99" {
		t.Fatalf("%d jobs, the last is %q", len(jobs), jobs[len(jobs)-1].JobID)
	}
	total, experts, calls := int64(0), 0, int64(0)
	for _, j := range jobs {
		sum := int64(0)
		for _, e := range j.Experts {
			sum += e.Usage.TotalTokens
			calls += e.Calls
			if len(e.Key) > 500 || strings.ContainsRune(e.Key, '\uFFFD') {
				t.Fatalf("an Expert has a name of %d bytes: %q", len(e.Key), e.Key)
			}
		}
		if sum != j.Usage.TotalTokens {
			t.Errorf("job %q used %d tokens, its Experts %d", j.JobID, j.Usage.TotalTokens, sum)
		}
		total += sum
		experts += len(j.Experts)
		if len(j.Experts) > 51 {
			t.Errorf("job %q has %d Experts", j.JobID, len(j.Experts))
		}
	}
	if want := int64(n) * int64(n+1) / 2; total != want || receipt.Usage().TotalTokens != want || calls != int64(n) || experts > 701 {
		t.Errorf("got %d of %d tokens, %d of %d calls, %d Experts", total, want, calls, n, experts)
	}
	if o := receipt.Outcomes(); o.Completed != 130 || o.Error+o.MaxSteps+o.Interactive+o.Unfinished != 0 {
		t.Errorf("outcomes %+v", o)
	}
}
