// Package testkit holds what the tests of several packages share: an [Endpoint] to ship to, a
// [World] around it, the inputs that it was sent ([Gathered]), running programs ([Process]), and
// waiting with a deadline ([Until]).
package testkit

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/testkit/await"
)

// World is the surroundings of a test: an endpoint, a group to ship to and a folder for journals.
type World struct {
	*Endpoint
	T       testing.TB
	Group   string
	Journal string   // the folder for journals, which does not exist yet
	Home    string   // of the programs that Start starts
	Env     []string // of those programs

	mu   sync.Mutex // guards seen
	seen map[string]sight
}

// New makes a World with an endpoint of its own, which ends with the test.
func New(t testing.TB, group string, o Options) *World {
	t.Helper()
	e, err := Serve(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return On(t, group, e)
}

// On makes a World with an endpoint that outlives the test, or is in another process.
func On(t testing.TB, group string, e *Endpoint) *World {
	t.Helper()
	home := t.TempDir()
	return &World{
		Endpoint: e, T: t, Group: group, Journal: filepath.Join(t.TempDir(), "journal"), Home: home,
		Env: append(e.Env(), "HOME="+home, "TMPDIR="+home),
	}
}

// Client returns a client of the world's group, which ends with the test. The zero timeout is the
// client's default.
func (w *World) Client(timeout time.Duration) *cloudwatch.Client {
	w.T.Helper()
	return w.Connect(cloudwatch.Options{AttemptTimeout: timeout})
}

// Connect returns a client that ends with the test. If o has no group, Region or endpoint, it gets
// the world's.
func (w *World) Connect(o cloudwatch.Options) *cloudwatch.Client {
	w.T.Helper()
	if o.Group == "" {
		o.Group = w.Group
	}
	if o.Region == "" {
		o.Region = region
	}
	if o.Endpoint == "" {
		o.Endpoint = w.URL
	}
	if w.memory != nil && o.Transport == nil {
		o.Transport = w.newTransport()
	}
	c, err := cloudwatch.New(context.Background(), o)
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(c.Close)
	return c
}

// StreamsOf returns the names of a group's streams, sorted. A group that does not exist has none.
func (w *World) StreamsOf(group string) []string {
	w.T.Helper()
	names, err := w.Endpoint.Streams(w.T.Context(), group)
	if err != nil {
		w.T.Fatal(err)
	}
	return names
}

// EventsOf returns the events of a group's stream in the order in which CloudWatch reads them.
func (w *World) EventsOf(group, stream string) []cwlocal.Event {
	w.T.Helper()
	events, err := w.Endpoint.Events(w.T.Context(), group, stream)
	if err != nil {
		w.T.Fatal(err)
	}
	return events
}

// Folder opens the folder for journals.
func (w *World) Folder() *journal.Folder {
	w.T.Helper()
	f, err := journal.Open(w.Journal)
	if err != nil {
		w.T.Fatal(err)
	}
	return f
}

// Kept returns the names of the inputs that the folder for journals holds.
func (w *World) Kept() (ids []string) {
	w.T.Helper()
	entries, err := os.ReadDir(w.Journal)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.T.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			ids = append(ids, e.Name())
		}
	}
	return ids
}

// Until is [await.Until] for the world's test. If it fails, each [Process] of the test shows what
// it printed.
func (w *World) Until(what string, is func() bool) {
	w.T.Helper()
	await.Until(w.T, what, is)
}
