// Package readback prints the original lines of a job from CloudWatch Logs, byte for byte and in order: the way back from events to
// what the agent wrote.
//
// It finds the streams that hold the job (find.go), reads them page by page (collect.go), sorts what they hold by input, seq and part
// with bounded memory (sort.go, cursor.go), and prints it (print.go).
package readback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"perstack-shipper/shipper/cloudwatch"
)

// Source reads a log group a page at a time, one attempt a call. It is what cloudwatch.Client does; see there for the pages. Errors are
// told apart by cloudwatch.Classify. Where a Source also has InvalidateCredentials(), that is called after an error of class
// Credentials.
type Source interface {
	EventsPage(ctx context.Context, stream, token string) (events []cloudwatch.Event, next string, end bool, err error)
	StreamsPage(ctx context.Context, prefix, token string) (names []string, next string, err error)
	FilterPage(ctx context.Context, pattern, streamPrefix, token string) (events []cloudwatch.Event, next string, err error)
}

// DefaultTemplate names the stream of a job where Query.StreamTemplate is empty.
const DefaultTemplate = "{jobId}"

// DefaultMemory is Query.Memory where that is 0.
const DefaultMemory = 4 << 20

// Query says which lines. Job, Run and Type are compared with what each event says itself, whatever stream it is in: names of streams
// can collide. Empty ones are not asked for. A line that names no job at all is of the job that its input named last before it, or, when
// there was none, first.
type Query struct {
	Job, Run, Type string

	// Stderr also prints what a child wrote to stderr where that is an input of its own.
	Stderr bool

	// StreamTemplate is what the lines were shipped with: a stream's name with {jobId}, {runId}, {expertKey} or {hostname} in it.
	// "": DefaultTemplate.
	StreamTemplate string

	// Streams are read instead of those that the template gives. One that does not exist is an error.
	Streams []string

	// Search looks for the job in the streams of the whole group, not only when the template's hold nothing of it. An input that
	// has 100 streams open puts the jobs that come after into its first.
	Search bool

	// Wait is how long to read again, from the start, until each input's seal says that no more can come: new events may take seconds
	// to become readable. 0: what is readable now is printed.
	Wait time.Duration

	// Memory is about how many bytes of lines are held before they are sorted on disk, in a folder of their own below the temporary
	// folder. 0: DefaultMemory. A page (1 MiB of messages) and the buffers of the merge (2 MiB) come on top.
	Memory int
}

// Report says what was read and printed.
type Report struct {
	Lines      int64 // printed, without empty ones
	EmptyLines int64 // printed
	Bytes      int64 // printed
	Joined     int64 // lines among Lines that were in parts
	Repeats    int64 // events left out because another had the same input, seq and part
	Foreign    int64 // events left out because something else than perstack-shipper wrote them
	Inputs     int   // that lines were printed of
	Streams    []string
	Ended      bool // each of these inputs has a seal that says that no more can come
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

// Lines prints the lines that q asks for to w, each with its newline: one input after the other by the time of its first line, each in the
// order of seq. Without Run and Type empty lines are printed too, and the last line of an input that had no newline has none, unless
// another input's follow.
//
// The Report is right also when there is an error. A line that is not whole is left out, and the error, once everything else is
// printed, is a *DamageError. It is ErrNothing when there is nothing of the job, a *CallError when CloudWatch could not be read, and
// else of w or of the temporary folder.
func Lines(ctx context.Context, src Source, q Query, w io.Writer) (Report, error) {
	if q.Job == "" && q.Run == "" && len(q.Streams) == 0 {
		return Report{}, errors.New("no job, run or stream is given: say whose lines to read")
	}
	c, err := collectEnded(ctx, src, &q)
	defer c.store.close()
	if err != nil {
		return c.report, err
	}
	return c.report, c.print(ctx, w)
}

// Reading again for Query.Wait: soon at first, for most events are readable within a second or two.
const (
	firstWait = 500 * time.Millisecond
	maxWait   = 5 * time.Second
)

// collectEnded reads until the inputs have ended, or Wait is over. The caller closes the store of what it returns.
func collectEnded(ctx context.Context, src Source, q *Query) (*collected, error) {
	deadline := time.Now().Add(q.Wait)
	for pause := firstWait; ; pause = min(2*pause, maxWait) {
		c := newCollected(src, q)
		err := c.collect(ctx)
		left := time.Until(deadline)
		if c.report.Ended || left <= 0 || err != nil && !errors.Is(err, ErrNothing) {
			return c, err
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
