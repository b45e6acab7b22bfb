package deliver_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/deliver"
	"perstack-shipper/shipper/testkit"
)

func TestMain(m *testing.M) {
	testkit.Isolate()
	goleak.VerifyTestMain(m)
}

// hasty has pauses of milliseconds.
var hasty = deliver.Paces{
	Chance: deliver.Sprint{
		First: time.Millisecond, Most: 10 * time.Millisecond, Fresh: 8, Known: 8, Long: 10 * time.Millisecond, Longest: 20 * time.Millisecond,
	},
	Steady:  deliver.Pace{First: 4 * time.Millisecond, Most: 40 * time.Millisecond},
	Denied:  deliver.Pace{First: 4 * time.Millisecond, Most: 40 * time.Millisecond},
	Refused: deliver.Pace{First: 4 * time.Millisecond, Most: 40 * time.Millisecond},
}

const group = "/perstack/test"

// world is an endpoint and a Deliverer for it.
type world struct {
	*deliver.Deliverer
	t      *testing.T
	server *cwlocal.Server
	client *cloudwatch.Client
	logs   *observer.ObservedLogs
	pool   batch.Pool
}

func newWorld(t *testing.T, intercept func(*cwlocal.Call) cwlocal.Fault, change func(*cloudwatch.Options)) *world {
	t.Helper()
	all := testkit.New(t, group, testkit.Options{Options: cwlocal.Options{Intercept: intercept}})
	core, logs := observer.New(zap.InfoLevel)
	o := cloudwatch.Options{Group: group, Region: "eu-west-1", Endpoint: all.URL, AttemptTimeout: 10 * time.Second, Logger: zap.New(core)}
	if change != nil {
		change(&o)
	}
	client, err := cloudwatch.New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	d := deliver.New(deliver.Options{Client: client, Create: true, Compress: true, Parallel: 8, Log: o.Logger})
	d.Paces = hasty
	return &world{Deliverer: d, t: t, server: all.Server, client: client, logs: logs}
}

func stream(name string) deliver.Stream {
	return deliver.Stream{Name: name, Head: batch.BodyHead(group, name)}
}

// line is an event to put into a batch.
type line struct {
	block *batch.Block
	age   time.Duration
	text  string
}

// batch returns a closed batch of lines, numbered from 1.
func (w *world) batch(lines ...line) *batch.Batch {
	w.t.Helper()
	b := batch.New(&w.pool)
	now := time.Now()
	for i, l := range lines {
		var ev batch.Event
		batch.Record(&ev, fmt.Appendf(nil, `{"shipper":{"input":"aaaaaaaa","seq":%d},"text":%q}`, i+1, l.text), now.Add(-l.age).UnixMilli(), 0)
		if !b.Add(&ev, l.block) {
			w.t.Fatal("an event does not fit")
		}
	}
	b.Close()
	return b
}

// deliver delivers a task within 20 s.
func (w *world) deliver(t deliver.Task) deliver.Outcome {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return w.Deliver(ctx, t)
}

// said returns the log's messages.
func (w *world) said() string {
	var all []string
	for _, l := range w.logs.All() {
		all = append(all, l.Message)
	}
	return strings.Join(all, "\n")
}

// fails injects a fault into the first calls of an action.
func fails(action string, fault cwlocal.Fault, times int64) func(*cwlocal.Call) cwlocal.Fault {
	return func(c *cwlocal.Call) cwlocal.Fault {
		if c.Action == action && c.N <= times {
			return fault
		}
		return cwlocal.Fault{}
	}
}
