package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/cwlocal/localtest"
	"perstack-shipper/shipper/testkit"
)

// rotator writes events to app.log and renames the file now and then, as a logger that rotates
// does.
type rotator struct {
	w     *sidecar
	every int // lines
	f     *os.File
	lines int
	names int
}

func (r *rotator) Write(b []byte) (int, error) {
	if r.f == nil || r.lines%r.every == 0 {
		if r.f != nil {
			r.names++
			if err := os.Rename(r.w.path("app.log"), r.w.path(fmt.Sprintf("app-%d.log", r.names))); err != nil {
				return 0, err
			}
			r.f.Close()
		}
		var err error
		if r.f, err = os.OpenFile(r.w.path("app.log"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644); err != nil {
			return 0, err
		}
	}
	r.lines++
	return r.f.Write(b)
}

// A sidecar is killed and stopped at random, its files are rotated at random, and calls to
// CloudWatch fail at random. No line is lost, changed or cut, and repeated lines are recognizable.
func TestSidecarUnderFire(t *testing.T) {
	w := newSidecar(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var mu sync.Mutex // guards chance: calls come in parallel
	chance := rand.New(rand.NewPCG(seed, 1))
	decide := testkit.Fault(func(*cwlocal.Call) cwlocal.Fault {
		mu.Lock()
		defer mu.Unlock()
		switch n := chance.IntN(40); n {
		case 0:
			return localtest.Throttle()
		case 1:
			return localtest.Unavailable()
		case 2:
			return cwlocal.Fault{ResetBefore: true}
		case 3:
			return cwlocal.Fault{ResetAfter: true}
		case 4:
			return cwlocal.Fault{Code: "InternalFailure", After: true}
		default:
			return cwlocal.Fault{DelayAfter: time.Duration(n) * time.Millisecond}
		}
	})
	w.Fail(decide)
	writer := startAgent(t, &rotator{w: w, every: 150}, 2*time.Millisecond)
	rounds := 10
	if testing.Short() {
		rounds = 5
	}
	for range rounds {
		before := w.Server.Stats().Batches
		p := w.follow("--input", w.events, "--drain-timeout", "4s")
		goal := before + 1 + random.Int64N(8)
		w.Until("some of it is shipped", func() bool { return w.Server.Stats().Batches >= goal })
		if random.IntN(3) > 0 {
			p.Kill()
		} else {
			// The writer continues, so the sidecar reads until half of the drain timeout is over.
			// What CloudWatch does not take in the other half is left for the next start.
			p.Signal(syscall.SIGTERM)
			if code := p.End(); code != exitOK && code != exitLeft {
				t.Fatalf("exit code %d, want %d or %d; it printed\n%s", code, exitOK, exitLeft, p.Said())
			}
		}
	}
	writer.end()
	w.Fail(nil)
	w.follow("--input", w.events, "--until-idle", "1s").Wait(0)

	files, err := filepath.Glob(w.path("*.log"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	got := map[string]*testkit.Input{}
	repeats := 0
	for _, in := range w.shipped() {
		got[textOf(t, in)] = in
		repeats += in.Repeats
	}
	if len(got) != len(files) {
		t.Errorf("%d inputs of %d files", len(got), len(files))
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		in := got[string(data)]
		if in == nil {
			t.Errorf("no input is %s with its %d bytes", file, len(data))
		} else if lines := int64(strings.Count(string(data), "\n")); in.Last != lines {
			t.Errorf("%s: %d lines, want %d", file, in.Last, lines)
		}
	}
	t.Logf("%d rounds, %d files, %d repeats", rounds, len(files), repeats)
}
