package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"perstack-shipper/shipper/testkit"
)

// This file is the world of the tests of a sidecar: a folder of events, and the program that
// follows it.

const sidecarGroup = "/perstack/sidecar"

type sidecar struct {
	*testkit.World
	t      *testing.T
	events string // the folder that the agent writes to
}

func newSidecar(t *testing.T) *sidecar {
	t.Helper()
	t.Parallel() // it mostly waits
	return &sidecar{World: testkit.New(t, sidecarGroup, testkit.Options{}), t: t, events: t.TempDir()}
}

// path is that of a file in the folder of events.
func (w *sidecar) path(name string) string { return w.events + "/" + name }

// write appends to a file in the folder of events.
func (w *sidecar) write(name string, text ...string) {
	w.t.Helper()
	f, err := os.OpenFile(w.path(name), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err == nil {
		_, err = f.WriteString(strings.Join(text, ""))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *sidecar) rename(from, to string) {
	w.t.Helper()
	if err := os.Rename(w.path(from), w.path(to)); err != nil {
		w.t.Fatal(err)
	}
}

// follow starts the program on the world's journal and log group.
func (w *sidecar) follow(args ...string) *testkit.Process {
	w.t.Helper()
	return w.run(nil, append([]string{"--log-group", w.Group, "--journal-dir", w.Journal, "--flush-interval", "50ms"}, args...)...)
}

// run starts the program.
func (w *sidecar) run(stdin []byte, args ...string) *testkit.Process {
	w.t.Helper()
	c := exec.Command("perstack-shipper", args...)
	if stdin != nil {
		c.Stdin = bytes.NewReader(stdin)
	}
	return w.Start(c)
}

// limited starts the program where a process may have so many descriptors.
func (w *sidecar) limited(descriptors int, args ...string) *testkit.Process {
	w.t.Helper()
	limit := fmt.Sprintf(`ulimit -n %d && exec perstack-shipper "$@"`, descriptors)
	return w.Start(exec.Command("sh", append([]string{"-c", limit, "sh"}, args...)...))
}

// shipped returns what the log group has, in the order in which the inputs were opened.
func (w *sidecar) shipped() []*testkit.Input {
	w.t.Helper()
	return w.Gathered().Sorted()
}

// textOf is the input as it was. All of it must be there.
func textOf(t *testing.T, in *testkit.Input) string {
	t.Helper()
	text, missing := in.Text()
	if missing != "" {
		t.Fatalf("input %s: %s is missing", in.ID, missing)
	}
	return text
}

// input is the one input with these bytes.
func (w *sidecar) input(text string) *testkit.Input {
	w.t.Helper()
	var found *testkit.Input
	for _, in := range w.shipped() {
		if textOf(w.t, in) != text {
			continue
		}
		if found != nil {
			w.t.Fatalf("inputs %s and %s both are %.100q", found.ID, in.ID, text)
		}
		found = in
	}
	if found == nil {
		for _, in := range w.shipped() {
			w.t.Logf("input %s of %s: %d lines, %.200q", in.ID, in.Path, in.Last, textOf(w.t, in))
		}
		w.t.Fatalf("no input is %.100q", text)
	}
	return found
}

// ended is what its latest seal says, which must be there and count its lines.
func ended(t *testing.T, in *testkit.Input) bool {
	t.Helper()
	seal, found := in.Seal()
	if !found {
		t.Fatalf("input %s has no seal", in.ID)
	}
	if seal.Lines != in.Last {
		t.Errorf("input %s: the seal counts %d lines, %d are there", in.ID, seal.Lines, in.Last)
	}
	return seal.Ended
}
