package main

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// TestLines checks that every line has the right size, is JSON, contains its number, and is the
// same each time.
func TestLines(t *testing.T) {
	const base = 1_795_348_000_000
	for _, w := range []workload{{Jobs: 1, Base: base}, {Jobs: 1000, Base: base}, {Long: true, Jobs: 1, Base: base}} {
		n, size, escaped, foreign, back := 2000, deltaBytes, 0, 0, 0
		if w.Long {
			n, size = 200, longBytes
		}
		last := int64(0)
		for i := range n {
			line := w.appendLine(nil, i)
			if len(line) != size || line[size-1] != '\n' || bytes.Count(line, []byte("\n")) != 1 {
				t.Fatalf("line %d has %d bytes, want %d with a newline at the end: %s", i, len(line), size, line)
			}
			var event struct {
				ID, Type, JobID, RunID string
				Timestamp              int64
			}
			if err := json.Unmarshal(line, &event); err != nil || !utf8.Valid(line) {
				t.Fatalf("line %d: %v: %s", i, err, line)
			}
			if n := lineNumber(line); n != i || len(event.ID) != 24 || len(event.JobID) != 24 || len(event.RunID) != 24 {
				t.Fatalf("line %d has the number %d and %+v", i, n, event)
			}
			if again := w.appendLine([]byte("x"), i); !bytes.Equal(again[1:], line) {
				t.Fatalf("line %d is another the next time:\n%s%s", i, line, again[1:])
			}
			if event.Timestamp < last {
				back++
			}
			last = event.Timestamp
			if bytes.IndexByte(line, '\\') >= 0 {
				escaped++
			}
			if bytes.ContainsFunc(line, func(r rune) bool { return r >= utf8.RuneSelf }) {
				foreign++
			}
		}
		if escaped < n/10 || foreign < n/20 || back < n/50 {
			t.Errorf("%+v: of %d lines, %d have an escape, %d a non-ASCII character, %d an earlier time than the one before", w, n, escaped, foreign, back)
		}
	}
}

func TestJobsInTurn(t *testing.T) {
	w := workload{Jobs: 3}
	jobs := map[string]int{}
	for i := range 9 {
		var event struct{ JobID string }
		if err := json.Unmarshal(w.appendLine(nil, i), &event); err != nil {
			t.Fatal(err)
		}
		jobs[event.JobID]++
	}
	if len(jobs) != 3 {
		t.Errorf("nine lines of three jobs in turn have the jobs %v", jobs)
	}
}
