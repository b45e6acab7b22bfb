package readback

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strings"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
)

// collected holds what was read for a query: the events, in its store, and what they say about
// their inputs. It belongs to one goroutine.
type collected struct {
	src Source
	q   *Query

	inputs  []*Input
	index   map[string]int32 // of inputs, by id
	wanted  map[string]bool  // the ids of q.Inputs
	records int32            // number of records read so far
	absent  []string         // streams that do not exist
	store   *store
	details details // scratch

	template batch.Template // q.StreamTemplate, parsed

	report Report

	// Follow sets these fields to skip what it has read before: events before from (ms since
	// 1970), and the lines of each input up to the seq in after.
	from  int64
	after map[string]int64
}

// newCollected returns a collected that has read nothing yet.
func newCollected(src Source, q *Query) (*collected, error) {
	memory := q.Memory
	if memory <= 0 {
		memory = DefaultMemory
	}
	if q.StreamTemplate == "" {
		q.StreamTemplate = DefaultTemplate
	}
	c := &collected{src: src, q: q, index: map[string]int32{}, wanted: map[string]bool{}, store: newStore(memory)}
	for _, id := range q.Inputs {
		c.wanted[id] = true
	}
	var err error
	if c.template, err = batch.ParseTemplate(q.StreamTemplate); err != nil {
		return c, fmt.Errorf("the template of the log stream %w", err)
	}
	return c, nil
}

// collect reads the streams of the query. It returns [ErrNothing] if they hold nothing of the job.
func (c *collected) collect(ctx context.Context) error {
	if c.q.Records {
		return c.lookUp(ctx)
	}
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
	if len(c.q.Streams) == 0 || c.q.Whole {
		if err := c.read(ctx, c.early()); err != nil {
			return err
		}
	}
	// A stream may hold a newer seal, which names more streams.
	for c.q.Whole {
		before := len(c.report.Streams) + len(c.absent)
		if err := c.read(ctx, c.sealed()); err != nil {
			return err
		}
		if len(c.report.Streams)+len(c.absent) == before {
			break
		}
	}
	c.report.Ended = c.found()
	for _, in := range c.inputs {
		if !in.ours() {
			continue
		}
		c.conclude(in)
		if in.Seal == nil || !in.Seal.Ended {
			c.report.Ended = false
		}
	}
	if !c.found() {
		return fmt.Errorf("%w for %s; check the ids and the log group; new events may take seconds to become readable", ErrNothing, c.q)
	}
	return nil
}

// lookUp reads only records.
func (c *collected) lookUp(ctx context.Context) error {
	of := c.q.selection()
	err := pages(ctx, c.src, CallError{Action: "FilterLogEvents"}, func(token string) ([]cloudwatch.Event, string, bool, error) {
		events, next, err := c.src.FilterPage(ctx, recordPattern, "", of, token)
		return events, next, next == "", err
	}, func(ev cloudwatch.Event) error {
		if len(c.q.Streams) > 0 && !slices.Contains(c.q.Streams, ev.Stream) {
			return nil
		}
		return c.take(ctx, ev, c.stream(ev.Stream))
	})
	if err != nil {
		return err
	}
	c.report.Ended = true
	for _, in := range c.inputs {
		in.named = true
		c.report.Ended = c.report.Ended && in.Seal != nil && in.Seal.Ended
	}
	if len(c.inputs) == 0 {
		return fmt.Errorf("%w: perstack-shipper wrote no records to this log group in this time", ErrNothing)
	}
	return nil
}

// recordPattern is a filter pattern that matches the shipper's own records. An agent's line can
// match it too; take drops such a line.
const recordPattern = `{ $.type = "shipper.seal" || $.type = "shipper.open" }`

// conclude sets Proved and Absent of an input once all its events have been read.
func (c *collected) conclude(in *Input) {
	seal := in.Seal
	if seal == nil || len(seal.Streams) == 0 || !c.q.Since.IsZero() || !c.q.Until.IsZero() {
		return
	}
	in.Proved = true
	for _, name := range seal.Streams {
		switch {
		case slices.Contains(c.absent, name):
			in.Absent = append(in.Absent, name)
		case !slices.Contains(c.report.Streams, name):
			in.Proved = false
		}
	}
}

func (q *Query) selection() cloudwatch.Selection {
	of := cloudwatch.Selection{Unmask: q.Unmask}
	if !q.Since.IsZero() {
		of.From = q.Since.UnixMilli()
	}
	if !q.Until.IsZero() {
		of.To = q.Until.UnixMilli()
	}
	return of
}

// String names the job, run or streams that the query selects.
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

// found reports whether any input of the job was read.
func (c *collected) found() bool { return slices.ContainsFunc(c.inputs, (*Input).ours) }

// early returns the streams that hold the lines that the job's inputs had before they named a job.
func (c *collected) early() []string {
	var names []string
	for _, in := range c.inputs {
		if in.ours() && in.early != "" {
			names = append(names, in.early)
		}
	}
	return names
}

// sealed returns the streams that the newest seals of the job's inputs name.
func (c *collected) sealed() []string {
	var names []string
	for _, in := range c.inputs {
		if in.ours() && in.Seal != nil {
			names = append(names, in.Seal.Streams...)
		}
	}
	return names
}

// read reads the streams that have not been read yet.
func (c *collected) read(ctx context.Context, names []string) error {
	of := c.q.selection()
	of.From = max(of.From, c.from)
	for _, name := range names {
		if slices.Contains(c.report.Streams, name) || slices.Contains(c.absent, name) {
			continue
		}
		stream := int32(len(c.report.Streams))
		c.report.Streams = append(c.report.Streams, name)
		err := pages(ctx, c.src, CallError{Action: "GetLogEvents", Stream: name},
			func(token string) ([]cloudwatch.Event, string, bool, error) {
				return c.src.EventsPage(ctx, name, of, token)
			},
			func(ev cloudwatch.Event) error { return c.take(ctx, ev, stream) })
		if err == nil {
			continue
		}
		c.report.Streams = c.report.Streams[:stream]
		call, ok := errors.AsType[*CallError](err)
		if !ok || cloudwatch.Classify(call.Err) != cloudwatch.Missing || len(c.q.Streams) > 0 && !c.q.Whole {
			return err
		}
		// The template's stream need not exist, and one that a seal names may have been deleted.
		c.absent = append(c.absent, name)
	}
	return nil
}

// stream returns the index of a stream in c.report.Streams, and adds it if necessary.
func (c *collected) stream(name string) int32 {
	if i := slices.Index(c.report.Streams, name); i >= 0 {
		return int32(i)
	}
	c.report.Streams = append(c.report.Streams, name)
	return int32(len(c.report.Streams) - 1)
}

// take stores an event of a stream if the query selects it.
func (c *collected) take(ctx context.Context, ev cloudwatch.Event, stream int32) error {
	got, err := batch.Restore([]byte(ev.Message))
	if err != nil {
		c.report.Foreign++
		return nil
	}
	switch {
	case got.Record == "check": // the check command writes it to try the permission
		return nil
	case !c.q.Stderr && strings.HasSuffix(got.Input, ".err"), len(c.wanted) > 0 && !c.wanted[got.Input]:
		return nil
	}
	i := c.input(got.Input)
	in := c.inputs[i]
	in.Arrived = max(in.Arrived, ev.Ingested)
	if name := c.report.Streams[stream]; !slices.Contains(in.Streams, name) {
		in.Streams = append(in.Streams, name)
	}
	c.details = details{
		stream: stream, time: ev.Time, arrived: ev.Ingested, redacted: got.Redacted,
		typ: got.Type, jobID: got.JobID, runID: got.RunID, source: got.Source, record: got.Record,
	}
	if got.At != 0 {
		c.details.time = got.At
	}
	if got.Record != "" {
		c.record(in, &got)
		c.records++
		return c.store.add(ctx, item{key: key{input: i, part: c.records}}, &c.details, got.Line)
	}
	if c.q.Records || got.Seq <= c.after[got.Input] {
		return nil // a line that matched recordPattern, or one that was handed over before
	}
	in.newest = max(in.newest, ev.Time)
	return c.line(ctx, i, &got)
}

// input returns the index of an input, and adds the input if necessary.
func (c *collected) input(id string) int32 {
	i, ok := c.index[id]
	if !ok {
		i = int32(len(c.inputs))
		c.inputs = append(c.inputs, &Input{ID: id, firstSeq: math.MaxInt64})
		c.index[id] = i
	}
	return i
}

// line stores a line, or a part of one, and notes whose it is. It stores a line that the query does
// not select without its bytes.
func (c *collected) line(ctx context.Context, i int32, got *batch.Restored) error {
	in := c.inputs[i]
	if in.Source == "" {
		in.Source = got.Source
	}
	it := item{
		key:       key{input: i, seq: got.Seq, part: int32(got.Part)},
		empty:     got.Empty,
		last:      got.Last,
		noNewline: got.NoNewline,
		text:      got.Text,
		lossy:     got.Lossy,
		excluded:  got.Excluded,
		nameless:  c.q.Job != "" && got.JobID == "",
	}
	ofRun := c.q.Run == "" || got.RunID == c.q.Run
	switch {
	case it.nameless:
		in.nameless = in.nameless || got.Seq < in.firstSeq
	case c.q.Job != "" && got.JobID != c.q.Job, c.q.Job == "" && !ofRun:
		it.other, in.others = true, true
	default:
		in.named = in.named || ofRun
		if got.Seq < in.firstSeq {
			in.firstSeq, in.Time = got.Seq, c.details.time
		}
	}
	it.muted = !c.q.Whole && (it.other || !ofRun || !c.q.wants(got.Type))
	if it.muted {
		return c.store.add(ctx, it, nil, nil)
	}
	it.sum = crc32.Checksum(got.Line, castagnoli)
	return c.store.add(ctx, it, &c.details, got.Line)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// record updates an input from one of the shipper's own records. It ignores the contents of one
// that does not parse.
func (c *collected) record(in *Input, got *batch.Restored) {
	if in.firstSeq == math.MaxInt64 && (in.Time == 0 || c.details.time < in.Time) {
		in.Time = c.details.time
	}
	switch got.Record {
	case "open":
		var says Open
		if !parse(got.Line, &says) {
			return
		}
		if says.Unattributed != "" {
			in.early = says.Unattributed
		}
		if in.Open == nil || says.Timestamp < in.Open.Timestamp {
			in.Open = &says
		}
		if in.Source == "" {
			in.Source = says.Source
		}
	case "seal":
		var says Seal
		if !parse(got.Line, &says) {
			in.Strange = strange(got.Line)
			return
		}
		if says.newer(in.Seal) {
			in.Seal, in.Strange = &says, strange(got.Line)
		}
		in.emptyLines = max(in.emptyLines, says.EmptyLines)
	}
	// Even if all lines of the job are gone, a record may still say that there were some.
	own := c.ownStream()
	switch {
	case len(c.q.Inputs) > 0, own != "" && c.report.Streams[c.details.stream] == own:
		in.mentioned = true
	case in.Seal != nil && own != "" && slices.Contains(c.absent, own) && slices.Contains(in.Seal.Streams, own):
		in.named = true
	}
}
