// Package testkit holds what the tests of several packages share: a World to ship to, the inputs
// that it was sent ([Gathered]), programs under way ([Process]), and waiting with a deadline
// ([Until]).
package testkit

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/journal"
)

// Options of an Endpoint.
type Options struct {
	cwlocal.Options
	// Front, if not nil, wraps the endpoint's handler.
	Front func(http.Handler) http.Handler
}

// Fault decides what goes wrong with a call. The zero Fault lets it succeed.
type Fault func(*cwlocal.Call) cwlocal.Fault

// Endpoint is a CloudWatch in this process.
type Endpoint struct {
	Server *cwlocal.Server
	URL    string

	fault atomic.Pointer[Fault]
	stop  context.CancelFunc
	wait  func() error
}

// Serve starts an endpoint. Its calls fail as Options.Intercept says, until Fail says otherwise.
func Serve(o Options) (*Endpoint, error) {
	e := &Endpoint{}
	e.Fail(o.Intercept)
	o.Intercept = func(call *cwlocal.Call) cwlocal.Fault {
		if fault := *e.fault.Load(); fault != nil {
			return fault(call)
		}
		return cwlocal.Fault{}
	}
	var err error
	if e.Server, err = cwlocal.New(o.Options); err != nil {
		return nil, err
	}
	handler := http.Handler(e.Server)
	if o.Front != nil {
		handler = o.Front(handler)
	}
	ctx, stop := context.WithCancel(context.Background())
	if e.URL, e.wait, err = cwlocal.Listen(ctx, "127.0.0.1:0", handler); err != nil {
		stop()
		return nil, errors.Join(err, e.Server.Close())
	}
	e.stop = stop
	return e, nil
}

// Fail has calls fail as f says from now on. If f is nil, all succeed.
func (e *Endpoint) Fail(f Fault) { e.fault.Store(&f) }

// FailPuts has every put fail as f says. With the zero Fault all succeed.
func (e *Endpoint) FailPuts(f cwlocal.Fault) {
	e.Fail(func(call *cwlocal.Call) cwlocal.Fault {
		if call.Action != "PutLogEvents" {
			return cwlocal.Fault{}
		}
		return f
	})
}

// Close ends the endpoint, and the calls that hang there.
func (e *Endpoint) Close() error {
	err := e.Server.Close()
	e.stop()
	return errors.Join(err, e.wait())
}

// KeyID and Secret are the credentials of every client of an Endpoint, which takes any.
const KeyID, Secret = "AKIDEXAMPLE", "secret"

// environment holds the variables that keep a client from whatever this machine has.
var environment = []string{
	"AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=" + KeyID, "AWS_SECRET_ACCESS_KEY=" + Secret,
	"AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
}

// Isolate gives this process the environment of a client of an Endpoint. It is for TestMain: unlike
// T.Setenv it leaves tests free to run in parallel.
func Isolate() {
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "PERSTACK_") || strings.HasPrefix(name, "ECS_") {
			os.Unsetenv(name)
		}
	}
	for _, v := range environment {
		name, value, _ := strings.Cut(v, "=")
		os.Setenv(name, value)
	}
}

// Env returns the environment of a program that ships to the endpoint.
func (e *Endpoint) Env() []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"),
		"GORACE=atexit_sleep_ms=0", // no second of sleep before a program under the race detector exits
		"AWS_ENDPOINT_URL=" + e.URL,
	}, environment...)
}

// World is an endpoint of a test's own, with a group to ship to and a folder for journals.
type World struct {
	*Endpoint
	T       testing.TB
	Group   string
	Journal string   // nothing has made it yet
	Env     []string // of the programs that Start starts

	mu   sync.Mutex // guards what follows
	seen map[string]sight
}

// New makes a World, which ends with the test.
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
	return &World{
		Endpoint: e, T: t, Group: group, Journal: filepath.Join(t.TempDir(), "journal"),
		Env: append(e.Env(), "HOME="+t.TempDir()),
	}
}

// Client returns a client of the world's group, which ends with the test. A timeout of 0 is the
// client's default.
func (w *World) Client(timeout time.Duration) *cloudwatch.Client {
	w.T.Helper()
	c, err := cloudwatch.New(context.Background(), cloudwatch.Options{
		Group: w.Group, Region: "eu-west-1", Endpoint: w.URL, AttemptTimeout: timeout,
	})
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(c.Close)
	return c
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
