package fleet

// This file is a task: an agent that writes lines, and its shipper.

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/journal"
)

// work describes an agent, which writes a burst of lines and then thinks.
type work struct {
	burst  int              // lines written at once
	pauses [2]time.Duration // between bursts: minimum and maximum
}

// task is one task of a fleet.
type task struct {
	id     string
	begins time.Duration // after the start of the fleet
	ends   time.Duration
	work   work
	flush  time.Duration
	random *rand.Rand
	client *cloudwatch.Client
	folder *journal.Folder

	lines int // written so far
}

// run runs the task until all its lines are delivered.
func (t *task) run(ctx context.Context, start time.Time) error {
	if err := sleep(ctx, time.Until(start.Add(t.begins))); err != nil {
		return err
	}
	j, err := t.folder.NewPipe(t.id, nil, journal.Options{SegmentBytes: 64 << 10})
	if err != nil {
		return err
	}
	wrote := make(chan error, 1)
	go func() { wrote <- t.write(ctx, j, start.Add(t.ends)) }()
	s := shipper.New(shipper.Options{
		Client: t.client, Create: true, FlushInterval: t.flush, GiveUpAfter: 24 * time.Hour, OthersAfter: time.Second, MemoryMax: 32 << 20,
		Origin: shipper.Origin{Version: "fleet", Hostname: "task"},
	})
	in := shipper.Input{Journal: j.Journal, Shape: batch.Shape{Input: t.id, Template: "{jobId}", Hostname: "task"}, Primary: true}
	_, err = s.Run(ctx, []shipper.Input{in}, nil)
	return errors.Join(err, <-wrote)
}

// filler makes lines as long as those of an agent that streams.
var filler = strings.Repeat("x", 120)

// write acts as the agent.
func (t *task) write(ctx context.Context, j *journal.Pipe, end time.Time) error {
	for time.Now().Before(end) {
		var burst []byte
		for range t.work.burst {
			t.lines++
			burst = fmt.Appendf(burst, `{"type":"streamText","timestamp":%d,"jobId":%q,"n":%d,"delta":%q}`+"\n", time.Now().UnixMilli(), t.id, t.lines, filler)
		}
		if _, err := j.Write(burst); err != nil {
			return err
		}
		if err := sleep(ctx, between(t.random, t.work.pauses)); err != nil {
			return err
		}
	}
	return j.End()
}

// between returns a random duration in [bounds[0], bounds[1]].
func between(r *rand.Rand, bounds [2]time.Duration) time.Duration {
	return bounds[0] + time.Duration(r.Int64N(int64(bounds[1]-bounds[0])+1))
}
