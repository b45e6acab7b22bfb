package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRun runs the comparison for a few seconds, with all of its processes.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "perstack-shipper")
	if out, err := exec.Command("go", "build", "-o", binary, "perstack-shipper/cmd/perstack-shipper").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Setenv(roleVariable, "1")
	b := &bench{began: time.Now(), files: map[string]*file{}}
	b.options = options{
		program: binary, dir: filepath.Join(dir, "bench"), out: filepath.Join(dir, "out.md"), scale: 0.0005, runs: 1, quiet: 100 * time.Millisecond,
		only: []string{"deltas", "long", "wire", "latency", "quiet"},
		also: []*program{{name: "nothing", argv: []string{"sh", "-c", "cat >/dev/null"}}},
	}
	if err := b.run(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(b.out)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, want := range []string{
		rowHTTP, rowSDK, rowLoop, rowOwn, "| nothing |", "0 of 1000 lines arrived", "## 1,000 deltas of 350 bytes (0.00 GB), over TLS", "| 4 | idle RSS |", "| 1,000 deltas of 350 bytes (0.00 GB) | --compress gzip |", "| 100 of these | --compress gzip, 20 Mbit/s |", "| 7 | puts in flight | 1 | 1 | reached |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	if left, err := os.ReadDir(filepath.Join(dir, "bench")); err != nil || len(left) > 0 {
		t.Errorf("the run left %v behind, %v", left, err)
	}
}

func TestRunRefuses(t *testing.T) {
	if err := runBench([]string{"-only", "dance"}); err == nil || !strings.Contains(err.Error(), "deltas, long") {
		t.Errorf("an unknown step: %v", err)
	}
}

// TestRunClearsUp checks that the folders of aborted runs are removed, and nothing else.
func TestRunClearsUp(t *testing.T) {
	dir := t.TempDir()
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	of := func(pid int) string { return filepath.Join(dir, fmt.Sprintf("run-%d", pid)) }
	stale, alive, other := of(ended.Process.Pid), of(os.Getppid()), filepath.Join(dir, "run-down")
	for _, path := range []string{stale, alive, other} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	own, err := runDir(dir)
	if err != nil || own != of(os.Getpid()) {
		t.Fatal(own, err)
	}
	for path, want := range map[string]bool{stale: false, alive: true, other: true, own: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: %v, want it to exist: %v", path, err, want)
		}
	}
}

func TestByHandIsKept(t *testing.T) {
	if got := byHand("# Benchmarks\n\nold\n"); got != "" {
		t.Errorf("%q is kept of a file without such a part", got)
	}
	const hand = "\n## Measured by hand\n\nverify: 22 s\n"
	if got := byHand("# Benchmarks\n\nold\n" + hand); got != hand {
		t.Errorf("%q is kept, want %q", got, hand)
	}
}
