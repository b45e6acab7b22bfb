package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"perstack-shipper/shipper/journal"
)

// healthcheckFolder creates a journal folder with 20 inputs that wait and a recent heartbeat.
func healthcheckFolder(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "journal")
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
		t.Cleanup(func() { j.Close() })
		if _, err := j.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	heart := folder.Heartbeat("host")
	t.Cleanup(func() { heart.Close() })
	return dir
}

// A health check runs every 30 s in a small container. It usually takes 8 ms of CPU time. The bound
// leaves room for a slow machine, and the test compares the minimum of several runs because other
// processes use the CPU's caches.
func TestHealthcheckIsCheap(t *testing.T) {
	const most = 40 * time.Millisecond
	dir := healthcheckFolder(t)
	for _, args := range [][]string{{"healthcheck"}, {"healthcheck", "--live"}} {
		least := time.Hour
		for n := 0; n < 20 && (n < 3 || least > most); n++ {
			c := exec.CommandContext(lifetime(t), program, append(args, "--journal-dir", dir)...)
			if output, err := c.CombinedOutput(); err != nil || len(output) > 0 {
				t.Fatalf("%q: %v\n%s", args, err, output)
			}
			least = min(least, c.ProcessState.UserTime()+c.ProcessState.SystemTime())
		}
		t.Logf("%q takes %s of CPU", args, least)
		if least > most {
			t.Errorf("%q takes %s of CPU, want at most %s", args, least, most)
		}
	}
}

// A health check also takes little memory. To look at that, the test gives it something to print
// and a stderr that is full, so that it blocks.
func TestHealthcheckIsSmall(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux's /proc tells the peak memory of a process")
	}
	const most = 20_000_000
	dir := healthcheckFolder(t)
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	defer in.Close()
	_ = in.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	_, _ = in.Write(make([]byte, 4<<20)) // times out when the pipe is full
	folders, err := filepath.Glob(filepath.Join(dir, "*", "input"))
	if err != nil || len(folders) != 20 {
		t.Fatal(folders, err)
	}
	for _, f := range folders { // a refused line in each is what it prints
		if err := os.WriteFile(filepath.Join(filepath.Dir(f), "rejects.jsonl"), []byte("{}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	c := exec.CommandContext(lifetime(t), program, "healthcheck", "--journal-dir", dir)
	c.Stderr = in
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	peak := int64(0)
	for since := time.Now(); time.Since(since) < 500*time.Millisecond; time.Sleep(5 * time.Millisecond) {
		if now := peakRSS(c.Process.Pid); now != peak { // it is still working
			peak, since = now, time.Now()
		}
	}
	in.Close()
	said, _ := io.ReadAll(out)
	if err := c.Wait(); c.ProcessState.ExitCode() != exitFailure {
		t.Fatalf("%v, want exit code %d; it printed\n%s", err, exitFailure, bytes.TrimLeft(said, "\x00"))
	}
	t.Logf("it takes %.1f MB", float64(peak)/1e6)
	if peak == 0 || peak > most {
		t.Errorf("it takes %d bytes, want at most %d", peak, most)
	}
}
