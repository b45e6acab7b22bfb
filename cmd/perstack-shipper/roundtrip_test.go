package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"perstack-shipper/batch"
)

// This file pipes what real runs wrote through the program as it is built for others into its own
// endpoint, perstack-shipper local, reads it back with logs, and compares. moto_test.go does the
// same with an endpoint by others.

// newLocalUser is a user of the program's own endpoint, which it starts.
func newLocalUser(t *testing.T) *user {
	t.Helper()
	local, url, _, _ := startLocal(deadline(t), t, "--listen=127.0.0.1:0")
	t.Cleanup(func() {
		if err := local.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := local.Wait(); err != nil {
			t.Errorf("local: %v", err)
		}
	})
	return newUser(t, url)
}

func TestRoundTrip(t *testing.T) { newLocalUser(t).roundTrips(t) }

// roundTrips ships every recording, and what recordings alone do not show.
func (u *user) roundTrips(t *testing.T) {
	for name, path := range recordings(t) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) { u.in(t).roundTrip("/perstack/"+name, data) })
	}
	t.Run("large", func(t *testing.T) { u.in(t).roundTrip("/perstack/large", largeRun()) })
	t.Run("parallel runs", func(t *testing.T) { u.in(t).parallelRuns() })
	t.Run("streaming", func(t *testing.T) { u.in(t).streaming() })
	t.Run("job id", func(t *testing.T) { u.in(t).oddJobID() })
	t.Run("half line", func(t *testing.T) { u.in(t).halfLine() })
	t.Run("two processes", func(t *testing.T) { u.in(t).twoProcesses() })
	t.Run("garbage", func(t *testing.T) { u.in(t).garbage() })
}

// in is the same user in a test of its own.
func (u *user) in(t *testing.T) *user {
	same := *u
	same.t = t
	return &same
}

func (u *user) recording(name string) []byte {
	u.t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata/recordings", name))
	if err != nil {
		u.t.Fatal(err)
	}
	return data
}

// largeRun has lines of up to 2.5 MB, as an agent's that read large files.
func largeRun() []byte {
	var b bytes.Buffer
	for i, size := range []int{100, batch.MaxEventBytes - 200, batch.MaxEventBytes, 1_678_209, 2_500_000} {
		text := strings.Repeat(`日本 \"quoted\" é\n `, size/20+1)
		fmt.Fprintf(&b, `{"type":"continueToNextStep","id":"%d","timestamp":1795347082176,"jobId":"large","runId":"r","text":"%s"}`+"\n", i, text)
	}
	return b.Bytes()
}

// parallelRuns: five Experts at once, whose lines come in turns. The job reads as it was, and so
// does each run.
func (u *user) parallelRuns() {
	t, data := u.t, u.recording("delegate-parallel.jsonl")
	const group, job = "/perstack/parallel", "rg5xjsjyitoxtwsf2dwjccga"
	u.ship(data, "--log-group", group)
	lines := bytes.SplitAfter(data, []byte("\n"))
	runs, turns, before := map[string][]byte{}, 0, ""
	for _, line := range lines[:len(lines)-1] {
		_, id, _ := strings.Cut(string(line), `"runId":"`)
		id, _, _ = strings.Cut(id, `"`)
		runs[id] = append(runs[id], line...)
		if id != before {
			turns++
		}
		before = id
	}
	if len(runs) != 5 || turns < 100 {
		t.Fatalf("%d runs in %d turns: that is not the recording of parallel runs", len(runs), turns)
	}
	for id, want := range runs {
		if back := u.logs("--log-group", group, "--job", job, "--run", id); !bytes.Equal(back, want) {
			t.Errorf("run %s: %s", id, difference(back, want))
		}
	}
}

// streaming: the times of deltas go back, so CloudWatch reads them in another order than they were
// written; seq keeps it.
func (u *user) streaming() {
	t, data := u.t, u.recording("streaming.jsonl")
	const group, job = "/perstack/streaming", "cpjye1ellnp72izz20krse8x"
	u.ship(data, "--log-group", group)
	events := u.events(group, job)
	events = slices.DeleteFunc(events, func(e stored) bool { return e.Shipper.Record != "" })
	bySeq(t, events) // each once
	clamped := slices.ContainsFunc(events, func(e stored) bool { return e.Shipper.At != nil })
	moved := 0
	for i, e := range events {
		if e.Shipper.Seq != i+1 {
			moved++
		}
	}
	if moved == 0 && !clamped {
		t.Error("CloudWatch reads it in the order in which it was written: this shows nothing")
	}
	if back := u.logs("--log-group", group, "--job", job); !bytes.Equal(back, data) {
		t.Errorf("%d events lie elsewhere, and logs does not put them right: %s", moved, difference(back, data))
	}
}

// oddJobID: the stream's name has no character that CloudWatch refuses, and the job is still known
// by its own.
func (u *user) oddJobID() {
	t, want := u.t, u.recording("jobid.jsonl")
	const group = "/perstack/job-id"
	u.ship(want, "--log-group", group)
	if got := u.streams(group); !slices.Equal(got, []string{"nightly-build-42/日本"}) {
		t.Errorf("the streams are %q", got)
	}
	// Another job comes to the same name.
	u.ship([]byte(`{"type":"startRun","jobId":"nightly-build-42/日本"}`+"\n"), "--log-group", group)
	if back := u.logs("--log-group", group, "--job", "nightly:build*42/日本"); !bytes.Equal(back, want) {
		t.Error(difference(back, want))
	}
}

// halfLine: an agent that was killed in the middle of a line leaves half of it, and that half is
// there.
func (u *user) halfLine() {
	t, data := u.t, u.recording("throw-truncated.jsonl")
	lines := nonEmpty(data)
	half := lines[len(lines)-1]
	u.ship(data, "--log-group", "/perstack/half-line")
	events := bySeq(t, u.events("/perstack/half-line", "cmag1xvys3gv6eo4nt6b2617"))
	last := events[len(events)-1]
	end := last[len(last)-1]
	text := end.Message
	if len(last) > 1 {
		text = ""
		for _, part := range last {
			text += part.Data
		}
	}
	if text != string(half) || !end.Shipper.Text || end.Shipper.Newline == nil || *end.Shipper.Newline {
		t.Errorf("the half line of %d bytes came as %d events: %.300s", len(half), len(last), end.message)
	}
}

// twoProcesses: a job that went on in another process reads as one.
func (u *user) twoProcesses() {
	t := u.t
	const group, job = "/perstack/continued", "bymrmt1v84gwq45he1jnjc76"
	first := u.recording("interactive.jsonl")
	second := u.recording("interactive-continue.jsonl")
	u.ship(first, "--log-group", group)
	u.ship(second, "--log-group", group)
	if back, want := u.logs("--log-group", group, "--job", job), append(bytes.Clone(first), second...); !bytes.Equal(back, want) {
		t.Error(difference(back, want))
	}
}

// garbage: any bytes come back, but for those that are not UTF-8.
func (u *user) garbage() {
	t := u.t
	random := rand.NewChaCha8([32]byte{1})
	data := make([]byte, 300_000)
	if _, err := random.Read(data); err != nil {
		t.Fatal(err)
	}
	u.ship(data, "--log-group", "/perstack/garbage", "--job-id", "garbage")
	var want bytes.Buffer
	for _, r := range string(data) { // each byte that is not UTF-8 is one U+FFFD
		want.WriteRune(r)
	}
	if back := u.logs("--log-group", "/perstack/garbage", "--job", "garbage"); !bytes.Equal(back, want.Bytes()) {
		t.Errorf("%d bytes, want %d", len(back), want.Len())
	}
}
