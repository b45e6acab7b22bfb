package shipper

// These tests show what can go wrong on the way to CloudWatch, from the bytes of an input to what
// CloudWatch has.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/cwlocal/localtest"
	"perstack-shipper/shipper/deliver"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/testkit"
	"perstack-shipper/shipper/testkit/await"
)

// hasty has pauses of milliseconds.
var hasty = deliver.Paces{
	Chance: deliver.Sprint{
		First: time.Millisecond, Most: 10 * time.Millisecond, Fresh: 8, Known: 8, Long: 10 * time.Millisecond, Longest: 20 * time.Millisecond,
	},
	Steady:  deliver.Pace{First: 4 * time.Millisecond, Most: 40 * time.Millisecond},
	Denied:  deliver.Pace{First: 4 * time.Millisecond, Most: 40 * time.Millisecond},
	Refused: deliver.Pace{First: 4 * time.Millisecond, Most: 40 * time.Millisecond},
}

// ship ships inputs with short pauses until everything is delivered.
func (w *world) ship(ins ...Input) Report {
	w.t.Helper()
	report, err := w.shipper(nil).Run(within(w.t, w.limit), ins, nil)
	if err != nil {
		w.t.Fatalf("%v; %s", err, report.Sentence())
	}
	return report
}

// shipper returns a Shipper with short pauses. change, if not nil, changes its options.
func (w *world) shipper(change func(*Options)) *Shipper {
	o := w.options()
	if change != nil {
		change(&o)
	}
	s := New(o)
	s.deliverer.Paces = hasty
	s.patience.reject, s.patience.rejectRetry, s.patience.look = 100*time.Millisecond, 10*time.Millisecond, 10*time.Millisecond
	return s
}

// said returns the entries of the world's log from now on.
func (w *world) said() *observer.ObservedLogs {
	core, logs := observer.New(zap.InfoLevel)
	w.log = zap.New(core)
	return logs
}

// numbered returns n lines of a job, numbered from 1.
func numbered(job string, n int) []byte {
	var b bytes.Buffer
	now := time.Now().UnixMilli()
	for i := range n {
		fmt.Fprintf(&b, `{"type":"note","timestamp":%d,"jobId":"%s","n":%d}`+"\n", now+int64(i), job, i+1)
	}
	return b.Bytes()
}

// stored returns how many events of an input the endpoint has, and how many of them it has more
// than once.
func (w *world) stored(id string) (events, repeated int) {
	w.t.Helper()
	in := w.Gathered()[id]
	if in == nil {
		return 0, 0
	}
	return len(in.Lines), len(in.Repeated)
}

// await waits until is returns true, and reports whether it did before the deadline. Unlike Until,
// it may be called by any goroutine.
func (w *world) await(what string, is func() bool) bool {
	for deadline := time.Now().Add(await.Deadline); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if is() {
			return true
		}
	}
	w.t.Errorf("not within %s: %s", await.Deadline, what)
	return false
}

// awaitEvents waits until the endpoint has n events of an input.
func (w *world) awaitEvents(id string, n int) bool {
	return w.await(fmt.Sprintf("%d events of input %s", n, id), func() bool {
		events, _ := w.stored(id)
		return events >= n
	})
}

// seal returns the latest seal of an input in a stream.
func (w *world) seal(id, stream string) (found sealRecord) {
	w.t.Helper()
	in := w.Gathered()[id]
	if in == nil || !in.Sealed[stream] {
		w.t.Fatalf("stream %q has no seal of input %s", stream, id)
	}
	var latest testkit.Seal
	for _, seal := range in.Seals {
		if seal.LastSeq >= latest.LastSeq {
			latest = seal
		}
	}
	if err := json.Unmarshal([]byte(latest.Message), &found); err != nil {
		w.t.Fatal(err)
	}
	return found
}

// setAside is a line of a reject file.
type setAside struct {
	Seq                     int64
	Stream, Reason, Message string
}

// rejects returns the lines of all reject files in the journal folder.
func (w *world) rejects() (all []setAside) {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.folder.Path(), "*", "rejects.jsonl"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			w.t.Fatal(err)
		}
		for d := json.NewDecoder(bytes.NewReader(data)); d.More(); {
			var r setAside
			if err := d.Decode(&r); err != nil {
				w.t.Fatal(err)
			}
			all = append(all, r)
		}
	}
	return all
}

// abandoned returns the journal of an input that an earlier process left, with these bytes and this
// state in its cursor.
func (w *world) abandoned(id, bytes string, state []byte) *journal.Journal {
	w.t.Helper()
	j, err := w.folder.NewPipe(id, nil, journal.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := j.Write([]byte(bytes)); err != nil {
		w.t.Fatal(err)
	}
	if err := errors.Join(j.Ack(journal.Cursor{State: state}), j.Close()); err != nil {
		w.t.Fatal(err)
	}
	return w.recovered(id)
}

// puts makes those calls of PutLogEvents fail whose numbers strike chooses.
func puts(strike func(n int64) bool, f cwlocal.Fault) func(*cwlocal.Call) cwlocal.Fault {
	return func(c *cwlocal.Call) cwlocal.Fault {
		if c.Action == "PutLogEvents" && strike(c.N) {
			return f
		}
		return cwlocal.Fault{}
	}
}

func TestEachErrorIsOutlived(t *testing.T) {
	t.Parallel()
	some := func(n int64) bool { return n <= 5 || n%3 == 0 }
	for _, c := range []struct {
		name    string
		fault   cwlocal.Fault
		repeats bool // the call was carried out despite the error
		said    string
	}{
		{"throttling", localtest.Throttle(), false, "Throttling on logs:PutLogEvents"},
		{"503", localtest.Unavailable(), false, "ServiceUnavailable on logs:PutLogEvents"},
		{"500", cwlocal.Fault{Status: 500, Code: "InternalFailure"}, false, "InternalFailure on logs:PutLogEvents"},
		{"500 after acceptance", cwlocal.Fault{Status: 500, Code: "InternalFailure", After: true}, true, "InternalFailure on logs:PutLogEvents"},
		{"reset before acceptance", cwlocal.Fault{ResetBefore: true}, false, "connection reset by peer"},
		{"reset after acceptance", cwlocal.Fault{ResetAfter: true}, true, "connection reset by peer"},
		{"half an answer", cwlocal.Fault{CutAnswer: true}, true, "unexpected EOF"},
		{"no answer", cwlocal.Fault{Hang: true}, false, "no answer from"},
		{"no answer after acceptance", cwlocal.Fault{Hang: true, After: true}, true, "no answer from"},
		{"expired token", cwlocal.Fault{Code: "ExpiredTokenException", Message: "expired"}, false, "ExpiredToken on logs:PutLogEvents"},
		{"access denied", cwlocal.Fault{Code: "AccessDeniedException", Message: "denied"}, false, "AccessDenied on logs:PutLogEvents"},
		{"an error not known", cwlocal.Fault{Status: 418, Code: "TeapotException"}, false, "Teapot on logs:PutLogEvents"},
		{"a proxy's page", cwlocal.Fault{Status: 502, Code: "x", Body: []byte("<html>Bad Gateway</html>"), Header: http.Header{"X-Amzn-Errortype": nil}}, false, "502"},
		{"already accepted", cwlocal.Fault{Code: "DataAlreadyAcceptedException", After: true}, false, ""},
		{"sequence token", cwlocal.Fault{Code: "InvalidSequenceTokenException"}, false, ""},
	} {
		outlive := func(w *world) {
			t := w.t
			logs := w.said()
			data := numbered("job", 500)
			report := w.ship(w.pipe("aaaaaaaa", w.stepwise(data), nil))
			if got := w.lines("aaaaaaaa"); !bytes.Equal(got, data) {
				t.Errorf("got %d bytes back, want %d", len(got), len(data))
			}
			if _, repeated := w.stored("aaaaaaaa"); repeated > int(report.Repeated) || repeated > 0 != c.repeats {
				t.Errorf("%d events are repeated, and the report says %d", repeated, report.Repeated)
			}
			if report.Retries == 0 && c.said != "" {
				t.Error("there were no retries")
			}
			if seal := w.seal("aaaaaaaa", "job"); seal.Lines != 500 || seal.Repeated != report.Repeated {
				t.Errorf("the seal is %+v", seal)
			}
			if len(w.rejects()) > 0 || len(report.Left) > 0 || len(report.Failed) > 0 {
				t.Errorf("got rejects %v and report %+v", w.rejects(), report)
			}
			if c.said == "" {
				return
			}
			found := false
			for _, l := range logs.All() {
				found = found || strings.Contains(l.Message, c.said)
			}
			if !found {
				t.Errorf("the log has nothing about %q: %v", c.said, logs.All())
			}
			if logs.Len() > 4 {
				t.Errorf("the log has %d entries, want at most 4: %v", logs.Len(), logs.All())
			}
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.fault.Hang { // each attempt waits for its deadline
				simulate(t, puts(some, c.fault), outlive)
			} else {
				outlive(newWorld(t, puts(some, c.fault)))
			}
		})
	}
}

// Something between the shipper and the service answers in the service's place. Nothing counts as
// delivered or created because of such an answer.
func TestForeignSuccessIsOutlived(t *testing.T) {
	t.Parallel()
	foreign := func(status int, contentType, body string) cwlocal.Fault {
		h := http.Header{"Content-Type": nil, "X-Amzn-Errortype": nil, "X-Amzn-Requestid": nil}
		if contentType != "" {
			h.Set("Content-Type", contentType)
		}
		return cwlocal.Fault{Status: status, Code: "x", Header: h, Body: []byte(body)}
	}
	for name, fault := range map[string]cwlocal.Fault{
		"nothing":      foreign(200, "", ""),
		"204":          foreign(204, "", ""),
		"HTML":         foreign(200, "text/html", "<html>Sign in</html>"),
		"plain text":   foreign(200, "text/plain", "OK"),
		"other JSON":   foreign(200, "application/json", `{"status":"UP"}`),
		"untyped JSON": foreign(200, "", "{}"),
	} {
		for _, action := range []string{"CreateLogStream", "CreateLogGroup", "PutLogEvents"} {
			t.Run(name+" to "+action, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, func(c *cwlocal.Call) cwlocal.Fault {
					if c.Action == action && c.N <= 3 {
						return fault
					}
					return cwlocal.Fault{}
				})
				logs := w.said()
				data := numbered("job", 500)
				report := w.ship(w.pipe("aaaaaaaa", bytes.NewReader(data), nil))
				if got := w.lines("aaaaaaaa"); !bytes.Equal(got, data) {
					t.Errorf("got %d bytes back, want %d", len(got), len(data))
				}
				if report.Retries < 3 || report.Repeated > 0 != (action == "PutLogEvents") {
					t.Errorf("%+v", report)
				}
				var said []string
				for _, l := range logs.All() {
					said = append(said, l.Message)
				}
				if !strings.Contains(strings.Join(said, "\n"), " on logs:"+action) || !strings.Contains(said[0], "is not CloudWatch Logs: it answered") {
					t.Errorf("the log is %q", said)
				}
			})
		}
	}
}

// stepwise returns a reader of data in ten pieces. It returns each piece after a put, so that there
// are several puts.
func (w *world) stepwise(data []byte) io.Reader {
	r, feed := io.Pipe()
	go func() {
		defer feed.Close()
		var before int64
		for piece := range slices.Chunk(data, len(data)/10+1) {
			if _, err := feed.Write(piece); err != nil {
				return
			}
			if !w.await("another put", func() bool { return before < w.Server.Stats().Calls["PutLogEvents"] }) {
				return
			}
			before = w.Server.Stats().Calls["PutLogEvents"]
		}
	}()
	return r
}

func TestRefusedConnectionIsOutlived(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close() // from now on, nobody listens at addr
	w.URL = "http://" + addr
	w.client = w.Client(0)
	data := numbered("job", 100)
	in := w.pipe("aaaaaaaa", bytes.NewReader(data), nil)
	s := w.shipper(nil)
	done := make(chan error, 1)
	go func() {
		_, err := s.Run(context.Background(), []Input{in}, nil)
		done <- err
	}()
	w.Until("connections were refused", s.deliverer.Trouble.Hopeless)
	ctx, cancel := context.WithCancel(context.Background())
	_, wait, err := cwlocal.Listen(ctx, addr, w.Server)
	if err != nil {
		t.Fatal(err)
	}
	err = await.Receive(t, "the end of the run", done)
	cancel()
	if err := wait(); err != nil {
		t.Error(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := w.lines("aaaaaaaa"); !bytes.Equal(got, data) {
		t.Errorf("got %d bytes back, want %d", len(got), len(data))
	}
}

func TestThrottlingStretchesTheInterval(t *testing.T) {
	s := New(Options{FlushInterval: time.Second})
	for _, step := range []struct {
		out  deliver.Outcome
		want time.Duration
	}{
		{deliver.Outcome{Puts: 1}, time.Second},
		{deliver.Outcome{Throttled: true, Puts: 1}, 2 * time.Second},
		{deliver.Outcome{Throttled: true, Puts: 1}, 4 * time.Second},
		{deliver.Outcome{}, 4 * time.Second}, // stopped, which changes nothing
		{deliver.Outcome{Throttled: true}, 8 * time.Second},
		{deliver.Outcome{Throttled: true}, 16 * time.Second},
		{deliver.Outcome{Throttled: true}, 30 * time.Second},
		{deliver.Outcome{Throttled: true}, 30 * time.Second},
		{deliver.Outcome{Puts: 1}, 24 * time.Second},
		{deliver.Outcome{Puts: 3}, 19200 * time.Millisecond},
	} {
		if s.stretch(step.out); s.interval != step.want {
			t.Fatalf("after %+v the interval is %s, want %s", step.out, s.interval, step.want)
		}
	}
}

func TestGroupAndStreamAreMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	data := slices.Concat(numbered("a", 100), numbered("b", 100))
	w.ship(w.pipe("aaaaaaaa", bytes.NewReader(data), nil))
	if got := w.lines("aaaaaaaa"); !bytes.Equal(got, data) {
		t.Errorf("got %d bytes back, want %d", len(got), len(data))
	}
	calls := w.Server.Stats().Calls
	if calls["CreateLogGroup"] > 2 || calls["CreateLogStream"] > 4 { // both streams may find the group missing
		t.Errorf("too many calls: %v", calls)
	}
}

// Somebody deletes the stream or the group between two puts. Everything put after the deletion is
// there.
func TestDeletedUnderWay(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"stream", "group"} {
		t.Run(what, func(t *testing.T) {
			var w *world
			kept := 0
			w = newWorld(t, func(c *cwlocal.Call) cwlocal.Fault {
				if c.Action == "PutLogEvents" && c.N == 3 {
					kept, _ = w.stored("aaaaaaaa")
					if what == "stream" {
						w.Server.DeleteStream(w.Group, "job")
					} else {
						w.Server.DeleteGroup(w.Group)
					}
				}
				return cwlocal.Fault{}
			})
			data := numbered("job", 500)
			in := w.pipe("aaaaaaaa", w.stepwise(data), nil)
			report, err := w.shipper(func(o *Options) { o.FlushInterval = 10 * time.Millisecond }).Run(within(t, await.Deadline), []Input{in}, nil)
			if err != nil {
				t.Fatal(err)
			}
			after, _ := w.stored("aaaaaaaa")
			if kept == 0 || kept == 500 || kept+after != 500 {
				t.Errorf("there were %d events before the deletion and %d after it, want 500 together", kept, after)
			}
			if report.Repeated > 0 || report.Rejected > 0 {
				t.Errorf("%+v", report)
			}
		})
	}
}

// Every other call fails. The log must not have an entry for each.
func TestTroubleIsSaidOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, puts(func(n int64) bool { return n%2 == 0 }, localtest.Throttle()))
	logs := w.said()
	r, feed := io.Pipe()
	go func() {
		for i := range 50 {
			if _, err := feed.Write(numbered(fmt.Sprint("job", i%5), 1)); err != nil {
				return
			}
			time.Sleep(4 * time.Millisecond)
		}
		feed.Close()
	}()
	in := w.pipe("aaaaaaaa", r, nil)
	report, err := w.shipper(func(o *Options) { o.FlushInterval = time.Millisecond }).Run(within(t, await.Deadline), []Input{in}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if report.Retries < 10 || logs.Len() > 2 {
		t.Errorf("there were %d retries and %d log entries: %v", report.Retries, logs.Len(), logs.All())
	}
}

// An input that another version left, or that somebody damaged, stays, and the primary input is
// shipped.
func TestBrokenLeftoverIsNoHindrance(t *testing.T) {
	t.Parallel()
	for name, shape := range map[string]batch.Shape{
		"cursor":  {Input: "bbbbbbbb", Template: "{jobId}", Hostname: "h"},
		"options": {Input: "bbbbbbbb", Template: "{nonsense}", Hostname: "h"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			logs := w.said()
			left := w.abandoned("bbbbbbbb", "left\n", []byte(`"of another program"`))
			data := numbered("job", 10)
			report := w.ship(Input{Journal: left, Shape: shape}, w.pipe("aaaaaaaa", bytes.NewReader(data), nil))
			if got := w.lines("aaaaaaaa"); !bytes.Equal(got, data) {
				t.Errorf("got %d bytes back, want %d", len(got), len(data))
			}
			if len(report.Failed) > 0 || len(report.Left) > 0 {
				t.Errorf("%+v", report)
			}
			if logs.Len() != 1 || !strings.Contains(logs.All()[0].Message, "input bbbbbbbb") {
				t.Errorf("the log is %v", logs.All())
			}
			again := w.recovered("bbbbbbbb")
			if again.Size() != 5 {
				t.Errorf("%d bytes are left, want 5", again.Size())
			}
			again.Close()
		})
	}
}
