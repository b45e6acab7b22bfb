package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/testkit"
)

// This file is what the tests of exec have in common: the program with a journal of its own, and
// what came of an input.

// stage is where the program is run.
type stage struct {
	*testkit.World
	t     *testing.T
	stuck atomic.Bool                       // puts get no answer while it is set
	watch atomic.Pointer[func(body []byte)] // gets the body of each put; nil: nobody looks
}

// newStage makes the stage of a test, which then runs beside others: it mostly waits.
func newStage(t *testing.T) *stage {
	t.Helper()
	t.Parallel()
	return anotherStage(t)
}

// anotherStage makes a stage for a test that has several.
func anotherStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t}
	s.World = testkit.New(t, "/perstack/stage", testkit.Options{Options: cwlocal.Options{Intercept: func(call *cwlocal.Call) cwlocal.Fault {
		if call.Action != "PutLogEvents" {
			return cwlocal.Fault{}
		}
		for s.stuck.Load() {
			time.Sleep(5 * time.Millisecond)
		}
		if look := s.watch.Load(); look != nil {
			(*look)(call.Body)
		}
		return cwlocal.Fault{}
	}}})
	t.Cleanup(func() { s.stuck.Store(false) }) // before the endpoint ends, and who waits there with it
	s.Env = append(s.Env, "PERSTACK_SHIPPER_LOG_GROUP="+s.Group, "PERSTACK_SHIPPER_FLUSH_INTERVAL=20ms", "STAGE="+s.Journal)
	t.Cleanup(s.killRest)
	return s
}

// killRest kills what a test that failed left running: all that has its environment.
func (s *stage) killRest() {
	found, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		s.t.Error(err)
	}
	for _, f := range found {
		data, err := os.ReadFile(f)
		if err != nil || !bytes.Contains(data, []byte("STAGE="+s.Journal+"\x00")) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// command is the program with these arguments. It is killed when the test ends before it.
func (s *stage) command(args ...string) *exec.Cmd {
	s.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 2*testkit.Deadline)
	s.t.Cleanup(stop)
	c := exec.CommandContext(ctx, "perstack-shipper", args...)
	c.Env = append(s.Env, "PERSTACK_SHIPPER_JOURNAL_DIR="+s.Journal)
	return c
}

// exec is the program that runs a shell script, with these flags.
func (s *stage) exec(script string, flags ...string) *testkit.Process {
	s.t.Helper()
	args := append(append([]string{"exec"}, flags...), "--", "sh", "-c", script)
	return s.Start(s.command(args...))
}

// all is what all inputs of a source became, which must be so many.
func (s *stage) all(source string, want int) []*testkit.Input {
	s.t.Helper()
	var found []*testkit.Input
	for _, in := range s.Gathered() {
		if in.Source == source && in.Last > 0 {
			found = append(found, in)
		}
	}
	if len(found) != want {
		s.t.Fatalf("%d inputs of %q, want %d", len(found), source, want)
	}
	return found
}

// one is the one input of a source, as far as its lines follow each other.
func (s *stage) one(source string) (in *testkit.Input, text string) {
	s.t.Helper()
	in = s.all(source, 1)[0]
	text, _ = in.Text()
	return in, text
}

// text is the one input of a source.
func (s *stage) text(source string) string {
	s.t.Helper()
	_, text := s.one(source)
	return text
}

// has reports whether the text came, in whatever input.
func (s *stage) has(text string) bool {
	s.t.Helper()
	for _, in := range s.Gathered() {
		if got, _ := in.Text(); strings.Contains(got, text) {
			return true
		}
	}
	return false
}

// lastSeal is the text of the seal that counts.
func lastSeal(in *testkit.Input) string {
	seal, _ := in.Seal()
	return seal.Message
}

// nothingLeft checks that the journal folder holds no input.
func (s *stage) nothingLeft() {
	s.t.Helper()
	if left := s.Kept(); len(left) > 0 {
		s.t.Errorf("left in the journal: %v", left)
	}
}

// gate is a file that a script waits for, with `until [ -e $GATE ]; do sleep 0.01; done`.
func (s *stage) gate() (open func()) {
	path := filepath.Join(s.t.TempDir(), "gate")
	s.Env = append(s.Env, "GATE="+path)
	return func() {
		s.t.Helper()
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

// atGate is what a script says to wait for its gate.
const atGate = "until [ -e $GATE ]; do sleep 0.01; done; "
