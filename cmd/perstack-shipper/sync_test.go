package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// --journal-sync regularly forces segments and cursor to disk. Without it nothing is forced,
// because the journal only promises to survive the death of processes.
func TestJournalSync(t *testing.T) {
	t.Parallel()
	traced := func(trace string) []string {
		return []string{"strace", "-D", "-f", "-qq", "-y", "-e", "trace=fsync", "-o", trace}
	}
	words := traced("/dev/null")
	if out, err := exec.Command(words[0], append(words[1:], "true")...).CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED: strace does not work here: %v %s", err, out)
	}
	forced := func(trace, what string) bool {
		calls, err := os.ReadFile(trace)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return strings.Contains(string(calls), what)
	}
	for _, every := range []string{"", "20ms"} {
		w := newSerialWorld(t)
		w.Stall() // acknowledged segments would be deleted before they are forced to disk
		trace := filepath.Join(t.TempDir(), "trace")
		var flags []string
		if every != "" {
			flags = []string{"--journal-sync=" + every}
		}
		r, agent := w.pipe(traced(trace), flags...)
		agent.write(1)
		w.Until("the lines are in the journal", func() bool { return w.keeps(`"n":100,`) })
		if every != "" {
			for _, file := range []string{".segment>", "cursor", ">"} {
				w.Until(file+" is forced to disk", func() bool { return forced(trace, file) })
			}
		}
		w.Unstall()
		agent.in.Close()
		r.Wait(exitOK)
		if every == "" && forced(trace, "fsync(") {
			t.Error("something is forced to disk without --journal-sync")
		}
		if w.text("") != agent.bytes.String() {
			t.Error("not everything arrived")
		}
	}
}

// TestJournalSyncThatFails checks that a failing fsync is reported once, not with every attempt,
// and that everything is delivered all the same.
func TestJournalSyncThatFails(t *testing.T) {
	words := []string{"strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO"}
	if out, err := exec.Command(words[0], append(words[1:], "true")...).CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED: strace does not work here: %v %s", err, out)
	}
	w := newSerialWorld(t)
	w.Stall()
	r, agent := w.pipe(words, "--journal-sync=20ms")
	agent.write(1)
	w.Until("the failure is reported", func() bool { return r.Says("fsync: ") })
	agent.write(1)
	w.Until("more lines are in the journal", func() bool { return w.keeps(`"n":200,`) })
	w.Unstall()
	agent.in.Close()
	r.Wait(exitOK)
	if n := strings.Count(r.Said(), "fsync: "); n != 1 {
		t.Errorf("the failure was reported %d times:\n%s", n, r.Said())
	}
	if w.text("") != agent.bytes.String() {
		t.Error("not every line arrived")
	}
}
