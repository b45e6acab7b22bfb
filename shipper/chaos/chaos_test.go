//go:build linux

// Package chaos tests that nothing is lost. It runs the built binary under random kill -9, signals,
// CloudWatch faults and full disks, and compares what the endpoint holds with what the processes
// read.
//
//	chaos_test.go     a run: seed, duration, report
//	campaign_test.go  one journal folder: rounds of faults, a last clean start, the comparison
//	process_test.go   one process and how much it read
//	exec_test.go      exec processes; testdata/agent is their command
//	cut_test.go       the comparison for an agent that truncated its stdout
//	follow_test.go    processes that follow a file
//	trace_test.go     kills during disk calls, and slow disks
//	feed_test.go      what agents write, and what CloudWatch should hold of it
//	endpoint_test.go  CloudWatch and its faults
//	disk_test.go      small disks
//	folder_test.go    reads a journal folder
//	check_test.go     the comparison
//	verify_test.go    compares the verdict of verify
//	tally_test.go     statistics
//
// CHAOS_TIME is the duration of a run, and CHAOS_SEED repeats a run's choices. When things happen
// depends on the machine, so a seed does not always reproduce a failure.
package chaos

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const (
	// shortRun is the duration of a run in `make test`.
	shortRun = 3 * time.Second
	// minRounds is how many rounds a campaign has even if the time is up, which it may be on a slow
	// machine before much has happened.
	minRounds = 4
	// rounds is the number of rounds in a campaign: enough for crashes during recovery from
	// crashes, and few enough for a failure to be readable.
	rounds = 25
	// parallel is how many campaigns run at once, because processes mostly wait.
	parallel = 3
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "chaos")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary, agentBinary = filepath.Join(dir, "perstack-shipper"), filepath.Join(dir, "agent")
	// Build without the race detector even if the tests use it: it takes longer to start than most
	// of these processes live.
	for to, from := range map[string]string{binary: "perstack-shipper/cmd/perstack-shipper", agentBinary: "perstack-shipper/shipper/chaos/testdata/agent"} {
		build := exec.Command("go", "build", "-o", to, from)
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintf(os.Stderr, "building %s: %v\n", from, err)
			os.Exit(1)
		}
	}
	adopt()
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		reap()
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

func TestChaos(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("CHAOS_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("CHAOS_SEED: %v", err)
		}
	}
	length := shortRun
	if s := os.Getenv("CHAOS_TIME"); s != "" {
		var err error
		if length, err = time.ParseDuration(s); err != nil {
			t.Fatalf("CHAOS_TIME: %v", err)
		}
	}
	t.Logf("CHAOS_SEED=%d CHAOS_TIME=%s", seed, length)

	began := time.Now()
	until := began.Add(length)
	y := newTally()
	var next atomic.Uint64
	var all sync.WaitGroup
	for range parallel {
		all.Go(func() {
			for time.Now().Before(until) {
				n := next.Add(1)
				t.Run(strconv.FormatUint(n, 10), func(t *testing.T) {
					newCampaign(t, seed, n, y).run(rounds, until)
				})
			}
		})
	}
	all.Wait()
	t.Logf("CHAOS_SEED=%d, %s: %s", seed, time.Since(began).Round(time.Second), y)
	if y.signals["KILL"] == 0 || y.lines == 0 {
		t.Error("no process was killed, or no line was shipped")
	}
}
