package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"perstack-shipper/shipper/journal"
)

// A health check runs every 30 s in a small container. The bound leaves room for a slow machine;
// 8 ms of CPU are usual.
func TestHealthcheckIsCheap(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	folder, err := journal.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	line := append(bytes.Repeat([]byte{'x'}, 1<<20), '\n')
	for range 20 {
		j, err := folder.NewPipe(journal.NewID(), nil, journal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		if _, err := j.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	heart := folder.Heartbeat("host")
	defer heart.Close()
	program := buildProgram(t)
	for _, args := range [][]string{{"healthcheck"}, {"healthcheck", "--live"}} {
		c := exec.CommandContext(t.Context(), program, append(args, "--journal-dir", dir)...)
		if output, err := c.CombinedOutput(); err != nil || len(output) > 0 {
			t.Fatalf("%q: %v\n%s", args, err, output)
		}
		if took := c.ProcessState.UserTime() + c.ProcessState.SystemTime(); took > 100*time.Millisecond {
			t.Errorf("%q takes %s of CPU", args, took)
		}
	}
}
