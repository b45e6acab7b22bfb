package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// This file tests what followed files tell about each other and about their jobs: an end that is waited
// for, files of one stem, and copies.

const (
	runBegins = `{"type":"startRun","jobId":"story","runId":"r","expertKey":"e","stepNumber":1}` + "\n"
	runEnds   = `{"type":"completeRun","jobId":"story","runId":"r","expertKey":"e","stepNumber":1}` + "\n"
)

// A model may be silent for longer than --until-idle, and its answer must not be left behind.
func TestUntilIdleWaitsForTheEndOfAJob(t *testing.T) {
	w := newSidecar(t)
	w.write("run.jsonl", runBegins)
	p := w.follow("--input", w.events, "--until-idle", "300ms")
	eventually(t, "it is shipped", func() bool { return w.has(w.path("run.jsonl"), runBegins) })
	time.Sleep(1500 * time.Millisecond) // five times as long, and the process must be there still
	select {
	case <-p.ended:
		t.Fatal("it left in the middle of a job")
	default:
	}
	w.write("run.jsonl", runEnds)
	p.wait(0)
	w.input(runBegins + runEnds)
}

// At SIGTERM the writer has its file open, and writes its end a second later.
func TestSigtermBeforeTheEndOfAJob(t *testing.T) {
	w := newSidecar(t)
	f := w.open("run.jsonl", os.O_WRONLY|os.O_APPEND|os.O_CREATE)
	fmt.Fprint(f, runBegins)
	p := w.follow("--input", w.events, "--drain-timeout", "20s")
	eventually(t, "it is shipped", func() bool { return w.has(w.path("run.jsonl"), runBegins) })
	p.signal(15)
	time.Sleep(time.Second)
	fmt.Fprint(f, runEnds)
	began := time.Now()
	p.wait(0)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s after the end of the job", took)
	}
	w.input(runBegins + runEnds)
}

// NAME.log and NAME.err are about the job of NAME.jsonl; the latter is that process's stderr.
func TestFilesOfOneStem(t *testing.T) {
	w := newSidecar(t)
	w.write("run.log", "npm warn of nothing\n")
	w.write("run.err", "Error: at line 1\n")
	w.write("alone.err", "nobody asked for this\n")
	w.write("run.jsonl", runBegins+runEnds)
	w.follow("--input", w.events, "--until-idle", "300ms").wait(0)
	for name, text := range map[string]string{"run.log": "npm warn of nothing\n", "run.err": "Error: at line 1\n"} {
		in := w.input(text)
		line := in.pieces[[2]int64{1, 0}]
		if line.JobID != "story" || in.path != w.path(name) {
			t.Errorf("%s: job %q, path %s", name, line.JobID, in.path)
		}
		if want := map[bool]string{true: "stderr"}[name == "run.err"]; line.Source != want {
			t.Errorf("%s: source %q, want %q", name, line.Source, want)
		}
	}
	if n := len(w.shipped()); n != 3 {
		t.Errorf("%d inputs, want 3", n)
	}
}

// A rotation by copying, as logrotate's copytruncate does: each line is shipped once.
func TestRotatedCopyIsNotShippedAgain(t *testing.T) {
	w := newSidecar(t)
	var texts []string
	for n := range 4 {
		texts = append(texts, lines(fmt.Sprintf("job-%d", n), 0, 20+n))
	}
	w.write("app.log", texts[0])
	p := w.follow("--input", w.events)
	for n, text := range texts[:3] {
		eventually(t, "it is shipped", func() bool { return w.has(w.path("app.log"), text) })
		w.copyTruncate("app.log", fmt.Sprintf("app-%d.log", n))
		w.write("app.log", texts[n+1])
	}
	eventually(t, "the last is shipped", func() bool { return w.has(w.path("app.log"), texts[3]) })
	eventually(t, "the copies are known", func() bool { return strings.Count(p.said(), "is a copy of what was shipped") == 3 })
	// What is appended to a copy is shipped, and nothing of the copy again.
	more := lines("more", 0, 1)
	w.write("app-1.log", more)
	eventually(t, "what was appended is shipped", func() bool { return w.has(w.path("app-1.log"), more) })
	p.stop(0)
	for _, text := range texts {
		w.input(text)
	}
	if n := len(w.shipped()); n != 5 {
		t.Errorf("%d inputs, want 5", n)
	}
	if strings.Contains(p.said(), "lost") {
		t.Error("it speaks of a loss where there is none")
	}
}

// The same while nobody follows the folder.
func TestRotatedCopyBetweenTwoStarts(t *testing.T) {
	w := newSidecar(t)
	before, after := lines("before", 0, 30), lines("after", 0, 7)
	w.write("app.log", before)
	w.follow("--input", w.events, "--until-idle", "200ms").wait(0)
	w.copyTruncate("app.log", "app-1.log")
	w.write("app.log", after)
	p := w.follow("--input", w.events, "--until-idle", "2s")
	p.wait(0)
	w.input(before)
	w.input(after)
	p.mustSay("app-1.log is a copy of what was shipped")
	// And the start after that does not ship the copy either.
	w.follow("--input", w.events, "--until-idle", "300ms").wait(0)
	if n := len(w.shipped()); n != 2 {
		t.Errorf("%d inputs, want 2", n)
	}
}

// Two files may begin alike, or be the same, without being copies: both are shipped.
func TestFilesThatAreAlike(t *testing.T) {
	w := newSidecar(t)
	text := lines("alike", 0, 2)
	w.write("a.log", text)
	p := w.follow("--input", w.events)
	eventually(t, "the first is shipped", func() bool { return w.has(w.path("a.log"), text) })
	w.write("b.log", text)
	eventually(t, "the second is shipped", func() bool { return w.has(w.path("b.log"), text) })
	p.stop(0)
}

// copyTruncate rotates a file as logrotate's copytruncate does.
func (w *sidecar) copyTruncate(from, to string) {
	w.t.Helper()
	data, err := os.ReadFile(w.path(from))
	if err == nil {
		err = os.WriteFile(w.path(to), data, 0o644)
	}
	if err == nil {
		err = os.Truncate(w.path(from), 0)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}
