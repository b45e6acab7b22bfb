package shipper

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/testkit/await"
)

// A process that follows a folder for months meets any number of files. It forgets done files and
// their streams.
func TestFilesThatAreDoneAreForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	s := New(w.options())
	more := make(chan Input)
	type result struct {
		report Report
		err    error
	}
	done := make(chan result, 1)
	go func() {
		report, err := s.Run(context.Background(), nil, more)
		done <- result{report, err}
	}()
	const files = 30
	for n := range files {
		path := filepath.Join(t.TempDir(), "run.jsonl")
		if err := os.WriteFile(path, fmt.Appendf(nil, "{\"jobId\":\"job%d\"}\n", n), 0o600); err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprintf("file%04d", n)
		j, err := w.folder.Follow(id, path, nil, journal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		more <- Input{Journal: j.Journal, Primary: true, Shape: batch.Shape{Input: id, Template: "{jobId}", Hostname: "host"}}
		if err := j.StopFollowing(); err != nil {
			t.Fatal(err)
		}
		w.Until("the input is done", func() bool {
			_, err := os.Stat(j.Path())
			return os.IsNotExist(err)
		})
	}
	close(more)
	r := await.Receive(t, "the end of the run", done)
	if r.err != nil || r.report.Lines != files {
		t.Fatal(r.report.Sentence(), r.err)
	}
	if len(s.inputs.all) > 3 || len(s.streams) > 3 || len(s.inputs.byID) > 3 {
		t.Errorf("%d inputs, %d streams and %d ids are kept, want at most 3 of each", len(s.inputs.all), len(s.streams), len(s.inputs.byID))
	}
	for n := range files {
		if events := w.Server.Events(w.Group, fmt.Sprintf("job%d", n)); len(events) != 3 {
			t.Errorf("job%d has %d events, want 3", n, len(events))
		}
	}
}
