package readback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
)

// This file reads streams into the store, and keeps what it learns about the inputs on the way.

// collected is what was read for a query. It belongs to one goroutine.
type collected struct {
	src Source
	q   *Query

	inputs []*input
	index  map[string]int32 // of inputs, by id
	store  *store
	report Report
}

// input is what is known of one input.
type input struct {
	id string

	named bool // some line names the job and run asked for

	// The first line that names the job: its seq (math.MaxInt64: none does) and its own time, ms since 1970.
	firstSeq, time int64
	// Whether lines before it name no job.
	nameless bool

	early string // the stream of its lines before one named a job, or ""; of its open record

	// Of its seals. They count from the input's start, so the highest numbers are the newest.
	sealed     bool
	ended      bool
	lastSeq    int64
	emptyLines int64
}

func newCollected(src Source, q *Query) *collected {
	memory := q.Memory
	if memory <= 0 {
		memory = DefaultMemory
	}
	if q.StreamTemplate == "" {
		q.StreamTemplate = DefaultTemplate
	}
	return &collected{src: src, q: q, index: map[string]int32{}, store: newStore(memory)}
}

// collect reads the streams of the query. It is ErrNothing where they hold nothing of the job.
func (c *collected) collect(ctx context.Context) error {
	names, err := c.streams(ctx)
	if err != nil {
		return err
	}
	if err := c.read(ctx, names); err != nil {
		return err
	}
	if len(c.q.Streams) == 0 && (c.q.Search || !c.found()) {
		if names, err = c.search(ctx); err != nil {
			return err
		}
		if err := c.read(ctx, names); err != nil {
			return err
		}
	}
	if len(c.q.Streams) == 0 {
		if err := c.read(ctx, c.early()); err != nil {
			return err
		}
	}
	c.report.Ended = c.found()
	for _, in := range c.inputs {
		if in.named && !in.ended {
			c.report.Ended = false
		}
	}
	if !c.found() {
		return fmt.Errorf("%w of %s; check the ids and the log group; new events may take seconds to become readable", ErrNothing, c.q)
	}
	return nil
}

// String names whose lines are asked for.
func (q *Query) String() string {
	var of []string
	for _, id := range []struct{ name, value string }{{"job", q.Job}, {"run", q.Run}} {
		if id.value != "" {
			of = append(of, fmt.Sprintf("%s %q", id.name, id.value))
		}
	}
	if len(of) == 0 {
		return fmt.Sprintf("log streams %q", q.Streams)
	}
	return strings.Join(of, ", ")
}

// found reports whether a line of the job was found.
func (c *collected) found() bool {
	return slices.ContainsFunc(c.inputs, func(in *input) bool { return in.named })
}

// early returns the streams where the inputs of the job began before they knew it.
func (c *collected) early() []string {
	var names []string
	for _, in := range c.inputs {
		if in.named && in.early != "" {
			names = append(names, in.early)
		}
	}
	return names
}

// read reads those of the streams that it has not read yet.
func (c *collected) read(ctx context.Context, names []string) error {
	for _, name := range names {
		if slices.Contains(c.report.Streams, name) {
			continue
		}
		err := pages(ctx, c.src, CallError{Action: "GetLogEvents", Stream: name},
			func(token string) ([]cloudwatch.Event, string, bool, error) {
				return c.src.EventsPage(ctx, name, token)
			},
			func(ev cloudwatch.Event) error { return c.take(ctx, ev) })
		if call, ok := errors.AsType[*CallError](err); ok && len(c.q.Streams) == 0 && cloudwatch.Classify(call.Err) == cloudwatch.Missing {
			continue // the template's stream need not exist
		}
		if err != nil {
			return err
		}
		c.report.Streams = append(c.report.Streams, name)
	}
	return nil
}

// take keeps what an event holds, if it is asked for.
func (c *collected) take(ctx context.Context, ev cloudwatch.Event) error {
	got, err := batch.Restore([]byte(ev.Message))
	if err != nil {
		c.report.Foreign++
		return nil
	}
	if !c.q.Stderr && strings.HasSuffix(got.Input, ".err") {
		return nil
	}
	i, ok := c.index[got.Input]
	if !ok {
		i = int32(len(c.inputs))
		c.inputs = append(c.inputs, &input{id: got.Input, firstSeq: math.MaxInt64})
		c.index[got.Input] = i
	}
	in := c.inputs[i]
	if got.Record != "" {
		in.record(&got)
		return nil
	}

	it := item{
		key:       key{input: i, seq: got.Seq, part: int32(got.Part)},
		empty:     got.Empty,
		last:      got.Last,
		noNewline: got.NoNewline,
		nameless:  c.q.Job != "" && got.JobID == "",
	}
	ofRun := c.q.Run == "" || got.RunID == c.q.Run
	switch {
	case it.nameless:
		in.nameless = in.nameless || got.Seq < in.firstSeq
	case c.q.Job != "" && got.JobID != c.q.Job, c.q.Job == "" && !ofRun:
		return nil
	default:
		in.named = in.named || ofRun
		if got.Seq < in.firstSeq {
			in.firstSeq, in.time = got.Seq, ev.Time
			if got.At != 0 {
				in.time = got.At
			}
		}
	}
	if it.muted = !ofRun || c.q.Type != "" && got.Type != c.q.Type; it.muted {
		return c.store.add(ctx, it, nil)
	}
	it.sum = crc32.Checksum(got.Line, castagnoli)
	return c.store.add(ctx, it, got.Line)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// record keeps what a record of the shipper's own says of its input. One that is no JSON, or says nothing of it, changes nothing.
func (in *input) record(got *batch.Restored) {
	var says struct {
		Unattributed string `json:"unattributed"`
		LastSeq      int64  `json:"lastSeq"`
		EmptyLines   int64  `json:"emptyLines"`
		Ended        bool   `json:"ended"`
	}
	if json.Unmarshal(got.Line, &says) != nil {
		return
	}
	switch got.Record {
	case "open":
		if says.Unattributed != "" {
			in.early = says.Unattributed
		}
	case "seal":
		in.sealed = true
		in.lastSeq = max(in.lastSeq, says.LastSeq)
		in.emptyLines = max(in.emptyLines, says.EmptyLines)
		in.ended = in.ended || says.Ended
	}
}

// Retrying: a call that fails is tried again for a minute, then somebody waits who should know.
const (
	firstRetry = 200 * time.Millisecond
	maxRetry   = 10 * time.Second
	retryFor   = time.Minute
)

// pages fetches page after page, the first with the token "", until one says that it is the end, and hands over what is in them. A call that
// fails for what may pass is made again; call says what it is, for the error.
func pages[T any](ctx context.Context, src Source, call CallError, fetch func(token string) (page []T, next string, end bool, err error), use func(T) error) error {
	for token, end := "", false; !end; {
		var page []T
		attempt := func() error {
			p, next, isEnd, err := fetch(token)
			if err == nil {
				page, token, end = p, next, isEnd
				return nil
			}
			call.Err = err // backoff does not give it back when the context ends
			switch cloudwatch.Classify(err) {
			case cloudwatch.Retry, cloudwatch.Throttled, cloudwatch.Again:
				return err
			case cloudwatch.Credentials:
				if src, ok := src.(interface{ InvalidateCredentials() }); ok {
					src.InvalidateCredentials()
				}
				return err
			}
			return backoff.Permanent(err)
		}
		policy := backoff.NewExponentialBackOff(backoff.WithInitialInterval(firstRetry), backoff.WithMaxInterval(maxRetry),
			backoff.WithMultiplier(2), backoff.WithRandomizationFactor(1), backoff.WithMaxElapsedTime(retryFor))
		if backoff.Retry(attempt, backoff.WithContext(policy, ctx)) != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return &call
		}
		for _, one := range page {
			if err := use(one); err != nil {
				return err
			}
		}
	}
	return nil
}
