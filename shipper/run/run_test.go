package run

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/cwlocal/localtest"
	"perstack-shipper/shipper/disk"
	"perstack-shipper/shipper/follow"
	"perstack-shipper/shipper/testkit"
	"perstack-shipper/shipper/testkit/await"
)

func TestMain(m *testing.M) {
	testkit.Isolate()
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // the tests spend most of their time waiting
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

const testGroup = "/perstack/run"

// world is an endpoint, a journal folder and a folder of events. A test's runs use it one after the
// other or at the same time, like processes: each opens the journal folder anew.
type world struct {
	*testkit.World
	t      *testing.T
	events string
	calls  atomic.Int64 // calls that the endpoint is answering
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	return newSerialWorld(t)
}

// newSerialWorld makes a world for a test that must not run in parallel: one that changes the
// environment, or that starts a command. Between fork and exec, the child holds the locks of all
// journals of this process.
func newSerialWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, events: t.TempDir()}
	w.World = testkit.New(t, testGroup, testkit.Options{Front: func(endpoint http.Handler) http.Handler {
		return http.HandlerFunc(func(answer http.ResponseWriter, call *http.Request) {
			w.calls.Add(1)
			defer w.calls.Add(-1)
			endpoint.ServeHTTP(answer, call)
		})
	}})
	return w
}

// setup is the options of a run. Tests change what they need.
type setup struct {
	Options
	Events
	FollowOptions
	Redirect
	group    string
	caller   cloudwatch.Caller
	creation Creation
	pipe     bool // PipeStdout

	copyStdout, copyStderr io.Writer // copyStdout is also the copy of stdin's bytes
}

func paths(p ...string) func(*setup) { return func(s *setup) { s.Paths = append(s.Paths, p...) } }

// once follows paths until nothing has come for so long.
func once(idle time.Duration, p ...string) func(*setup) {
	return func(s *setup) { s.Paths, s.UntilIdle = p, idle }
}

func wait(s *setup) { s.Wait = true }

// readFor makes a run read its input for this long after a signal.
func readFor(d time.Duration) func(*setup) {
	return func(s *setup) { s.Patience.Deliver = s.Delivery.DrainTimeout - d }
}

func drain(d time.Duration) func(*setup) { return func(s *setup) { s.Delivery.DrainTimeout = d } }

func giveUp(after time.Duration) func(*setup) {
	return func(s *setup) { s.Delivery.GiveUpAfter, s.Delivery.HopelessAfter = after, after }
}

func to(group string) func(*setup) { return func(s *setup) { s.group = group } }

func (w *world) setup(log *zap.Logger, tweaks []func(*setup)) *setup {
	s := &setup{
		Options: Options{
			Journal: Journal{Dir: w.Journal, Max: 1 << 30},
			Delivery: Delivery{
				FlushInterval: 10 * time.Millisecond, GiveUpAfter: time.Minute, HopelessAfter: time.Minute,
				DrainTimeout: 20 * time.Second, MemoryMax: 32 << 20, MemoryMin: 8 << 20,
			},
			Patience: Patience{Follow: follow.Patience{Gone: 100 * time.Millisecond}},
			Version:  "v1", Log: log,
		},
		Events: Events{LogStream: "{jobId}"}, group: testGroup, creation: Creation{Create: true},
	}
	for _, tweak := range tweaks {
		tweak(s)
	}
	return s
}

// going is a run that was started.
type going struct {
	t       *testing.T
	signals chan os.Signal
	logs    *observer.ObservedLogs
	ended   chan struct{} // closed when outcome and err are set
	outcome Outcome
	result  ExecResult // only of exec
	err     error
}

// begin starts a run. If the test ends before it, the run is stopped.
func (w *world) begin(tweaks []func(*setup), run func(*setup, *going) (Outcome, error)) *going {
	w.t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	g := &going{t: w.t, signals: make(chan os.Signal, 4), logs: logs, ended: make(chan struct{})}
	s := w.setup(zap.New(core), tweaks)
	go func() {
		defer close(g.ended)
		g.outcome, g.err = run(s, g)
	}()
	w.t.Cleanup(func() {
		for range 2 {
			select {
			case g.signals <- syscall.SIGTERM:
			default:
			}
		}
		defer func() {
			if w.t.Failed() {
				w.t.Logf("the run said:\n%s", g.said())
			}
		}()
		await.Receive(w.t, "the end of the run", g.ended)
	})
	return g
}

// session starts a run of a session.
func (w *world) session(tweaks []func(*setup), run func(*setup, *Session, *going) (Outcome, error)) *going {
	w.t.Helper()
	return w.begin(tweaks, func(s *setup, g *going) (Outcome, error) {
		client, err := cloudwatch.New(context.Background(), cloudwatch.Options{Group: s.group, Endpoint: w.URL, Caller: s.caller, Logger: s.Log})
		if err != nil {
			return Failed, err
		}
		defer client.Close()
		session, err := Open(s.Options, Target{Client: client, Caller: s.caller, Creation: s.creation}, s.Events)
		if err != nil {
			return Failed, err
		}
		defer session.Close()
		return run(s, session, g)
	})
}

// ship ships text as from a pipe.
func (w *world) ship(text string, tweaks ...func(*setup)) *going {
	w.t.Helper()
	r, in := w.pipe()
	go func() {
		defer in.Close()
		in.WriteString(text) // in a goroutine, because a pipe may be too small for it
	}()
	return w.shipFrom(r, tweaks...)
}

func (w *world) pipe() (r, in *os.File) {
	w.t.Helper()
	r, in, err := os.Pipe()
	if err != nil {
		w.t.Fatal(err)
	}
	return r, in
}

// shipFrom ships the bytes of r, and closes r.
func (w *world) shipFrom(r *os.File, tweaks ...func(*setup)) *going {
	w.t.Helper()
	return w.session(tweaks, func(s *setup, session *Session, g *going) (Outcome, error) {
		defer r.Close()
		return session.Stdin(StdinOptions{Stdin: r, Copy: s.copyStdout, Signals: g.signals})
	})
}

// follow follows paths of the folder of events.
func (w *world) follow(tweaks ...func(*setup)) *going {
	w.t.Helper()
	return w.session(tweaks, func(s *setup, session *Session, g *going) (Outcome, error) {
		s.Signals = g.signals
		return session.Follow(s.FollowOptions)
	})
}

// needsLinux skips a test, or the rest of one, of what needs a system that tells who writes a file.
func (w *world) needsLinux(what string) {
	w.t.Helper()
	if !disk.KnowsWriters {
		w.t.Skipf("%s needs Linux", what)
	}
}

// exec runs a shell script.
func (w *world) exec(script string, tweaks ...func(*setup)) *going {
	w.t.Helper()
	w.needsLinux("exec")
	return w.session(tweaks, func(s *setup, session *Session, g *going) (Outcome, error) {
		null, err := os.Open(os.DevNull)
		if err != nil {
			return Failed, err
		}
		defer null.Close()
		g.result, err = session.Exec(ExecOptions{
			File: "/bin/sh", Command: []string{"sh", "-c", script}, Stdin: null, PipeStdout: s.pipe,
			CopyStdout: s.copyStdout, CopyStderr: s.copyStderr, Signals: g.signals,
		})
		return g.result.Outcome, err
	})
}

// resume ships what is left to its recorded targets, or elsewhere.
func (w *world) resume(tweaks ...func(*setup)) *going {
	w.t.Helper()
	return w.begin(tweaks, func(s *setup, g *going) (Outcome, error) {
		return Resume(ResumeOptions{
			Options: s.Options, Redirect: s.Redirect, Signals: g.signals,
			Connect: func(to cloudwatch.Target, caller cloudwatch.Caller, _ Creation) (*cloudwatch.Client, error) {
				return cloudwatch.New(context.Background(), cloudwatch.Options{Group: to.Group, Region: to.Region, Endpoint: to.Endpoint, Caller: caller, Logger: s.Log})
			},
		})
	})
}

// said returns everything that the run logged, one message per line.
func (g *going) said() string {
	var b strings.Builder
	for _, e := range g.logs.All() {
		fmt.Fprintf(&b, "%s: %s\n", e.Level, e.Message)
	}
	return b.String()
}

func (g *going) says(text string) bool { return strings.Contains(g.said(), text) }

func (g *going) mustSay(texts ...string) {
	g.t.Helper()
	for _, text := range texts {
		if !g.says(text) {
			g.t.Errorf("the run did not say %q", text)
		}
	}
}

func (g *going) end() {
	g.t.Helper()
	select {
	case <-g.ended:
	case <-time.After(await.Deadline):
		g.t.Fatalf("the run does not end; it said:\n%s", g.said())
	}
}

// wait waits for the end of the run.
func (g *going) wait(want Outcome) {
	g.t.Helper()
	g.end()
	if g.err != nil || g.outcome != want {
		g.t.Fatalf("outcome %d, %v; want %d", g.outcome, g.err, want)
	}
}

// refuses waits for the end of a run that cannot start because of an option.
func (g *going) refuses(option, problem string) {
	g.t.Helper()
	g.end()
	wrong, ok := errors.AsType[*OptionError](g.err)
	if !ok || wrong.Option != option || !strings.Contains(wrong.Problem, problem) {
		g.t.Errorf("the run ended with outcome %d, %v; want %s %s", g.outcome, g.err, option, problem)
	}
}

// signal sends the run a SIGTERM.
func (g *going) signal() { g.signals <- syscall.SIGTERM }

// stop ends the run like ECS does, and waits for its end.
func (g *going) stop(want Outcome) {
	g.t.Helper()
	g.signal()
	g.wait(want)
}

// path returns the path of a file in the folder of events.
func (w *world) path(name string) string { return filepath.Join(w.events, name) }

// write appends to a file in the folder of events.
func (w *world) write(name string, text ...string) {
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

func (w *world) rename(from, to string) {
	w.t.Helper()
	if err := os.Rename(w.path(from), w.path(to)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) open(name string, flags int) *os.File {
	w.t.Helper()
	f, err := os.OpenFile(w.path(name), flags, 0o644)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { f.Close() })
	return f
}

// shipped returns the inputs in the group, in the order in which they were opened.
func (w *world) shipped() []*testkit.Input { return w.Gathered().Sorted() }

// text returns the original bytes of an input. If some are missing, the test fails.
func (w *world) text(in *testkit.Input) string {
	w.t.Helper()
	text, missing := in.Text()
	if missing != "" {
		w.t.Fatalf("input %s: %s is missing", in.ID, missing)
	}
	return text
}

// has reports whether an input of that path has exactly these bytes.
func (w *world) has(path, text string) bool {
	w.t.Helper()
	return slices.ContainsFunc(w.shipped(), func(in *testkit.Input) bool {
		got, missing := in.Text()
		return missing == "" && in.Path == path && got == text
	})
}

// holds reports whether some input contains the text.
func (w *world) holds(text string) bool {
	w.t.Helper()
	return slices.ContainsFunc(w.shipped(), func(in *testkit.Input) bool {
		got, _ := in.Text()
		return strings.Contains(got, text)
	})
}

// input returns the one input with these bytes.
func (w *world) input(text string) *testkit.Input {
	w.t.Helper()
	var found *testkit.Input
	for _, in := range w.shipped() {
		if w.text(in) != text {
			continue
		}
		if found != nil {
			w.t.Fatalf("inputs %s and %s both are %.100q", found.ID, in.ID, text)
		}
		found = in
	}
	if found == nil {
		for _, in := range w.shipped() {
			w.t.Logf("input %s of %s: %d lines, %.200q", in.ID, in.Path, in.Last, w.text(in))
		}
		w.t.Fatalf("no input is %.100q", text)
	}
	return found
}

// source returns the one input of a source that has lines.
func (w *world) source(source string) *testkit.Input {
	w.t.Helper()
	var found []*testkit.Input
	for _, in := range w.shipped() {
		if in.Source == source && len(in.Lines) > 0 {
			found = append(found, in)
		}
	}
	if len(found) != 1 {
		w.t.Fatalf("%d inputs of %q have lines, want 1", len(found), source)
	}
	return found[0]
}

// ended returns what the latest seal of an input says. If there is no seal, the test fails.
func (w *world) ended(in *testkit.Input) bool {
	w.t.Helper()
	seal, ok := in.Seal()
	if !ok {
		w.t.Fatalf("input %s has no seal", in.ID)
	}
	if seal.Lines != in.Last {
		w.t.Errorf("input %s: the seal counts %d lines, %d are there", in.ID, seal.Lines, in.Last)
	}
	return seal.Ended
}

// nothingKept checks that the journal folder holds no inputs.
func (w *world) nothingKept() {
	w.t.Helper()
	if kept := w.Kept(); len(kept) > 0 {
		w.t.Errorf("the journal keeps %q", kept)
	}
}

// away makes CloudWatch refuse every put, as it does when it is unavailable.
func (w *world) away() { w.FailPuts(localtest.Unavailable()) }

// back undoes away. It first waits for the puts that were given up by their senders and are still
// being answered, because those would be accepted.
func (w *world) back() {
	w.t.Helper()
	still := 0
	await.Until(w.t, "no call is under way", func() bool {
		if still++; w.calls.Load() > 0 {
			still = 0
		}
		return still > 3
	})
	w.FailPuts(cwlocal.Fault{})
}

// line returns an event as an agent writes it.
func line(job string, n int) string {
	return fmt.Sprintf(`{"type":"callTools","timestamp":1795347082176,"jobId":%q,"runId":"r","n":%d}`+"\n", job, n)
}

func lines(job string, from, to int) string {
	var b strings.Builder
	for n := from; n < to; n++ {
		b.WriteString(line(job, n))
	}
	return b.String()
}
