package main

// This file shows how following ends: by signals, kills and truncation. A FIFO has no other end.

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"perstack-shipper/shipper/testkit/await"
)

// agent writes events to a file until it is stopped, one per write, with a long one now and then.
type agent struct {
	written atomic.Int64 // bytes of writes that have returned
	t       testing.TB
	stop    chan struct{}
	done    chan struct{}
	text    strings.Builder // to be read after done is closed
	once    sync.Once
}

func startAgent(t *testing.T, w io.Writer, pause time.Duration) *agent {
	t.Helper()
	a := &agent{t: t, stop: make(chan struct{}), done: make(chan struct{})}
	t.Cleanup(func() { a.end() })
	go func() {
		defer close(a.done)
		ticks := time.NewTicker(pause)
		defer ticks.Stop()
		for n := 0; ; n++ {
			text := line("job", n)
			if n%50 == 49 {
				text = fmt.Sprintf(`{"type":"x","jobId":"job","n":%d,"text":%q}`+"\n", n, strings.Repeat("long ", 50_000))
			}
			a.text.WriteString(text)
			if _, err := io.WriteString(w, text); err != nil {
				t.Error(err)
				return
			}
			a.written.Add(int64(len(text)))
			select {
			case <-a.stop:
				return
			case <-ticks.C:
			}
		}
	}()
	return a
}

// end stops the agent and returns everything that it wrote.
func (a *agent) end() string {
	a.once.Do(func() { close(a.stop) })
	await.Receive(a.t, "the end of the agent", a.done)
	return a.text.String()
}

func (w *sidecar) open(name string, flags int) *os.File {
	w.T.Helper()
	f, err := os.OpenFile(w.path(name), flags, 0o644)
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(func() { f.Close() })
	return f
}

// A kill costs repeats of unacknowledged lines, and nothing else.
func TestKilledAgainAndAgain(t *testing.T) {
	w := newSidecar(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	writer := startAgent(t, w.open("run.jsonl", os.O_WRONLY|os.O_APPEND|os.O_CREATE), time.Millisecond)
	kills := 12
	if testing.Short() {
		kills = 4
	}
	for range kills {
		p := w.follow("--input", w.events)
		goal := w.Server.Stats().Batches + random.Int64N(6)
		w.Until("some of it is shipped", func() bool { return w.Server.Stats().Batches >= goal })
		p.Kill()
	}
	text := writer.end()
	w.follow("--input", w.events, "--until-idle", "300ms").Wait(0)
	in := w.input(text)
	t.Logf("%d kills: %d lines, %d repeats", kills, in.Last, in.Repeats)
	if in.Last != int64(strings.Count(text, "\n")) {
		t.Errorf("%d lines, want %d", in.Last, strings.Count(text, "\n"))
	}
	if in.Repeats >= int(in.Last) {
		t.Errorf("%d repeats of %d lines", in.Repeats, in.Last)
	}
}
