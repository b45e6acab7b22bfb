// Package readback reads the inputs of a job back from CloudWatch Logs: the original lines, byte
// for byte and in order, and the shipper's own records. What is made of them is for a View to say.
//
// It finds the streams that hold the job, reads them page by page, sorts what they hold by input,
// seq and part with bounded memory, and hands it to the View.
//
//	readback.go                   Query and Read
//	find.go                       the streams that may hold a job
//	collect.go, details.go        from streams into the store
//	sort.go, itemreader.go        the store: sorted on disk what memory cannot hold
//	walk.go, known.go, damage.go  from the store to the View; why a line is missing
//	view.go                       View, and what it is given: inputs, records, lines, faults
//	lines.go                      Lines: the View that prints
//	follow.go                     Follow: read while the job is still being shipped
//	alive.go                      Alive: whether a stream still gets events
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

// Source reads a log group a page at a time, one attempt a call. It is what cloudwatch.Client does;
// see there for the pages. Errors are told apart by cloudwatch.Classify. Where a Source also has
// InvalidateCredentials(), that is called after an error of class Credentials.
type Source interface {
	EventsPage(ctx context.Context, stream string, of cloudwatch.Selection, token string) (events []cloudwatch.Event, next string, end bool, err error)
	StreamsPage(ctx context.Context, prefix, token string) (names []string, next string, err error)
	FilterPage(ctx context.Context, pattern, streamPrefix string, of cloudwatch.Selection, token string) (events []cloudwatch.Event, next string, err error)
}

// DefaultTemplate names the stream of a job where Query.StreamTemplate is empty.
const DefaultTemplate = "{jobId}"

// DefaultMemory is Query.Memory where that is 0.
const DefaultMemory = 4 << 20

// Query says which lines. Job, Run and Types are compared with what each event says itself,
// whatever stream it is in: names of streams can collide. Empty ones are not asked for. A line that
// names no job at all is of the job that its input named last before it, or, when there was none,
// first.
type Query struct {
	Job, Run string

	// Types are the types of the events that are asked for, each a pattern as path.Match has it,
	// such as stopRun*. An invalid pattern matches nothing.
	Types []string

	// Inputs are the ids of the inputs that are asked for, whatever job their lines name; empty:
	// all of the job.
	Inputs []string

	// Whole asks for all of each input of the job: all streams that its newest seal names are read,
	// and the lines of other jobs are handed over, too.
	Whole bool

	// Records asks for records alone, of all inputs that the other fields do not exclude. They are
	// looked up by a filter pattern, so that no events are fetched. Job, Run and Types are of no
	// effect.
	Records bool

	// Since and Until bound the time of events: Since ≤ time < Until. Zero: no bound. What lies
	// outside is no Fault.
	Since, Until time.Time

	// Unmask asks for the originals where a data protection policy of the group masks them.
	Unmask bool

	// Stderr also reads what a child wrote to stderr where that is an input of its own.
	Stderr bool

	// StreamTemplate is what the lines were shipped with: a stream's name with {jobId}, {runId},
	// {expertKey} or {hostname} in it. "": DefaultTemplate.
	StreamTemplate string

	// Streams are read instead of those that the template gives. One that does not exist is an
	// error.
	Streams []string

	// Search looks for the job in the streams of the whole group, not only when the template's hold
	// nothing of it. An input that has 100 streams open puts the jobs that come after into its
	// first.
	Search bool

	// Wait is how long to read again, from the start, until each input's seal says that no more can
	// come, and nothing that it counts is missing: new events may take seconds to become readable.
	// 0: what is readable now is handed over.
	Wait time.Duration

	// Memory is about how many bytes of lines are held before they are sorted on disk, in a folder
	// of their own below the temporary folder. 0: DefaultMemory. A page (1 MiB of messages) and the
	// buffers of the merge (2 MiB) come on top.
	Memory int
}

// Report says what was read and handed over.
type Report struct {
	Lines      int64 // handed over
	EmptyLines int64 // printed by Lines
	Bytes      int64 // printed by Lines
	Joined     int64 // lines among Lines that were in parts
	Repeats    int64 // events left out because another had the same input, seq and part
	Foreign    int64 // events left out because something else than perstack-shipper wrote them
	Missing    int64 // lines that are not there, nor their parts, though a seal counts them
	Rejected   int64 // lines that are not there because CloudWatch refused them when they were shipped
	Inputs     int   // that lines were handed over of
	Streams    []string
	Ended      bool // each of these inputs has a seal that says that no more can come
}

// wants reports whether events of a type are asked for.
func (q *Query) wants(typ string) bool {
	return len(q.Types) == 0 || slices.ContainsFunc(q.Types, func(pattern string) bool {
		matches, err := path.Match(pattern, typ)
		return err == nil && matches
	})
}

// ErrNothing says that no event of the job or run was found, of whatever type.
var ErrNothing = errors.New("nothing was found")

// CallError is the error of a call to the Source that was not worth trying again, or not any more.
type CallError struct {
	Action string // of the API: GetLogEvents, DescribeLogStreams or FilterLogEvents
	Stream string // "" where it concerns the group
	Err    error
}

func (e *CallError) Error() string {
	if e.Stream == "" {
		return fmt.Sprintf("%s: %v", e.Action, e.Err)
	}
	return fmt.Sprintf("%s of log stream %q: %v", e.Action, e.Stream, e.Err)
}

func (e *CallError) Unwrap() error { return e.Err }

// Read reads what q asks for, and hands it to view.
//
// The Report is right also when there is an error. That is ErrNothing when there is nothing of the
// job, a *CallError when CloudWatch could not be read, *DamageError, once everything is handed
// over, when some of it is missing or not what it was, and else of view or of the temporary folder.
func Read(ctx context.Context, src Source, q Query, view View) (Report, error) {
	if q.Job == "" && q.Run == "" && len(q.Streams) == 0 && !q.Records {
		return Report{}, errors.New("no job, run or stream is given: say whose lines to read")
	}
	c, err := collectEnded(ctx, src, &q)
	defer c.store.close()
	if err != nil {
		return c.report, err
	}
	return c.report, c.walk(ctx, view)
}

// Reading again for Query.Wait: soon at first, for most events are readable within a second or two.
const (
	firstWait = 500 * time.Millisecond
	maxWait   = 5 * time.Second
)

// collectEnded reads until the inputs have ended, or Wait is over. The caller closes the store of
// what it returns.
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
