package deliver_test

import (
	"maps"
	"strings"
	"sync/atomic"
	"testing"

	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/cwlocal/localtest"
	"perstack-shipper/shipper/deliver"
)

// TestOnlyTheFailedCallIsRepeated checks that only the failed call is repeated.
func TestOnlyTheFailedCallIsRepeated(t *testing.T) {
	for name, c := range map[string]struct {
		fault   func(*cwlocal.Call) cwlocal.Fault
		calls   map[string]int64
		retries int
		warned  bool // of how to set the retention by hand
	}{
		"nothing fails": {nil, map[string]int64{"CreateLogStream": 2, "CreateLogGroup": 1, "PutRetentionPolicy": 1, "PutLogEvents": 1}, 0, false},
		"the stream's creation fails": {fails("CreateLogStream", localtest.Unavailable(), 3),
			map[string]int64{"CreateLogStream": 5, "CreateLogGroup": 1, "PutRetentionPolicy": 1, "PutLogEvents": 1}, 3, false},
		"the group's creation fails": {fails("CreateLogGroup", localtest.Unavailable(), 3),
			map[string]int64{"CreateLogStream": 2, "CreateLogGroup": 4, "PutRetentionPolicy": 1, "PutLogEvents": 1}, 3, false},
		"the put fails": {fails("PutLogEvents", localtest.Throttle(), 3),
			map[string]int64{"CreateLogStream": 2, "CreateLogGroup": 1, "PutRetentionPolicy": 1, "PutLogEvents": 4}, 3, false},
		"the retention fails": {fails("PutRetentionPolicy", localtest.Unavailable(), 3),
			map[string]int64{"CreateLogStream": 2, "CreateLogGroup": 1, "PutRetentionPolicy": 4, "PutLogEvents": 1}, 3, false},
		"the retention keeps failing": {fails("PutRetentionPolicy", localtest.Throttle(), 100),
			map[string]int64{"CreateLogStream": 2, "CreateLogGroup": 1, "PutRetentionPolicy": 5, "PutLogEvents": 1}, 5, true},
		"the retention is not allowed": {fails("PutRetentionPolicy", cwlocal.Fault{Code: "AccessDeniedException"}, 100),
			map[string]int64{"CreateLogStream": 2, "CreateLogGroup": 1, "PutRetentionPolicy": 1, "PutLogEvents": 1}, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.fault, func(o *cloudwatch.Options) { o.RetentionDays = 7 })
			out := w.deliver(deliver.Task{Stream: stream("job"), Batch: w.batch(line{text: "a"}, line{text: "b"})})
			if out.Err != nil || out.Puts != 1 || out.Retries != c.retries || !out.Stream.Created {
				t.Errorf("%+v", out)
			}
			if n := len(w.server.Events(group, "job")); n != 2 {
				t.Errorf("%d of 2 events arrived", n)
			}
			if calls := w.server.Stats().Calls; !maps.Equal(calls, c.calls) {
				t.Errorf("calls %v, want %v", calls, c.calls)
			}
			if warned := strings.Contains(w.said(), "retention"); warned != c.warned {
				t.Errorf("the log is\n%s", w.said())
			}
		})
	}
}

// TestCreatedByAnotherClient checks that a forbidden creation is no obstacle once somebody else
// has created the stream or group.
func TestCreatedByAnotherClient(t *testing.T) {
	for _, denied := range []string{"CreateLogStream", "CreateLogGroup"} {
		t.Run(denied, func(t *testing.T) {
			var w *world
			var another atomic.Bool // the other client is calling
			w = newWorld(t, func(c *cwlocal.Call) cwlocal.Fault {
				if c.Action != denied || another.Load() {
					return cwlocal.Fault{}
				}
				if c.N == 3 {
					another.Store(true)
					defer another.Store(false)
					if _, err := w.client.CreateGroup(t.Context()); err != nil {
						t.Error(err)
					}
					if err := w.client.CreateStream(t.Context(), "job"); err != nil && denied == "CreateLogStream" {
						t.Error(err)
					}
				}
				return cwlocal.Fault{Code: "AccessDeniedException", Message: "denied"}
			}, nil)
			out := w.deliver(deliver.Task{Stream: stream("job"), Batch: w.batch(line{text: "a"})})
			if n := len(w.server.Events(group, "job")); out.Err != nil || n != 1 {
				t.Errorf("%+v; %d of 1 events arrived", out, n)
			}
		})
	}
}

// TestStreamIsReturned checks that an outcome returns what the delivery learned about its stream,
// and that the next delivery uses it.
func TestStreamIsReturned(t *testing.T) {
	w := newWorld(t, nil, nil)
	st := stream("job")
	put := func() {
		t.Helper()
		out := w.deliver(deliver.Task{Stream: st, Batch: w.batch(line{text: "a"})})
		if out.Err != nil || !out.Stream.Created {
			t.Fatalf("%+v", out)
		}
		st = out.Stream
	}
	created := func() int64 { return w.server.Stats().Calls["CreateLogStream"] }
	put()
	before := created()
	put()
	if n := created(); n != before {
		t.Errorf("an existing stream was created again by %d calls", n-before)
	}
	w.server.DeleteStream(group, "job")
	put()
	if n := created(); n != before+1 {
		t.Errorf("a deleted stream was created again by %d calls, want 1", n-before)
	}
}
