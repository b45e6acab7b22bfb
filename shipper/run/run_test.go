package run

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/cwlocal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testGroup = "/perstack/run"

// world is an endpoint and a journal folder, for sessions that follow each other.
type world struct {
	t       *testing.T
	server  *cwlocal.Server
	url     string
	journal string
	away    atomic.Bool // puts are refused, as by an endpoint in trouble, while it is set
	core    *observer.ObservedLogs
	log     *zap.Logger
}

func newWorld(t *testing.T) *world {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "eu-west-1", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
	w := &world{t: t, journal: filepath.Join(t.TempDir(), "journal")}
	server, err := cwlocal.New(cwlocal.Options{Intercept: func(call *cwlocal.Call) cwlocal.Fault {
		if w.away.Load() && call.Action == "PutLogEvents" {
			return cwlocal.Fault{Status: 503}
		}
		return cwlocal.Fault{}
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	url, wait, err := cwlocal.Listen(ctx, "127.0.0.1:0", server)
	if err != nil {
		stop()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		if err := errors.Join(wait(), server.Close()); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("it said:\n%s", w.said())
		}
	})
	w.server, w.url = server, url
	core, logs := observer.New(zap.InfoLevel)
	w.core, w.log = logs, zap.New(core)
	return w
}

// said is all that was said, a line each.
func (w *world) said() string {
	var b strings.Builder
	for _, e := range w.core.All() {
		b.WriteString(e.Level.String() + ": " + e.Message + "\n")
	}
	return b.String()
}

func (w *world) options() Options {
	return Options{
		Journal: Journal{Dir: w.journal, Max: 1 << 30},
		Delivery: Delivery{
			FlushInterval: 10 * time.Millisecond, GiveUpAfter: 200 * time.Millisecond, HopelessAfter: 200 * time.Millisecond,
			DrainTimeout: 5 * time.Second, MemoryMax: 32 << 20, MemoryMin: 8 << 20,
		},
		Version: "v1", Log: w.log,
	}
}

func (w *world) client(group string) *cloudwatch.Client {
	w.t.Helper()
	client, err := cloudwatch.New(w.t.Context(), cloudwatch.Options{Group: group, Endpoint: w.url, Logger: w.log})
	if err != nil {
		w.t.Fatal(err)
	}
	return client
}

// session opens a session, which ends with the test at the latest.
func (w *world) session() *Session {
	w.t.Helper()
	client := w.client(testGroup)
	s, err := Open(w.options(), Target{Client: client, Creation: Creation{Create: true}}, Events{LogStream: "{jobId}"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		s.Close()
		client.Close()
	})
	return s
}

// stdin ships text as from a pipe.
func (w *world) stdin(text string, want Outcome) {
	w.t.Helper()
	r, in, err := os.Pipe()
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Close()
	go func() {
		defer in.Close()
		in.WriteString(text) // it may be more than a pipe holds
	}()
	outcome, err := w.session().Stdin(StdinOptions{Stdin: r})
	w.want(outcome, err, want)
}

// exec runs a shell script.
func (w *world) exec(script string, want Outcome) {
	w.t.Helper()
	null, err := os.Open(os.DevNull)
	if err != nil {
		w.t.Fatal(err)
	}
	defer null.Close()
	result, err := w.session().Exec(ExecOptions{File: "/bin/sh", Command: []string{"sh", "-c", script}, Stdin: null})
	w.want(result.Outcome, err, want)
}

// resume ships what is left to where it was meant for, or elsewhere.
func (w *world) resume(to Redirect, want Outcome) {
	w.t.Helper()
	outcome, err := Resume(ResumeOptions{
		Options: w.options(), Redirect: to,
		Connect: func(target cloudwatch.Target, _ cloudwatch.Caller, creation Creation) (*cloudwatch.Client, error) {
			return cloudwatch.New(w.t.Context(), cloudwatch.Options{Group: target.Group, Region: target.Region, Endpoint: target.Endpoint, Logger: w.log})
		},
	})
	w.want(outcome, err, want)
}

func (w *world) want(outcome Outcome, err error, want Outcome) {
	w.t.Helper()
	if err != nil || outcome != want {
		w.t.Fatalf("outcome %d, %v; want %d", outcome, err, want)
	}
}

func (w *world) mustSay(texts ...string) {
	w.t.Helper()
	for _, text := range texts {
		if !strings.Contains(w.said(), text) {
			w.t.Errorf("it did not say %q", text)
		}
	}
}

// lines are the lines in a stream, in the order of their put.
func (w *world) lines(group, stream string) string {
	w.t.Helper()
	var b strings.Builder
	for _, e := range w.server.Events(group, stream) {
		r, err := batch.Restore([]byte(e.Message))
		if err != nil {
			w.t.Fatal(err)
		}
		if r.Record == "" {
			b.Write(append(r.Line, '\n'))
		}
	}
	return b.String()
}

// left are the names of the inputs in the journal folder.
func (w *world) left() (names []string) {
	w.t.Helper()
	entries, err := os.ReadDir(w.journal)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}
