// Package deliver brings batches to CloudWatch Logs, whatever it takes: it creates what is missing,
// tries again what may pass, finds the event that is refused, and sends again what came too late.
//
// A Deliverer is what all deliveries share. Deliver takes one batch and what is known of its
// stream, both by value or for as long as it runs, and gives back an Outcome: what became of the
// events, and what is known of the stream now. Nothing else is shared with the caller but Trouble,
// which any goroutine may ask while deliveries are under way.
package deliver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/metrics"
)

const (
	// refusedPuts is how many refused puts without an accepted one call the target wrong; it
	// doubles each round, so that in the end every event was asked about.
	refusedPuts = 64
	// putMargin is how far from the bounds of CloudWatch's time an event must be for a put that may
	// take this long.
	putMargin = time.Minute
)

// Options are what a Deliverer works by.
type Options struct {
	Client   *cloudwatch.Client
	Create   bool // create the group and streams where they are missing
	Compress bool // put what is prepared compressed as that, while the service takes it
	Parallel int  // attempts under way at once, over all streams; at least 1
	Log      *zap.Logger
	Calls    *metrics.Calls // counts them; nil: nobody does
}

// Deliverer delivers batches. Make one with New.
type Deliverer struct {
	// Trouble is what keeps batches from being accepted.
	Trouble *Trouble
	// Paces are the pauses between attempts, and Random, which returns numbers in [0, 1), is their
	// jitter. They may be set before the first delivery.
	Paces  Paces
	Random func() float64

	api    *cloudwatch.Client
	create bool
	slots  chan struct{} // an attempt holds one
	calls  *metrics.Calls
	// answered is set once the service has done what a call asked for.
	answered atomic.Bool
	// compresses is cleared for good when a batch was refused compressed and taken plain.
	compresses atomic.Bool
	log        *zap.Logger
}

// New returns a Deliverer with the usual paces.
func New(o Options) *Deliverer {
	d := &Deliverer{
		Trouble: newTrouble(o.Client, o.Log), Paces: Usual, Random: rand.Float64,
		api: o.Client, create: o.Create, slots: make(chan struct{}, o.Parallel), log: o.Log, calls: o.Calls,
	}
	d.compresses.Store(o.Compress)
	return d
}

// Compresses reports whether batches should be compressed when they are prepared.
func (d *Deliverer) Compresses() bool { return d.compresses.Load() }

// Stream is what a delivery knows of a log stream.
type Stream struct {
	Name    string
	Head    []byte // the batch.BodyHead of each request body for it; never written
	Created bool   // it is there, as far as is known
}

// Task is a batch to deliver.
type Task struct {
	Stream Stream
	Batch  *batch.Batch // closed, and not empty
	// OnTrial are batches of the stream, before this one, that were refused as a whole. Whether
	// Batch is accepted tells whether their events or the target are at fault.
	OnTrial []*batch.Batch
	// Last says that no put need follow this one, so that the batch cannot be left on trial.
	Last bool
}

// Outcome is what became of a Task.
type Outcome struct {
	Stream Stream // as it is known now
	Batch  *batch.Batch
	// Err is the context's cause where that ended before every event was accepted or rejected.
	Err error
	// OnTrial says that every event of the batch was refused, and nothing tells yet whether they or
	// the target are at fault. The batch, and those that were on trial before it, are still to be
	// delivered.
	OnTrial bool

	Rejected  []Rejected             // events of the batch and of those on trial, for good
	Puts      int                    // accepted
	Retries   int                    // attempts that came to nothing
	Throttled bool                   // one of those was throttled
	Repeated  map[*batch.Block]int64 // events of the batch and of those on trial that may be there twice, by their block
	Restamped map[*batch.Block]int64 // events sent with another time than their own, by their block
}

// Rejected is an event that CloudWatch refuses when it is put alone, while it takes others.
type Rejected struct {
	Reason error

	batch *batch.Batch
	index int
}

// Block returns the block that the event came from, or nil for one that no block waits for.
func (r Rejected) Block() *batch.Block { return r.batch.Blocks()[r.index] }

// Message returns a copy of the event's message, as it was put last.
func (r Rejected) Message() []byte { return r.batch.Message(r.index) }

// Deliver delivers a batch, and returns when each of its events is accepted or rejected, when the
// batch is left on trial, or when ctx ends. Several deliveries may be under way, at most one for a
// stream. The batches must stay as they are until it returns, and after it until the rejected
// events have been looked at.
func (d *Deliverer) Deliver(ctx context.Context, t Task) Outcome {
	dy := &delivery{Deliverer: d, out: Outcome{Stream: t.Stream, Batch: t.Batch}}
	dy.out.Err = dy.run(ctx, t)
	if dy.out.Err == nil && !dy.out.OnTrial {
		d.Trouble.clear(t.Stream.Name)
	}
	return dy.out
}

// delivery is one Task under way.
type delivery struct {
	*Deliverer
	out Outcome

	refused  []Rejected // when put alone, so far in this round
	accepted int        // puts in this round
	limit    int        // refused events without an accepted put that end a round
	stored   bool       // the latest body may have been stored although an attempt to put it failed
	late     []part     // refused for their time although they were sent with the current one
}

// part is events [from, to) of a batch.
type part struct {
	batch    *batch.Batch
	from, to int
}

func whole(b *batch.Batch) part { return part{b, 0, b.Len()} }

func (p part) len() int { return p.to - p.from }

// errAllRefused ends a round in which the target refused too many events and took none.
var errAllRefused = errors.New("every event is refused")

// run delivers the batch in rounds. A round halves the batch until each refused event is alone;
// once the target has taken some event, those that it refused are at fault. Where it takes none,
// either may be, and the next round asks again later.
func (d *delivery) run(ctx context.Context, t Task) error {
	d.limit = refusedPuts
	suspects, err := d.ask(ctx, eventsOf(t.OnTrial)) // before what came after them
	if err != nil {
		return err
	}
	for slow := d.Paces.Refused.Begin(); ; d.limit *= 2 {
		d.refused, d.accepted = nil, 0
		err := d.put(ctx, whole(t.Batch), false)
		switch {
		case err != nil && !errors.Is(err, errAllRefused):
			return err
		case d.accepted > 0:
			// The target takes other events now. Those that it refuses once more are rejected: when
			// they were refused before, the target may have refused everything.
			d.out.Rejected, err = d.ask(ctx, append(suspects, d.refused...))
			return err
		}
		reason := d.refused[0].Reason
		if err == nil && len(suspects) == 0 && !t.Last {
			d.out.OnTrial = true
			d.reportFailure(reason, putEvents, fmt.Sprintf("CloudWatch refuses all of %d events; the next put to their stream will show whether they or the target are at fault. ", t.Batch.Len()))
			return nil
		}
		d.reportFailure(reason, putEvents, "CloudWatch refuses every event for this stream; none is set aside, and all are retried. ")
		d.out.Retries++
		if err := wait(ctx, slow.NextBackOff()); err != nil {
			return err
		}
		if suspects, err = d.ask(ctx, suspects); err != nil {
			return err
		}
	}
}

// eventsOf returns the events of batches as suspects.
func eventsOf(batches []*batch.Batch) (suspects []Rejected) {
	for _, b := range batches {
		for i := range b.Len() {
			suspects = append(suspects, Rejected{batch: b, index: i})
		}
	}
	return suspects
}

// ask puts suspects alone, in order, and returns those that are refused.
func (d *delivery) ask(ctx context.Context, suspects []Rejected) (refused []Rejected, err error) {
	for _, s := range suspects {
		d.refused = nil
		if err := d.put(ctx, part{s.batch, s.index, s.index + 1}, false); err != nil && !errors.Is(err, errAllRefused) {
			return nil, err
		}
		refused = append(refused, d.refused...)
	}
	return refused, nil
}

// put puts the events of p. What is refused is halved, in order, until each refused event is alone,
// and kept in d.refused. What is refused for its time is sent again with the current time or, where
// that was done already (restamped), kept in d.late.
func (d *delivery) put(ctx context.Context, p part, restamped bool) error {
	now := time.Now().UnixMilli()
	if !restamped && p.batch.RefusedAt(now, putMargin) {
		return d.restamp(ctx, p, func(t int64) bool { return batch.Refused(t, now, putMargin) })
	}
	var packed *batch.Body
	if p == whole(p.batch) && d.Compresses() {
		packed = p.batch.Packed()
	}
	verdict, err := d.send(ctx, p.batch.Body(d.out.Stream.Head, p.from, p.to), packed)
	if d.stored {
		d.noteRepeats(p)
	}
	switch {
	case err == nil:
		d.accepted++
		d.out.Puts++
		return d.resend(ctx, p, verdict, restamped)
	case cloudwatch.Classify(err) != cloudwatch.Refused:
		return err
	case p.len() == 1:
		d.refused = append(d.refused, Rejected{Reason: err, batch: p.batch, index: p.from})
		if d.accepted == 0 && len(d.refused) >= d.limit {
			return errAllRefused
		}
		return nil
	}
	half := p.from + p.len()/2
	if err := d.put(ctx, part{p.batch, p.from, half}, restamped); err != nil {
		return err
	}
	return d.put(ctx, part{p.batch, half, p.to}, restamped)
}

// noteRepeats counts the events of p, which may be stored although an attempt to put them failed.
func (d *delivery) noteRepeats(p part) {
	if d.out.Repeated == nil {
		d.out.Repeated = map[*batch.Block]int64{}
	}
	for _, block := range p.batch.Blocks()[p.from:p.to] {
		if block != nil {
			d.out.Repeated[block]++
		}
	}
}

// resend sends again the events of p, a part that was accepted, that the service took it without.
func (d *delivery) resend(ctx context.Context, p part, verdict cloudwatch.Verdict, restamped bool) error {
	old, ahead := p.from+max(verdict.OldEnd, verdict.ExpiredEnd, 0), p.to
	if verdict.NewStart >= 0 {
		ahead = p.from + verdict.NewStart
	}
	for _, l := range []part{{p.batch, p.from, min(old, p.to)}, {p.batch, max(ahead, old), p.to}} {
		switch {
		case l.len() <= 0:
		case restamped:
			d.late = append(d.late, l)
		default:
			if err := d.restamp(ctx, l, always); err != nil {
				return err
			}
		}
	}
	return nil
}

func always(int64) bool { return true }

// errClock says that CloudWatch refused the current time.
var errClock = errors.New("CloudWatch refuses the time of events of this very minute; check this machine's clock")

// restamp puts the events of p, those whose time refused reports with the current time, until none
// is refused for its time.
func (d *delivery) restamp(ctx context.Context, p part, refused func(int64) bool) error {
	var pool batch.Pool // rare, and not the caller's pool, which belongs to its goroutine
	slow := d.Paces.Refused.Begin()
	before := int64(-1) // the time given in the round before: events that have it are counted
	work := []part{p}
	for round := 1; len(work) > 0; round++ {
		if round > 2 {
			// CloudWatch refused the current time: its clock or ours is off. Nothing is lost by
			// waiting.
			d.reportFailure(errClock, putEvents, "")
			if err := wait(ctx, slow.NextBackOff()); err != nil {
				return err
			}
		}
		now := time.Now().UnixMilli()
		d.late = nil
		for _, l := range work {
			for _, b := range d.copyAt(now, l, refused, before, &pool) {
				if err := d.put(ctx, whole(b), true); err != nil {
					return err
				}
			}
		}
		work, refused, before = d.late, always, now
	}
	return nil
}

// copyAt copies the events of p into batches, those whose time refused reports with the time now.
// It counts these, but for events that have the time before.
func (d *delivery) copyAt(now int64, p part, refused func(int64) bool, before int64, pool *batch.Pool) []*batch.Batch {
	if d.out.Restamped == nil {
		d.out.Restamped = map[*batch.Block]int64{}
	}
	blocks := p.batch.Blocks()
	return p.batch.Restamp(p.from, p.to, now, func(i int, t int64) bool {
		if !refused(t) {
			return false
		}
		if block := blocks[i]; block != nil && t != before {
			d.out.Restamped[block]++
		}
		return true
	}, pool)
}

// reportFailure reports an attempt that came to nothing. prefix goes before the explanation.
func (d *delivery) reportFailure(err error, call action, prefix string) {
	d.Trouble.reportFailure(err, call, d.out.Stream.Name, prefix)
}
