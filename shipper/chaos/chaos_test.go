//go:build linux

// Package chaos shows that nothing is lost: it runs the built binary under random kill -9, signals,
// faults of CloudWatch and full disks, and compares what the endpoint holds with what the processes
// had read.
//
//	chaos_test.go     the run: seed, time, report
//	campaign_test.go  one journal folder: rounds of trouble, a last clean start, the comparison
//	process_test.go   one process and the account of what it has read
//	exec_test.go      one that runs a command; testdata/agent is that command
//	cut_test.go       the comparison for an agent that emptied its stdout
//	follow_test.go    one that follows a file
//	trace_test.go     kills in the middle of disk calls, and slow disks
//	feed_test.go      what agents write, and what should come of it
//	endpoint_test.go  CloudWatch, and how its calls go wrong
//	disk_test.go      small disks
//	folder_test.go    what lies in a journal folder
//	check_test.go     the comparison
//	verify_test.go    what verify says of it
//	tally_test.go     the figures
//
// CHAOS_TIME (a duration) says how long to go on, CHAOS_SEED repeats a run's plans. The moments at
// which things happen are the machine's, so a seed does not repeat a failure for certain.
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
	// aMoment is how long it takes inside `make test`.
	aMoment = 5 * time.Second
	// rounds is how many a campaign has: enough that crashes of crashes happen, few enough that a
	// failure can be read.
	rounds = 25
	// sideBySide is how many campaigns run at once: processes mostly wait.
	sideBySide = 3
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "chaos")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary, agentBinary = filepath.Join(dir, "perstack-shipper"), filepath.Join(dir, "agent")
	// Without the race detector, whatever the tests run with: its start takes longer than most of
	// these processes live.
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
	length := aMoment
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
	for range sideBySide {
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
		t.Error("nothing happened")
	}
}
