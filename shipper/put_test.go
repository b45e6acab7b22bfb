package shipper

import (
	"bytes"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/cwlocal/localtest"
)

// TestWhatIsDoneStaysDone: only the call that failed is made again.
func TestWhatIsDoneStaysDone(t *testing.T) {
	fails := func(action string, fault cwlocal.Fault, times int64) func(*cwlocal.Call) cwlocal.Fault {
		return func(c *cwlocal.Call) cwlocal.Fault {
			if c.Action == action && c.N <= times {
				return fault
			}
			return cwlocal.Fault{}
		}
	}
	for name, c := range map[string]struct {
		fault func(*cwlocal.Call) cwlocal.Fault
		calls map[string]int64
		said  string
	}{
		"nothing fails": {nil, map[string]int64{"CreateLogStream": 2, "CreateLogGroup": 1, "PutRetentionPolicy": 1, "PutLogEvents": 1}, ""},
		"the stream's creation fails": {fails("CreateLogStream", localtest.Unavailable(), 3),
			map[string]int64{"CreateLogStream": 5, "CreateLogGroup": 1, "PutRetentionPolicy": 1, "PutLogEvents": 1}, ""},
		"the group's creation fails": {fails("CreateLogGroup", localtest.Unavailable(), 3),
			map[string]int64{"CreateLogStream": 2, "CreateLogGroup": 4, "PutRetentionPolicy": 1, "PutLogEvents": 1}, ""},
		"the put fails": {fails("PutLogEvents", localtest.Throttle(), 3),
			map[string]int64{"CreateLogStream": 2, "CreateLogGroup": 1, "PutRetentionPolicy": 1, "PutLogEvents": 4}, ""},
		"the retention fails": {fails("PutRetentionPolicy", localtest.Unavailable(), 3),
			map[string]int64{"CreateLogStream": 2, "CreateLogGroup": 1, "PutRetentionPolicy": 4, "PutLogEvents": 1}, ""},
		"the retention keeps failing": {fails("PutRetentionPolicy", localtest.Throttle(), 100),
			map[string]int64{"CreateLogStream": 2, "CreateLogGroup": 1, "PutRetentionPolicy": 5, "PutLogEvents": 1}, "aws logs put-retention-policy"},
		"the retention is not allowed": {fails("PutRetentionPolicy", cwlocal.Fault{Code: "AccessDeniedException"}, 100),
			map[string]int64{"CreateLogStream": 2, "CreateLogGroup": 1, "PutRetentionPolicy": 1, "PutLogEvents": 1}, "aws logs put-retention-policy"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.fault)
			logs := w.said()
			w.retained(7)
			data := numbered("job", 10)
			w.ship(w.pipe("aaaaaaaa", bytes.NewReader(data), nil))
			if got := w.lines("aaaaaaaa"); !bytes.Equal(got, data) {
				t.Errorf("%d bytes came back of %d", len(got), len(data))
			}
			if calls := w.server.Stats().Calls; !maps.Equal(calls, c.calls) {
				t.Errorf("calls %v, want %v", calls, c.calls)
			}
			warned := false
			for _, l := range logs.All() {
				warned = warned || strings.Contains(l.Message, "retention")
			}
			if warned != (c.said != "") {
				t.Errorf("it said %v", logs.All())
			}
		})
	}
}

// retained gives the world a client that sets a retention.
func (w *world) retained(days int) {
	w.t.Helper()
	client, err := cloudwatch.New(w.t.Context(), cloudwatch.Options{
		Group: w.group, Region: "eu-west-1", Endpoint: w.url, AttemptTimeout: 2 * time.Second, RetentionDays: days, Logger: w.log,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.client.Close()
	w.client = client
}

// TestWhatSomebodyElseCreates: a creation that is not allowed is no hindrance once somebody else
// has made it needless.
func TestWhatSomebodyElseCreates(t *testing.T) {
	for _, denied := range []string{"CreateLogStream", "CreateLogGroup"} {
		t.Run(denied, func(t *testing.T) {
			var w *world
			var another atomic.Bool // is calling
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
			})
			data := numbered("job", 10)
			w.ship(w.pipe("aaaaaaaa", bytes.NewReader(data), nil))
			if got := w.lines("aaaaaaaa"); !bytes.Equal(got, data) {
				t.Errorf("%d bytes came back of %d", len(got), len(data))
			}
		})
	}
}
