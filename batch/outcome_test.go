package batch_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"perstack-shipper/batch"
)

// outcomeOf shapes an input whole and says how its job ended.
func outcomeOf(t *testing.T, data []byte) batch.Outcome {
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
		t.Fatalf("shaped %d bytes of %d", n, len(data))
	}
	return s.Outcome()
}

func TestOutcome(t *testing.T) {
	end := func(typ, expert string) string {
		return `{"type":"` + typ + `","expertKey":"` + expert + `","jobId":"j"}`
	}
	start, done := end("startRun", "parent"), end("completeRun", "parent")
	self := `{"type":"stopRunByError","expertKey":"parent","jobId":"j","checkpoint":{"delegatedBy":{"expert":{"key":"parent"}}}}`
	for _, c := range []struct {
		name  string
		lines []string
		want  batch.Outcome
	}{
		{"nothing", nil, batch.Outcome{}},
		{"no end", []string{start}, batch.Outcome{}},
		{"complete", []string{start, done}, batch.Outcome{}},
		{"error", []string{start, end("stopRunByError", "parent")}, batch.Outcome{Error: true}},
		{"error by its documented name", []string{`{"type":"startRun"}`, `{"type":"errorRun"}`}, batch.Outcome{Error: true}},
		{"steps", []string{start, end("stopRunByExceededMaxSteps", "parent")}, batch.Outcome{MaxSteps: true}},
		{"an error, and then not", []string{start, end("stopRunByError", "parent"), start, done}, batch.Outcome{}},
		{"by its documented name", []string{`{"type":"errorRun"}`, `{"type":"finishRun"}`}, batch.Outcome{}},
		{"waits for delegates", []string{start, end("stopRunByDelegate", "parent")}, batch.Outcome{}},
		{"waits for a person", []string{start, end("stopRunByInteractiveTool", "parent")}, batch.Outcome{}},
		{"a delegate's error is the last word", []string{start, end("stopRunByDelegate", "parent"), end("stopRunByError", "child")}, batch.Outcome{Error: true, DelegateError: true}},
		{"its parent completes", []string{start, end("stopRunByError", "child"), start, done}, batch.Outcome{DelegateError: true}},
		{"its sibling completes", []string{start, end("stopRunByError", "child"), end("completeRun", "sibling")}, batch.Outcome{Error: true, DelegateError: true}},
		{"a delegate's steps", []string{start, end("stopRunByExceededMaxSteps", "child")}, batch.Outcome{MaxSteps: true}},
		{"delegates to itself", []string{start, self, start, done}, batch.Outcome{DelegateError: true}},
		{"text that looks like it", []string{start, done, `"type":"stopRunByError"`}, batch.Outcome{}},
		{"in another member", []string{start, `{"kind":{"type":"stopRunByError"}}`}, batch.Outcome{}},
		{"in the data of a delta", []string{start, `{"type":"streamRunResult","delta":"{\"type\":\"stopRunByError\"}"}`}, batch.Outcome{}},
		{"over 8 MiB", []string{start, `{"type":"stopRunByError","expertKey":"parent","x":"` + strings.Repeat("x", batch.MaxLineBytes) + `"}`}, batch.Outcome{Error: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := outcomeOf(t, []byte(strings.Join(c.lines, "\n"))); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

func TestOutcomeOfRecordings(t *testing.T) {
	for name, want := range map[string]batch.Outcome{
		"simple": {}, "tools": {}, "delegate": {}, "delegate-parallel": {}, "interactive": {}, "jobid": {},
		"error": {Error: true}, "error-500": {Error: true}, "maxsteps": {MaxSteps: true},
	} {
		data, err := os.ReadFile(filepath.Join("..", "cmd", "perstack-shipper", "testdata", "recordings", name+".jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		if got := outcomeOf(t, data); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

// What a cut input held before its cut is still known of its rest.
func TestSucceed(t *testing.T) {
	shaper := func() *batch.Shaper {
		s, err := batch.NewShaper(plainShape(), batch.State{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	var ev batch.Event
	first := shaper()
	first.Begin([]byte(`{"type":"stopRunByError","jobId":"j","expertKey":"e"}`), 0, now, func(int64) int64 { return now }, true)
	first.Next(&ev)
	rest := shaper()
	rest.Succeed(first)
	if rest.Job() != `"j"` || !rest.Outcome().Error {
		t.Fatalf("job %s, %+v", rest.Job(), rest.Outcome())
	}
	if got := rest.State(); got.Seq != 0 || got.Counts != (batch.Counts{}) {
		t.Errorf("it begins with %+v", got)
	}
}
