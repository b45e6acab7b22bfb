package shipper

// These tests measure the pauses between attempts, in simulated time. They are whole runs over
// connections in memory, from the bytes of an input to the endpoint.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/cwlocal/localtest"
	"perstack-shipper/shipper/deliver"
	"perstack-shipper/shipper/feed"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/testkit"
)

// latency is the time from a request to its answer.
const latency = 5 * time.Millisecond

// simulation is a run in simulated time.
type simulation struct {
	took  time.Duration
	calls []time.Duration // when each call arrived, from the start
	err   error           // Run's
}

// perMinute returns how many calls arrived in each minute.
func (s *simulation) perMinute(minutes int) []int {
	counts := make([]int, minutes)
	for _, at := range s.calls {
		if m := int(at / time.Minute); m < minutes {
			counts[m]++
		}
	}
	return counts
}

// simulateRun ships data to a group that does not exist yet, over connections in memory, for at
// most limit of simulated time. fault decides about each call.
func simulateRun(
	t *testing.T, seed uint64, data []byte, limit time.Duration, fault func(*rand.Rand, *cwlocal.Call) cwlocal.Fault, change func(*Options),
) (s simulation) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(seed, 1))
		start := time.Now()
		w := testkit.New(t, "g", testkit.Options{InMemory: true, Options: cwlocal.Options{Discard: true, Latency: latency, Intercept: func(c *cwlocal.Call) cwlocal.Fault {
			s.calls = append(s.calls, time.Since(start)) // one call at a time: there is one stream
			return fault(random, c)
		}}})
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		j, err := w.Folder().NewPipe("aaaaaaaa", nil, journal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := feed.Move(ctx, bytes.NewReader(data), j, nil, zap.NewNop()); err != nil {
			t.Fatal(err)
		}
		o := Options{Client: w.Client(0), Create: true, FlushInterval: time.Second, GiveUpAfter: 24 * time.Hour, OthersAfter: time.Second}
		if change != nil {
			change(&o)
		}
		shipper := New(o)
		jitter := rand.New(rand.NewPCG(seed, 2))
		shipper.deliverer.Random = jitter.Float64
		in := Input{Journal: j.Journal, Shape: batch.Shape{Input: "aaaaaaaa", Template: "{jobId}"}, Primary: true}
		report, err := shipper.Run(ctx, []Input{in}, nil)
		s.took, s.err = report.Took, err
		if err == nil && report.Lines != int64(bytes.Count(data, []byte("\n"))) {
			t.Errorf("%s", report.Sentence())
		}
	})
	return s
}

// runs is the number of runs in a distribution.
const runs = 20

// fourBatches returns 40 lines that need 4 batches, because a batch spans 24 hours at most. The
// last lines have the time at which simulated time begins, 1 January 2000.
func fourBatches() []byte {
	var b bytes.Buffer
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(-3 * 25 * time.Hour)
	for i := range 40 {
		at := begin.Add(time.Duration(i/10) * 25 * time.Hour)
		fmt.Fprintf(&b, `{"type":"note","timestamp":%d,"jobId":"job","n":%d}`+"\n", at.UnixMilli(), i+1)
	}
	return b.Bytes()
}

// every2nd makes a random half of all calls fail.
func every2nd(f cwlocal.Fault) func(*rand.Rand, *cwlocal.Call) cwlocal.Fault {
	return func(r *rand.Rand, _ *cwlocal.Call) cwlocal.Fault {
		if r.IntN(2) == 0 {
			return f
		}
		return cwlocal.Fault{}
	}
}

// Half of all calls fail. The test prints the distribution of the time that runs take, and checks
// its bounds.
func TestHalfOfAllCallsFail(t *testing.T) {
	t.Parallel()
	data := fourBatches()
	var took []time.Duration
	for seed := range uint64(runs) {
		s := simulateRun(t, seed, data, 24*time.Hour, every2nd(localtest.Unavailable()), nil)
		if s.err != nil {
			t.Fatal(s.err)
		}
		took = append(took, s.took)
	}
	slices.Sort(took)
	median, most := took[runs/2], took[runs-1]
	t.Logf("%d runs: least %v, median %v, 9 of 10 %v, most %v", runs, took[0], median, took[runs*9/10], most)
	if median > time.Second || most > 10*time.Second {
		t.Errorf("runs took too long: %v", took)
	}
}

// The test prints how many calls a shipper makes in each minute of an outage. There may be no more
// than with pauses that double up to 20 s.
func TestOutage(t *testing.T) {
	t.Parallel()
	const minutes = 5
	least := make([]float64, minutes)
	for range 2000 {
		s := simulation{calls: []time.Duration{0}}
		pauses := deliver.Usual.Steady.Begin()
		for at := time.Duration(0); at < minutes*time.Minute; s.calls = append(s.calls, at) {
			at += latency + pauses.NextBackOff()
		}
		for m, n := range s.perMinute(minutes) {
			least[m] += float64(n) / 2000
		}
	}
	t.Logf("doubling pauses: calls in each minute %.1f", least)
	for _, outage := range []struct {
		name   string
		fault  cwlocal.Fault
		margin float64 // four standard deviations of the mean of so many runs
	}{{"503", localtest.Unavailable(), 0}, {"throttling", localtest.Throttle(), 5.7 / math.Sqrt(runs)}} {
		mean := make([]float64, minutes)
		for seed := range uint64(runs) {
			s := simulateRun(t, seed, numbered("job", 1), minutes*time.Minute, func(*rand.Rand, *cwlocal.Call) cwlocal.Fault { return outage.fault }, nil)
			for m, n := range s.perMinute(minutes) {
				mean[m] += float64(n) / runs
			}
		}
		t.Logf("%s: calls in each minute %.1f", outage.name, mean)
		for m, n := range mean {
			if n > least[m]+outage.margin {
				t.Errorf("%s: %.1f calls in minute %d, want at most %.1f, as with doubling pauses", outage.name, n, m+1, least[m])
			}
		}
	}
}

// Half of all calls are throttled. A run makes no more calls than it needs: 7, and as many that
// fail.
func TestHalfOfAllCallsAreThrottled(t *testing.T) {
	t.Parallel()
	data, calls := fourBatches(), 0
	for seed := range uint64(runs) {
		calls += len(simulateRun(t, seed, data, 24*time.Hour, every2nd(localtest.Throttle()), nil).calls)
	}
	t.Logf("%.1f calls a run", float64(calls)/runs)
	if calls > 16*runs {
		t.Errorf("%d calls in %d runs, want at most 16 in each", calls, runs)
	}
}

// After the end of input, the shipper soon gives up on a wrong target, unless it was told how long
// to continue.
func TestPatience(t *testing.T) {
	t.Parallel()
	denied := func(*rand.Rand, *cwlocal.Call) cwlocal.Fault { return cwlocal.Fault{Code: "AccessDeniedException"} }
	broken := func(*rand.Rand, *cwlocal.Call) cwlocal.Fault { return localtest.Unavailable() }
	for _, c := range []struct {
		giveUp, hopeless, want time.Duration
		fault                  func(*rand.Rand, *cwlocal.Call) cwlocal.Fault
		cause                  string
	}{
		{10 * time.Minute, 30 * time.Second, 30 * time.Second, denied, "AccessDenied on logs:"},
		{10 * time.Minute, 30 * time.Second, 10 * time.Minute, broken, "ServiceUnavailable on logs:CreateLogStream"},
		{10 * time.Minute, 0, 10 * time.Minute, denied, "AccessDenied on logs:"},
		{5 * time.Second, 0, 5 * time.Second, denied, "AccessDenied on logs:"},
	} {
		s := simulateRun(t, 1, numbered("job", 1), time.Hour, c.fault, func(o *Options) { o.GiveUpAfter, o.HopelessAfter = c.giveUp, c.hopeless })
		gaveUp, ok := errors.AsType[*GaveUpError](s.err)
		if !ok || gaveUp.After != c.want || gaveUp.Hopeless != (c.want == c.hopeless) || !strings.Contains(gaveUp.Cause, c.cause) || s.took < c.want || s.took > c.want+5*time.Second {
			t.Errorf("after %s: got %+v (%v), want %s and %q", s.took, gaveUp, s.err, c.want, c.cause)
		}
	}
}
