// Package readback reads the inputs of a job back from CloudWatch Logs: the original lines, byte
// for byte and in order, and the shipper's own records. A [View] decides what to make of them.
//
// Reading takes four steps: find the streams that hold the job, fetch their pages, sort the events
// by input, seq and part in bounded memory, and hand the result to the View.
//
//	readback.go                   Query and Read
//	find.go                       the streams that may hold a job
//	collect.go, details.go        from the streams into the store
//	pages.go                      the pages of a call, with its retries
//	sort.go, itemreader.go        the store, which sorts on disk when memory is full
//	walk.go, known.go, damage.go  from the store to the View, and why lines are missing
//	view.go                       View and its arguments: inputs, records, lines, faults
//	lines.go                      Lines, the View that prints
//	follow.go                     Follow, which reads while the job is still being shipped
//	alive.go                      Alive, whether a stream still gets events
package readback

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"perstack-shipper/shipper/cloudwatch"
)

// Source reads a log group one page at a time, with one attempt per call. [cloudwatch.Client] is
// the real one and documents the pages. Callers classify the errors with [cloudwatch.Classify]. If
// a Source also has a method InvalidateCredentials(), it is called after an error of class
// Credentials.
type Source interface {
	EventsPage(ctx context.Context, stream string, of cloudwatch.Selection, token string) (events []cloudwatch.Event, next string, end bool, err error)
	StreamsPage(ctx context.Context, prefix, token string) (names []string, next string, err error)
	FilterPage(ctx context.Context, pattern, streamPrefix string, of cloudwatch.Selection, token string) (events []cloudwatch.Event, next string, err error)
}

// DefaultTemplate is the stream template of a Query that has none.
const DefaultTemplate = "{jobId}"

// DefaultMemory is the memory of a Query whose Memory is 0.
const DefaultMemory = 4 << 20

// Query selects lines. Job, Run and Types are compared with what each event itself says, whatever
// stream it is in, because names of streams can collide. An empty field selects everything. A line
// that names no job belongs to the job that its input named last before it, or to the input's first
// job if no line before it names one.
type Query struct {
	Job, Run string

	// Types are the event types to select, each a [path.Match] pattern such as stopRun*. An invalid
	// pattern matches nothing.
	Types []string

	// Inputs are the ids of the inputs to read, whatever job their lines name. If empty, all inputs
	// of the job are read.
	Inputs []string

	// Whole selects every line of each input of the job. All streams that the input's newest seal
	// names are read, and the lines of other jobs are handed over with the rest.
	Whole bool

	// Records selects records only, of all inputs that the other fields do not exclude. They are
	// found with a filter pattern, so no lines are fetched. Job, Run and Types have no effect.
	Records bool

	// Since and Until bound the time of events to [Since, Until). A zero time is no bound. A line
	// outside the bounds is not a [Fault].
	Since, Until time.Time

	// Unmask reads the original text where a data protection policy of the group masks it.
	Unmask bool

	// Stderr also reads the inputs that hold a child's stderr.
	Stderr bool

	// StreamTemplate is the template that the lines were shipped with: a stream's name with
	// {jobId}, {runId}, {expertKey} or {hostname} in it. "" means [DefaultTemplate].
	StreamTemplate string

	// Streams are read instead of the template's streams. One that does not exist is an error.
	Streams []string

	// Search looks for the job in all streams of the group, even when the template's streams hold
	// some of it. An input with 100 open streams puts later jobs into its first stream.
	Search bool

	// Wait is how long to read again, from the start, until every input has its final seal and none
	// of the lines that the seal counts is missing. New events may take seconds to become readable.
	// With 0 the job is read once.
	Wait time.Duration

	// Memory is roughly how many bytes of lines are held before they are sorted on disk, in a
	// folder below the temporary folder. 0 means [DefaultMemory]. A page (1 MiB of messages) and
	// the buffers of the merge (2 MiB) come on top.
	Memory int
}

// Report counts what was read and handed over.
type Report struct {
	Lines      int64 // handed over
	EmptyLines int64 // printed by Lines
	Bytes      int64 // printed by Lines
	Joined     int64 // lines among Lines that were shipped in parts
	Repeats    int64 // events dropped because another had the same input, seq and part
	Foreign    int64 // events dropped because perstack-shipper did not write them
	Missing    int64 // lines that a seal counts but of which no event exists
	Rejected   int64 // lines that CloudWatch refused when they were shipped
	Inputs     int   // inputs of which lines were handed over
	Streams    []string
	Ended      bool // every input of the job has its final seal
}

// wants reports whether the query selects events of a type.
func (q *Query) wants(typ string) bool {
	return len(q.Types) == 0 || slices.ContainsFunc(q.Types, func(pattern string) bool {
		matches, err := path.Match(pattern, typ)
		return err == nil && matches
	})
}

// ErrNothing reports that the log group holds no event of the job or run, of any type.
var ErrNothing = errors.New("nothing found")

// CallError is a call to the [Source] that failed for good: its error is permanent, or the retries
// have run out.
type CallError struct {
	Action string // GetLogEvents, DescribeLogStreams or FilterLogEvents
	Stream string // "" if the call concerns the group
	Err    error
}

func (e *CallError) Error() string {
	if e.Stream == "" {
		return fmt.Sprintf("%s: %v", e.Action, e.Err)
	}
	return fmt.Sprintf("%s of log stream %q: %v", e.Action, e.Stream, e.Err)
}

func (e *CallError) Unwrap() error { return e.Err }

// Read reads what q selects and hands it to view.
//
// The Report is valid even if there is an error. The error is [ErrNothing] if the group holds
// nothing of the job, a *[CallError] if CloudWatch could not be read, or a *[DamageError] if some
// lines are missing or altered; Read returns that one after handing over all the others. Any other
// error comes from view or the temporary folder.
func Read(ctx context.Context, src Source, q Query, view View) (Report, error) {
	if q.Job == "" && q.Run == "" && len(q.Streams) == 0 && !q.Records {
		return Report{}, errors.New("no job, run or stream is given; name one to read")
	}
	c, err := collectEnded(ctx, src, &q)
	defer c.store.close()
	if err != nil {
		return c.report, err
	}
	return c.report, c.walk(ctx, view)
}

// With Query.Wait the pauses between readings grow from firstWait to maxWait. They are short at
// first because most events become readable within a second or two.
const (
	firstWait = 500 * time.Millisecond
	maxWait   = 5 * time.Second
)

// collectEnded reads until the inputs have ended or q.Wait is over. The caller closes the store of
// the result.
func collectEnded(ctx context.Context, src Source, q *Query) (*collected, error) {
	deadline := time.Now().Add(q.Wait)
	for pause := firstWait; ; pause = min(2*pause, maxWait) {
		c, err := newCollected(src, q)
		if err != nil {
			return c, err
		}
		err = c.collect(ctx)
		left := time.Until(deadline)
		if left <= 0 || err != nil && !errors.Is(err, ErrNothing) {
			return c, err
		}
		if c.report.Ended {
			if whole, err := c.whole(ctx); whole || err != nil {
				return c, err
			}
		}
		c.store.close()
		if err := sleep(ctx, min(pause, left)); err != nil {
			return c, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
