// Package deliver delivers batches to CloudWatch Logs, whatever it takes: it creates missing groups
// and streams, retries what may pass, finds the event that is refused, and resends events that came
// too late.
//
// A [Deliverer] is shared by all deliveries. [Deliverer.Deliver] takes one batch and what is known
// of its stream, and returns an [Outcome]: what became of the events, and what is known of the
// stream now. Besides these values, the caller shares only [Trouble], which any goroutine may query
// while deliveries are under way.
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
	// refusedPuts is how many refused puts without an accepted one make the target suspect. It
	// doubles each round, so that every event is tried alone in the end.
	refusedPuts = 64
	// putMargin is how far an event's time must be from the bounds that CloudWatch accepts, for a
	// put that may take this long.
	putMargin = time.Minute
)

// Options configure a [Deliverer].
type Options struct {
	Client   *cloudwatch.Client
	Create   bool // create the group and streams if they are missing
	Compress bool // put compressed bodies, as long as the service accepts them
	Parallel int  // concurrent attempts over all streams; at least 1
	Log      *zap.Logger
	Calls    *metrics.Calls // counts the calls; nil: not counted
}

// Deliverer delivers batches. Use [New] to make one.
type Deliverer struct {
	// Trouble knows what keeps batches from being accepted.
	Trouble *Trouble
	// Paces are the pauses between attempts. Random returns numbers in [0, 1) for their jitter.
	// Both may be set before the first delivery.
	Paces  Paces
	Random func() float64

	api    *cloudwatch.Client
	create bool
	slots  chan struct{} // each attempt holds one
	calls  *metrics.Calls
	// answered is set once a call has succeeded.
	answered atomic.Bool
	// compresses is cleared for good once a batch was refused compressed and accepted plain.
	compresses atomic.Bool
	log        *zap.Logger
}

// New returns a Deliverer with the paces [Usual].
func New(o Options) *Deliverer {
	d := &Deliverer{
		Trouble: newTrouble(o.Client, o.Log), Paces: Usual, Random: rand.Float64,
		api: o.Client, create: o.Create, slots: make(chan struct{}, o.Parallel), log: o.Log, calls: o.Calls,
	}
	d.compresses.Store(o.Compress)
	return d
}

// Compresses reports whether to compress batches when they are prepared.
func (d *Deliverer) Compresses() bool { return d.compresses.Load() }

// Stream is what is known of a log stream.
type Stream struct {
	Name    string
	Head    []byte // the [batch.BodyHead] of each request body for it; read-only
	Created bool   // it exists, as far as is known
}

// Task is a batch to deliver.
type Task struct {
	Stream Stream
	Batch  *batch.Batch // closed, and not empty
	// OnTrial holds earlier batches of the stream that were refused as a whole. Whether Batch is
	// accepted shows whether their events or the target are at fault.
	OnTrial []*batch.Batch
	// Last says that no other put may come after this one, which could decide a trial. So the batch
	// is not left on trial.
	Last bool
}

// Outcome is what became of a Task.
type Outcome struct {
	Stream Stream // what is known of it now
	Batch  *batch.Batch
	// Err is the context's cause if the context ended before every event was accepted or rejected.
	Err error
	// OnTrial says that every event of the batch was refused, and it is not yet known whether the
	// events or the target are at fault. The batch and those on trial before it must still be
	// delivered.
	OnTrial bool

	Rejected  []Rejected             // events, also of those on trial, that are refused for good
	Puts      int                    // accepted
	Retries   int                    // failed attempts
	Throttled bool                   // one of them was throttled
	Repeated  map[*batch.Block]int64 // events, also of those on trial, that may be stored twice
	Restamped map[*batch.Block]int64 // events sent with a time other than their own, by block
}

// Rejected is an event that CloudWatch refuses when it is put alone, although it accepts others.
type Rejected struct {
	Reason error

	batch *batch.Batch
	index int
}

// Block returns the block that the event came from, or nil for an event that no block waits for.
func (r Rejected) Block() *batch.Block { return r.batch.Blocks()[r.index] }

// Message returns a copy of the event's message as last put.
func (r Rejected) Message() []byte { return r.batch.Message(r.index) }

// Deliver delivers a batch. It returns when every event is accepted or rejected, when the batch is
// left on trial, or when ctx ends. Several deliveries may run at once, but only one per stream. The
// caller must not change the batches until Deliver has returned and the rejected events have been
// examined.
func (d *Deliverer) Deliver(ctx context.Context, t Task) Outcome {
	dy := &delivery{Deliverer: d, out: Outcome{Stream: t.Stream, Batch: t.Batch}}
	dy.out.Err = dy.run(ctx, t)
	if dy.out.Err != nil { // the batch is sent again as a whole, with the part that was accepted
		for _, p := range dy.stored {
			dy.noteRepeats(p)
		}
	}
	if dy.out.Err == nil && !dy.out.OnTrial {
		d.Trouble.clear(t.Stream.Name)
	}
	return dy.out
}

// delivery is a Task under way.
type delivery struct {
	*Deliverer
	out Outcome

	refused  []Rejected // events refused when put alone, in this round
	accepted int        // puts accepted in this round
	limit    int        // number of refused events without an accepted put that ends a round
	late     []part     // refused for their time although sent with the current time

	maybeStored bool   // an attempt that failed may have stored the latest body
	stored      []part // accepted events that are not counted as possible repeats
}

// part is events [from, to) of a batch.
type part struct {
	batch    *batch.Batch
	from, to int
}

func whole(b *batch.Batch) part { return part{b, 0, b.Len()} }

func (p part) len() int { return p.to - p.from }

// errAllRefused ends a round in which the target refused too many events and accepted none.
var errAllRefused = errors.New("every event is refused")

// run delivers the batch in rounds. A round halves the batch until each refused event is alone.
// Once the target accepts any event, the refused ones are at fault. If it accepts none, either may
// be at fault, and a later round tries again.
func (d *delivery) run(ctx context.Context, t Task) error {
	d.limit = refusedPuts
	suspects, err := d.ask(ctx, eventsOf(t.OnTrial)) // before the batch, which came later
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
			// The target accepts other events now, so the events that it refuses again are
			// rejected. The first refusal did not count, because the target may have refused
			// everything then.
			d.out.Rejected, err = d.ask(ctx, append(suspects, d.refused...))
			return err
		}
		reason := d.refused[0].Reason
		if err == nil && len(suspects) == 0 && !t.Last {
			d.out.OnTrial = true
			d.reportFailure(reason, putEvents, fmt.Sprintf("CloudWatch refuses all %d events of a batch; the next put to the stream will show whether the events or the target are at fault. ", t.Batch.Len()))
			return nil
		}
		d.reportFailure(reason, putEvents, "CloudWatch refuses every event for this stream; all are kept and retried. ")
		d.out.Retries++
		if err := wait(ctx, slow.NextBackOff()); err != nil {
			return err
		}
		if suspects, err = d.ask(ctx, suspects); err != nil {
			return err
		}
	}
}

// eventsOf returns all events of batches as suspects.
func eventsOf(batches []*batch.Batch) (suspects []Rejected) {
	for _, b := range batches {
		for i := range b.Len() {
			suspects = append(suspects, Rejected{batch: b, index: i})
		}
	}
	return suspects
}

// ask puts each suspect alone, in order, and returns those that are refused.
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

// put puts the events of p. It halves a refused part, in order, until each refused event is alone,
// and adds those to d.refused. It resends events that are refused for their time with the current
// time, or adds them to d.late if that was already done (restamped).
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
	if d.maybeStored {
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

// noteRepeats counts the events of p as possible repeats. They are stored, or a failed attempt may
// have stored them, and they are sent again.
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

// resend resends those events of p, an accepted part, that the service left out.
func (d *delivery) resend(ctx context.Context, p part, verdict cloudwatch.Verdict, restamped bool) error {
	old, ahead := p.from+max(verdict.OldEnd, verdict.ExpiredEnd, 0), p.to
	if verdict.NewStart >= 0 {
		ahead = p.from + verdict.NewStart
	}
	if kept := (part{p.batch, min(old, p.to), max(ahead, min(old, p.to))}); kept.len() > 0 && !d.maybeStored {
		d.stored = append(d.stored, kept)
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

// errClock is the error for events that CloudWatch refused although they had the current time.
var errClock = errors.New("CloudWatch refuses events that have the current time; check this machine's clock")

// restamp puts the events of p until none is refused for its time. Events whose time refused
// reports get the current time.
func (d *delivery) restamp(ctx context.Context, p part, refused func(int64) bool) error {
	var pool batch.Pool // not the caller's pool, which belongs to its goroutine; this is rare
	slow := d.Paces.Refused.Begin()
	// before is the time given in the previous round. Events that have it are already counted.
	before := int64(-1)
	work := []part{p}
	for round := 1; len(work) > 0; round++ {
		if round > 2 {
			// CloudWatch refused the current time, so its clock or ours is off. Waiting loses
			// nothing.
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

// copyAt copies the events of p into batches, and gives the time now to those whose time refused
// reports. It counts them, except events with the time before, which are already counted.
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

// reportFailure reports a failed attempt. prefix precedes the explanation.
func (d *delivery) reportFailure(err error, call action, prefix string) {
	d.Trouble.reportFailure(err, call, d.out.Stream.Name, prefix)
}
