// Package fleet simulates many shippers in one account. It runs the real shipper, from the journal
// to the SDK, in simulated time (testing/synctest) against a model of CloudWatch Logs and its
// quotas.
//
//	fleet_test.go     a fleet in a scenario, and what must hold in each scenario
//	scenario_test.go  the scenarios
//	task_test.go      one task: an agent and its shipper
//	service_test.go   the service
//	series_test.go    what the service saw in each second
//	draw_test.go      the charts and the table in docs/fleet.md
//
// Without FLEET_TASKS, the scenarios are small and short enough for `make test`. `make fleet` sets
// it, and also FLEET_DOCS, which makes the test write docs/fleet.md.
package fleet

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// result is the outcome of a scenario.
type result struct {
	series
	lost   int           // lines that were written but never accepted
	twice  int           // lines that were accepted twice
	shards int           // see shards
	took   time.Duration // in real time
	memory uint64        // memory of the process when the agents ended, in bytes
}

// openFiles is how many files a task's journal keeps open.
const openFiles = 5

// shards returns into how many fleets n tasks must be divided, each with its share of the quotas,
// because of the limit on open files.
func shards(t *testing.T, n int) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	most := (int(min(limit.Cur, 1<<20)) - 200) / openFiles
	return (n + most - 1) / most
}

// run runs a fleet of n tasks through the scenario.
func (sc *scenario) run(t *testing.T, n int) (r result) {
	began := time.Now()
	r.shards = shards(t, n)
	for i := range r.shards {
		from, to := n*i/r.shards, n*(i+1)/r.shards
		sc.runShard(t, &r, float64(to-from)/float64(n), from, to)
		runtime.GC()
	}
	r.took = time.Since(began)
	return r
}

// runShard runs the tasks [from, to) with their share of the quotas.
func (sc *scenario) runShard(t *testing.T, r *result, share float64, from, to int) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.Setenv(name, value)
	}
	folder, err := journal.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := newService(sc, share, uint64(from))
		client, err := cloudwatch.New(t.Context(), cloudwatch.Options{Group: "/perstack/fleet", Region: "eu-west-1", Endpoint: "http://fleet", Transport: s})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		ctx, cancel := context.WithTimeout(context.Background(), sc.length+2*time.Hour)
		defer cancel()
		var (
			all   sync.WaitGroup
			mu    sync.Mutex
			errs  []error
			tasks = make([]*task, to-from)
		)
		for i := range tasks {
			random := rand.New(rand.NewPCG(2, uint64(from+i)))
			one := &task{
				id: fmt.Sprintf("task%05d", from+i), begins: between(random, [2]time.Duration{0, time.Second}), ends: sc.length,
				work: sc.work, flush: cmp.Or(sc.flush, time.Second), random: random, client: client, folder: folder,
			}
			tasks[i] = one
			all.Go(func() {
				if err := one.run(ctx, s.start); err != nil {
					mu.Lock()
					defer mu.Unlock()
					errs = append(errs, err)
				}
			})
		}
		all.Go(func() {
			if sleep(ctx, sc.length) == nil {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				r.memory = max(r.memory, m.HeapSys+m.StackSys)
			}
		})
		all.Wait()
		if len(errs) > 0 {
			t.Fatalf("%d tasks failed, one of them with: %v", len(errs), errs[0])
		}
		for _, one := range tasks {
			l := s.lines[one.id]
			if l == nil {
				l = &lines{}
			}
			r.lost += one.lines - l.count
			r.twice += l.twice
		}
		r.series.add(&s.seen)
	})
}

// wave is the highest allowed ratio of the calls in a second to the mean of their minute, after the
// first minute of a phase.
const wave = 1.5

// drain is the highest allowed ratio of the time for a backlog to the time that the quota requires.
const drain = 1.3

// longestPause is the longest pause between a shipper's attempts. Only after that can a whole fleet
// have noticed that the service is back.
const longestPause = 20 * time.Second

// TestFleet runs the scenarios. In each of them, nothing may be lost, calls may not come in waves,
// and a backlog must be gone as soon as the quota allows.
func TestFleet(t *testing.T) {
	large := 0
	if s := os.Getenv("FLEET_TASKS"); s != "" {
		var err error
		if large, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	var rows []row
	for _, sc := range scenarios(large > 0) {
		n := cmp.Or(large, sc.short)
		if n == 0 {
			continue
		}
		sc.scale(n)
		t.Run(sc.name, func(t *testing.T) {
			r := sc.run(t, n)
			sum := sc.judge(&r)
			t.Log(sum)
			if r.lost > 0 || r.twice > 0 {
				t.Errorf("%d lines are lost, %d are stored twice", r.lost, r.twice)
			}
			if sum.wave > wave {
				t.Errorf("the calls come in waves: in one second there were %.2f times the mean of the minute", sum.wave)
			}
			if sum.allowed > 0 && float64(sum.drained) > drain*float64(sum.allowed) {
				t.Errorf("the backlog took %s, although the quota allows %s", sum.drained, sum.allowed)
			}
			if sc.lag > 0 && sum.most > sc.lag.Seconds() {
				t.Errorf("a line waited %.0f s", sum.most)
			}
			rows = append(rows, row{sc, r, sum})
		})
	}
	if dir := os.Getenv("FLEET_DOCS"); dir != "" && !t.Failed() {
		document(t, dir, large, rows)
	}
}
