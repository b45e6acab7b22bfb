package shipper

// CloudWatch refuses an event for its contents, every event, or events for their time.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/testkit/await"
)

// refusing refuses puts that contain one of the words.
func refusing(words ...string) func(*cwlocal.Call) cwlocal.Fault {
	return func(c *cwlocal.Call) cwlocal.Fault {
		for _, word := range words {
			if c.Action == "PutLogEvents" && bytes.Contains(c.Body, []byte(word)) {
				return cwlocal.Fault{Code: "InvalidParameterException", Message: "Log event has " + word}
			}
		}
		return cwlocal.Fault{}
	}
}

func TestBadEventIsFoundAndSetAside(t *testing.T) {
	t.Parallel()
	w := newWorld(t, refusing("poison"))
	data := numbered("job", 1000)
	data = bytes.Replace(data, []byte(`"n":437}`), []byte(`"n":"poison"}`), 1)
	report := w.ship(w.pipe("aaaaaaaa", bytes.NewReader(data), nil))

	if events, repeated := w.stored("aaaaaaaa"); events != 999 || repeated != 0 {
		t.Errorf("CloudWatch has %d events, %d of them repeated", events, repeated)
	}
	rejects := w.rejects()
	if len(rejects) != 1 || rejects[0].Seq != 437 || rejects[0].Stream != "job" || !strings.Contains(rejects[0].Reason, "Log event has poison") {
		t.Fatalf("%+v", rejects)
	}
	r, err := batch.Restore([]byte(rejects[0].Message))
	if line := bytes.Split(data, []byte("\n"))[436]; err != nil || !bytes.Equal(r.Line, line) {
		t.Errorf("the reject file has %s, want %s", r.Line, line)
	}
	if report.Rejected != 1 || !slices.Equal(report.Rejects, []string{filepath.Join(w.folder.Path(), "aaaaaaaa")}) || len(report.Left) > 0 {
		t.Errorf("%+v", report)
	}
	if seal := w.seal("aaaaaaaa", "job"); !slices.Equal(seal.Rejected, ranges{{437, 437}}) || seal.Lines != 1000 {
		t.Errorf("the seal is %+v", seal)
	}
	// Finding one of 1000 events by halving takes 10 refused puts, and as many for the other
	// halves.
	if n := w.Server.Stats().Calls["PutLogEvents"]; n > 30 {
		t.Errorf("there were %d puts, want at most 30", n)
	}
}

// A rejected event cannot be written to the reject file, because the folder is gone. Nothing waits
// for that forever: the log says so, and the event is lost.
func TestBadEventThatCannotBeSetAside(t *testing.T) {
	t.Parallel()
	w := newWorld(t, refusing("poison"))
	logs := w.said()
	data := numbered("job", 100)
	data = bytes.Replace(data, []byte(`"n":43}`), []byte(`"n":"poison"}`), 1)
	in := w.pipe("aaaaaaaa", bytes.NewReader(data), nil)
	w.Until("the input has ended", in.Journal.Ended)
	if err := os.RemoveAll(in.Journal.Path()); err != nil {
		t.Fatal(err)
	}
	report := w.ship(in)
	if events, repeated := w.stored("aaaaaaaa"); events != 99 || repeated != 0 {
		t.Errorf("CloudWatch has %d events, %d of them repeated", events, repeated)
	}
	if report.Rejected != 1 || len(report.Rejects) > 0 || len(report.Left) > 0 {
		t.Errorf("%+v", report)
	}
	said := ""
	for _, e := range logs.All() {
		said += e.Message + "\n"
	}
	if strings.Count(said, "CloudWatch refuses line 43") != 1 || strings.Count(said, "and lost, because it cannot be written to rejects.jsonl") != 1 || strings.Count(said, "cannot be written to rejects.jsonl yet") != 1 {
		t.Errorf("the log is\n%s", said)
	}
	if seal := w.seal("aaaaaaaa", "job"); !slices.Equal(seal.Rejected, ranges{{43, 43}}) || !seal.Ended {
		t.Errorf("the seal is %+v", seal)
	}
}

// The target refuses every put for a while, however long. No event is at fault, so none is set
// aside.
func TestTargetThatRefusesEverything(t *testing.T) {
	t.Parallel()
	for _, events := range []int{1, 2, 7, 200} {
		for _, n := range []int64{1, 2, 3, 4, 5, 8, 9, 10, 12, 20, 63, 64, 65, 80} {
			t.Run(fmt.Sprintf("%d events, %d puts", events, n), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, puts(func(i int64) bool { return i <= n }, cwlocal.Fault{Code: "InvalidParameterException", Message: "no"}))
				w.log = zap.NewNop()
				data := numbered("job", events)
				report := w.ship(w.pipe("aaaaaaaa", bytes.NewReader(data), nil))
				if rejects := w.rejects(); len(rejects) > 0 || report.Rejected > 0 {
					t.Errorf("%d events were set aside: %+v", len(rejects), rejects)
				}
				if got := w.lines("aaaaaaaa"); !bytes.Equal(got, data) {
					t.Errorf("got %d bytes back, want %d", len(got), len(data))
				}
			})
		}
	}
}

// Bad events are alone in their batch. What comes after them decides about them, and does not wait
// for anything else.
func TestBadEventsAlone(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 3} {
		for _, then := range []string{"an event", "the seal"} {
			t.Run(fmt.Sprintf("%d before %s", n, then), func(t *testing.T) {
				t.Parallel()
				judged := make(chan struct{})
				var asked atomic.Int64
				refuse := refusing("poison")
				w := newWorld(t, func(c *cwlocal.Call) cwlocal.Fault {
					f := refuse(c)
					if f.Code != "" && c.Events == 1 && asked.Add(1) == int64(n) {
						close(judged) // each of them was put alone
					}
					return f
				})
				good, bad := numbered("job", 3), bytes.ReplaceAll(numbered("job", n), []byte(`"n"`), []byte(`"poison"`))
				r, feed := io.Pipe()
				go func() {
					write := func(b []byte) {
						if _, err := feed.Write(b); err != nil {
							t.Error(err)
						}
					}
					write(good)
					w.awaitEvents("aaaaaaaa", 3)
					write(bad)
					await.Receive(t, "each bad event put alone", judged)
					if then == "an event" {
						write(good)
						w.awaitEvents("aaaaaaaa", 6)
					}
					feed.Close()
				}()
				in := w.pipe("aaaaaaaa", r, nil)
				ctx, cancel := context.WithTimeout(context.Background(), await.Deadline)
				defer cancel()
				report, err := w.shipper(func(o *Options) { o.FlushInterval = 10 * time.Millisecond }).Run(ctx, []Input{in}, nil)
				if err != nil || report.Rejected != int64(n) || len(report.Left) > 0 {
					t.Errorf("%v, %+v", err, report)
				}
				want := ranges{{4, 3 + int64(n)}}
				if seal := w.seal("aaaaaaaa", "job"); !slices.Equal(seal.Rejected, want) || !seal.Ended {
					t.Errorf("the seal is %+v", seal)
				}
				if rejects := w.rejects(); len(rejects) != n {
					t.Errorf("%+v", rejects)
				}
			})
		}
	}
}

func TestEventsRefusedForTheirTimeAreSentAgain(t *testing.T) {
	t.Parallel()
	at := func(i int) *int { return &i }
	for _, c := range []struct {
		name     string
		rejected cwlocal.Rejected
		want     int // how many events are sent again
	}{
		{"too old", cwlocal.Rejected{TooOldEnd: at(3)}, 3},
		{"expired", cwlocal.Rejected{ExpiredEnd: at(4)}, 4},
		{"too old and expired", cwlocal.Rejected{TooOldEnd: at(2), ExpiredEnd: at(5)}, 5},
		{"too new", cwlocal.Rejected{TooNewStart: at(95)}, 7}, // of 102, with the open record and the seal
		{"all ways", cwlocal.Rejected{TooOldEnd: at(1), ExpiredEnd: at(2), TooNewStart: at(101)}, 3},
		{"all too old", cwlocal.Rejected{TooOldEnd: at(102)}, 102},
		{"all too new", cwlocal.Rejected{TooNewStart: at(0)}, 102},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, puts(func(n int64) bool { return n == 1 }, cwlocal.Fault{Rejected: &c.rejected}))
			data := numbered("job", 100)
			in := w.pipe("aaaaaaaa", bytes.NewReader(data), nil)
			w.Until("the input has ended", in.Journal.Ended)
			before := time.Now().UnixMilli()
			report := w.ship(in)
			if events, repeated := w.stored("aaaaaaaa"); events != 100 || repeated > 0 || report.Repeated > 0 {
				t.Errorf("CloudWatch has %d events, %d of them repeated; the report says %d", events, repeated, report.Repeated)
			}
			if got := w.lines("aaaaaaaa"); !bytes.Equal(got, data) {
				t.Errorf("got %d bytes back, want %d", len(got), len(data))
			}
			sentAgain := 0
			for _, e := range w.Server.Events(w.Group, "job") {
				var m struct {
					Shipper   struct{ At int64 }
					Timestamp int64
				}
				if err := json.Unmarshal([]byte(e.Message), &m); err != nil {
					t.Fatal(err)
				}
				if m.Shipper.At == 0 {
					continue
				}
				sentAgain++
				if m.Shipper.At != m.Timestamp || e.Timestamp < before {
					t.Errorf("at %d: %s", e.Timestamp, e.Message)
				}
			}
			seal := w.seal("aaaaaaaa", "job")
			if sentAgain != c.want || int(seal.Clamped) < sentAgain-2 {
				t.Errorf("%d events were sent again, want %d; the seal says %d", sentAgain, c.want, seal.Clamped)
			}
		})
	}
}
