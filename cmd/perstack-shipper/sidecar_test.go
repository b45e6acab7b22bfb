package main

// This file is what the tests of a sidecar share: a folder of events and the program following it.

import (
	"errors"
	"os"
	"strings"
	"testing"

	"perstack-shipper/shipper/testkit"
)

// sidecar is a world with a folder of events.
type sidecar struct {
	*world
	events string // the folder that the agent writes to
}

func newSidecar(t *testing.T) *sidecar {
	t.Helper()
	return &sidecar{newWorld(t), t.TempDir()}
}

// path returns the path of a file in the folder of events.
func (w *sidecar) path(name string) string { return w.events + "/" + name }

// write appends to a file in the folder of events.
func (w *sidecar) write(name string, text ...string) {
	w.T.Helper()
	f, err := os.OpenFile(w.path(name), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err == nil {
		_, err = f.WriteString(strings.Join(text, ""))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		w.T.Fatal(err)
	}
}

func (w *sidecar) rename(from, to string) {
	w.T.Helper()
	if err := os.Rename(w.path(from), w.path(to)); err != nil {
		w.T.Fatal(err)
	}
}

// follow starts the program on the folder of events.
func (w *sidecar) follow(args ...string) *testkit.Process {
	w.T.Helper()
	return w.Start(w.command(append([]string{"--input", w.events}, args...)...))
}

// shipped returns what the log group has, in the order in which the inputs were opened.
func (w *sidecar) shipped() []*testkit.Input {
	w.T.Helper()
	return w.Gathered().Sorted()
}

// textOf returns the text of an input, of which nothing may be missing.
func textOf(t testing.TB, in *testkit.Input) string {
	t.Helper()
	text, missing := in.Text()
	if missing != "" {
		t.Fatalf("input %s: %s is missing", in.ID, missing)
	}
	return text
}

// input returns the only input with this text.
func (w *sidecar) input(text string) *testkit.Input {
	w.T.Helper()
	var found *testkit.Input
	for _, in := range w.shipped() {
		if textOf(w.T, in) != text {
			continue
		}
		if found != nil {
			w.T.Fatalf("inputs %s and %s both are %.100q", found.ID, in.ID, text)
		}
		found = in
	}
	if found == nil {
		for _, in := range w.shipped() {
			w.T.Logf("input %s of %s: %d lines, %.200q", in.ID, in.Path, in.Last, textOf(w.T, in))
		}
		w.T.Fatalf("no input is %.100q", text)
	}
	return found
}

// ended reports whether the seal that counts says that the input has ended. The seal must exist and
// count all lines.
func ended(t testing.TB, in *testkit.Input) bool {
	t.Helper()
	seal, found := in.Seal()
	if !found {
		t.Fatalf("input %s has no seal", in.ID)
	}
	if seal.Lines != in.Last {
		t.Errorf("input %s: the seal counts %d lines, and there are %d", in.ID, seal.Lines, in.Last)
	}
	return seal.Ended
}
