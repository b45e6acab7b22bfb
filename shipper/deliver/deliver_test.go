package deliver_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/cwlocal/localtest"
	"perstack-shipper/shipper/deliver"
	"perstack-shipper/shipper/testkit/await"
)

// refusing refuses puts that contain a word.
func refusing(word string) func(*cwlocal.Call) cwlocal.Fault {
	return func(c *cwlocal.Call) cwlocal.Fault {
		if c.Action == "PutLogEvents" && bytes.Contains(c.Body, []byte(word)) {
			return cwlocal.Fault{Code: "InvalidParameterException", Message: "Log event has " + word}
		}
		return cwlocal.Fault{}
	}
}

// TestRejectedEventsNameTheirBlocks checks that an outcome names the blocks of the rejected events,
// although the batch sorts events by time.
func TestRejectedEventsNameTheirBlocks(t *testing.T) {
	w := newWorld(t, refusing("poison"), nil)
	one, two := &batch.Block{}, &batch.Block{Input: 1}
	out := w.deliver(deliver.Task{Stream: stream("job"), Batch: w.batch(
		line{nil, 0, "poison of none"},
		line{one, time.Minute, "good"},
		line{two, 0, "poison of two"},
		line{one, time.Hour, "poison of one"},
		line{two, 0, "good"},
	)})
	if out.Err != nil || out.OnTrial || len(out.Rejected) != 3 {
		t.Fatalf("%+v", out)
	}
	for i, want := range []struct {
		block *batch.Block
		text  string
	}{{one, "poison of one"}, {nil, "poison of none"}, {two, "poison of two"}} {
		r := out.Rejected[i]
		if r.Block() != want.block || !bytes.Contains(r.Message(), []byte(want.text)) || !strings.Contains(r.Reason.Error(), "Log event has poison") {
			t.Errorf("%q of %+v for %v, want %q", r.Message(), r.Block(), r.Reason, want.text)
		}
	}
	if n := len(w.server.Events(group, "job")); n != 2 {
		t.Errorf("%d of 2 events arrived", n)
	}
}

// TestNextPutDecidesTrial checks that a batch refused as a whole is left on trial. It is
// rejected once a later put is accepted, unless it is accepted itself by then.
func TestNextPutDecidesTrial(t *testing.T) {
	for _, guilty := range []bool{true, false} {
		refused := true
		w := newWorld(t, func(c *cwlocal.Call) cwlocal.Fault {
			if c.Action == "PutLogEvents" && refused && (!guilty || bytes.Contains(c.Body, []byte("suspect"))) {
				return cwlocal.Fault{Code: "InvalidParameterException", Message: "no"}
			}
			return cwlocal.Fault{}
		}, nil)
		first := w.batch(line{text: "suspect 1"}, line{text: "suspect 2"})
		out := w.deliver(deliver.Task{Stream: stream("job"), Batch: first})
		if out.Err != nil || !out.OnTrial || len(out.Rejected) > 0 || !w.Trouble.Failing("job") {
			t.Fatalf("guilty %t: %+v", guilty, out)
		}
		refused = guilty
		out = w.deliver(deliver.Task{Stream: out.Stream, Batch: w.batch(line{text: "behind"}), OnTrial: []*batch.Batch{first}})
		rejected, arrived := 0, 3
		if guilty {
			rejected, arrived = 2, 1
		}
		if n := len(w.server.Events(group, "job")); out.Err != nil || out.OnTrial || len(out.Rejected) != rejected || n != arrived || w.Trouble.Failing("job") {
			t.Errorf("guilty %t: %d events arrived, want %d; %+v", guilty, n, arrived, out)
		}
	}
}

// TestRepeatsAreCountedPerPut checks that a lost answer counts as repeats only the events of
// that put, whether it is a batch on trial or part of the batch.
func TestRepeatsAreCountedPerPut(t *testing.T) {
	suspect, behind := &batch.Block{}, &batch.Block{Input: 1}
	for _, c := range []struct {
		name  string
		lost  string // text in the put whose first answer is lost
		alone bool   // that put holds one event
		want  map[*batch.Block]int64
	}{
		{"the batch on trial", "suspect 1", true, map[*batch.Block]int64{suspect: 1}},
		{"the batch behind it", "behind 1", false, map[*batch.Block]int64{behind: 2}},
		{"a part of the batch", "behind 1", true, map[*batch.Block]int64{behind: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			trial, lost := true, false
			w := newWorld(t, func(call *cwlocal.Call) cwlocal.Fault {
				refuse := trial || c.alone && bytes.Contains(call.Body, []byte("behind 2"))
				switch {
				case call.Action != "PutLogEvents":
				case refuse:
					return cwlocal.Fault{Code: "InvalidParameterException", Message: "no"}
				case !lost && (call.Events == 1) == c.alone && bytes.Contains(call.Body, []byte(c.lost)):
					lost = true
					return cwlocal.Fault{ResetAfter: true}
				}
				return cwlocal.Fault{}
			}, nil)
			first := w.batch(line{block: suspect, text: "suspect 1"}, line{block: suspect, text: "suspect 2"})
			out := w.deliver(deliver.Task{Stream: stream("job"), Batch: first})
			if out.Err != nil || !out.OnTrial || len(out.Repeated) > 0 {
				t.Fatalf("%+v", out)
			}
			trial = false
			out = w.deliver(deliver.Task{
				Stream: out.Stream, Batch: w.batch(line{block: behind, text: "behind 1"}, line{block: behind, text: "behind 2"}),
				OnTrial: []*batch.Batch{first},
			})
			if out.Err != nil || !lost || !maps.Equal(out.Repeated, c.want) {
				t.Errorf("%v; repeated: %v of the batch on trial, %v of the batch; want %v", out.Err, out.Repeated[suspect], out.Repeated[behind], c.want)
			}
		})
	}
}

// TestDetectedRepeatIsNotCounted checks that a batch whose answer is lost does not count as
// possibly repeated if the service answers the second put that it has the batch.
func TestDetectedRepeatIsNotCounted(t *testing.T) {
	w := newWorld(t, func(call *cwlocal.Call) cwlocal.Fault {
		switch {
		case call.Action != "PutLogEvents":
			return cwlocal.Fault{}
		case call.N == 1:
			return cwlocal.Fault{ResetAfter: true}
		}
		return cwlocal.Fault{Code: "DataAlreadyAcceptedException", Message: "again"}
	}, nil)
	out := w.deliver(deliver.Task{Stream: stream("job"), Batch: w.batch(line{block: &batch.Block{}, text: "a"})})
	if n := len(w.server.Events(group, "job")); out.Err != nil || out.Retries != 1 || len(out.Repeated) > 0 || n != 1 {
		t.Errorf("%+v; %d events arrived, want 1", out, n)
	}
}

// TestLastBatchIsNotLeftOnTrial checks that the last batch is retried until the target accepts
// something.
func TestLastBatchIsNotLeftOnTrial(t *testing.T) {
	w := newWorld(t, fails("PutLogEvents", cwlocal.Fault{Code: "InvalidParameterException", Message: "no"}, 7), nil)
	out := w.deliver(deliver.Task{Stream: stream("job"), Batch: w.batch(line{text: "a"}, line{text: "b"}), Last: true})
	if n := len(w.server.Events(group, "job")); out.Err != nil || out.OnTrial || len(out.Rejected) > 0 || n != 2 {
		t.Errorf("%d of 2 events arrived; %+v", n, out)
	}
}

// TestOldAndExpired delivers a batch of which one event became too old for CloudWatch while it
// waited, and another is too old only for its group. Neither says anything about this machine's
// clock.
func TestOldAndExpired(t *testing.T) {
	w := newWorld(t, func(c *cwlocal.Call) cwlocal.Fault {
		if c.Action == "PutLogEvents" && bytes.Contains(c.Body, []byte("expired")) && !bytes.Contains(c.Body, []byte(`\"at\":`)) {
			one := 1
			return cwlocal.Fault{Rejected: &cwlocal.Rejected{ExpiredEnd: &one}}
		}
		return cwlocal.Fault{}
	}, nil)
	one, two := &batch.Block{}, &batch.Block{Input: 1}
	const fortnight = 14 * 24 * time.Hour
	out := w.deliver(deliver.Task{Stream: stream("job"), Batch: w.batch(
		line{one, fortnight + time.Hour, "old"}, line{two, fortnight - 2*time.Hour, "expired"}, line{nil, fortnight + time.Hour, "without a block"},
	)})
	if out.Err != nil || len(out.Restamped) != 2 || out.Restamped[one] != 1 || out.Restamped[two] != 1 || one.Pending != 1 || two.Pending != 1 {
		t.Errorf("%+v, restamped %v", out, out.Restamped)
	}
	if w.Trouble.Failing("job") || w.Trouble.Cause() != "" || w.said() != "" {
		t.Errorf("trouble was reported: %s\n%s", w.Trouble.Cause(), w.said())
	}
	if n := len(w.server.Events(group, "job")); n != 3 {
		t.Errorf("%d of 3 events arrived", n)
	}
}

// TestTroubleShowsWhileRetrying checks that Trouble shows, while a delivery is still retrying, that
// its stream fails and whether other streams may fare better.
func TestTroubleShowsWhileRetrying(t *testing.T) {
	denied := func(c *cwlocal.Call) cwlocal.Fault {
		if c.Stream == "denied" {
			return cwlocal.Fault{Code: "AccessDeniedException", Message: "denied"}
		}
		return cwlocal.Fault{}
	}
	w := newWorld(t, denied, nil)
	w.Paces.Denied = deliver.Pace{First: time.Hour, Most: time.Hour}
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	done := make(chan deliver.Outcome)
	task := deliver.Task{Stream: stream("denied"), Batch: w.batch(line{text: "a"})}
	go func() { done <- w.Deliver(ctx, task) }()
	await.Receive(t, "Worse reports that the stream fails", w.Trouble.Worse())
	if !w.Trouble.Failing("denied") || w.Trouble.Failing("other") || w.Trouble.Total() || !w.Trouble.Hopeless() {
		t.Error("Trouble should report that this stream fails, and no other")
	}
	if out := w.deliver(deliver.Task{Stream: stream("other"), Batch: w.batch(line{text: "b"})}); out.Err != nil {
		t.Error(out.Err)
	}
	if !w.Trouble.Failing("denied") || w.Trouble.Hopeless() || time.Since(w.Trouble.Progress()) > time.Minute {
		t.Error("Trouble does not keep one stream's success apart from the other's failure")
	}
	cancel(stop)
	if out := await.Receive(t, "the end of the delivery", done); !errors.Is(out.Err, stop) {
		t.Errorf("%+v", out)
	}
}

// TestOneFailureDoesNotCount checks that a single failure of the service does not count against a
// stream, while a second one does until something is accepted.
func TestOneFailureDoesNotCount(t *testing.T) {
	for failures, want := range map[int64]bool{1: false, 2: true} {
		failing := false
		var w *world
		w = newWorld(t, func(c *cwlocal.Call) cwlocal.Fault {
			switch {
			case c.Action != "PutLogEvents":
			case c.N <= failures:
				return localtest.Unavailable()
			default:
				failing = w.Trouble.Failing("job")
			}
			return cwlocal.Fault{}
		}, nil)
		out := w.deliver(deliver.Task{Stream: stream("job"), Batch: w.batch(line{text: "a"})})
		if out.Err != nil || failing != want || w.Trouble.Failing("job") {
			t.Errorf("after %d failures Failing was %t, at the end %t; %+v", failures, failing, w.Trouble.Failing("job"), out)
		}
	}
}
