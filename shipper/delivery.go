package shipper

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
)

// This file brings one batch to CloudWatch, whatever it takes: it creates what is missing, tries
// again what may pass, finds the event that is refused, and sends again what came too late. It
// returns when every event of the batch is accepted or rejected, or its context ends.

const (
	// refusedPuts is how many refused puts without an accepted one call the target wrong; it
	// doubles each round, so that in the end every event was asked about.
	refusedPuts = 64
	// putMargin is how far from the bounds of CloudWatch's time an event must be for a put that may
	// take this long.
	putMargin = time.Minute
)

// delivery is what all deliveries share.
type delivery struct {
	api     *cloudwatch.Client
	create  bool          // create group and stream where they are missing
	slots   chan struct{} // an attempt holds one: bounds the puts under way, over all streams
	trouble *trouble
	paces   paces
	random  func() float64 // in [0, 1), for the pauses
	// answered is set once the service has done what a call asked for.
	answered atomic.Bool
}

// outcome is what became of a batch.
type outcome struct {
	stream *stream
	batch  *batch.Batch
	err    error // the context's, where not every event is accepted or rejected
	lone   bool  // every event of the batch was refused, and nothing tells whether they or the target are at fault; the next put will

	rejected  []refusal // of the batch and of lone ones before it
	puts      int       // accepted
	retries   int       // attempts that came to nothing
	ambiguous bool      // one of them may have been stored all the same
	throttled bool
	restamped map[string]int64 // events sent with another time than their own, by input
}

// refusal is an event that CloudWatch has refused when it was put alone.
type refusal struct {
	batch  *batch.Batch
	index  int
	reason error
}

func (r refusal) message() []byte { return r.batch.Message(r.index) }

// attempt is the delivery of one batch.
type attempt struct {
	*delivery
	stream *stream
	out    outcome

	refused  []refusal // so far in this round
	accepted int       // puts in this round
	limit    int       // refused puts without an accepted one
	late     []late    // refused for their time though they were sent again
}

var errAllRefused = errors.New("every event is refused")

// deliver delivers b, a closed batch of st, after the lone ones of that stream. last: no put need
// follow it, so that it cannot be lone. It owns st's created flag meanwhile.
func (d *delivery) deliver(ctx context.Context, st *stream, b *batch.Batch, lones []*batch.Batch, last bool) outcome {
	a := &attempt{delivery: d, stream: st, out: outcome{stream: st, batch: b}}
	a.out.err = a.deliver(ctx, b, lones, last)
	return a.out
}

func (a *attempt) deliver(ctx context.Context, b *batch.Batch, lones []*batch.Batch, last bool) error {
	var suspects []refusal
	for _, l := range lones {
		for i := range l.Len() {
			suspects = append(suspects, refusal{batch: l, index: i})
		}
	}
	a.limit = refusedPuts
	suspects, err := a.ask(ctx, suspects) // before what came after them
	if err != nil {
		return err
	}
	for slow := a.paces.refused.begin(); ; a.limit *= 2 {
		a.refused, a.accepted = nil, 0
		err := a.settle(ctx, b, 0, b.Len(), false)
		switch {
		case err != nil && !errors.Is(err, errAllRefused):
			return err
		case a.accepted > 0:
			return a.judge(ctx, append(suspects, a.refused...))
		}
		reason := a.refused[0].reason
		if err == nil && len(suspects) == 0 && !last {
			a.out.lone = true
			a.failed(reason, "PutLogEvents", fmt.Sprintf("CloudWatch refuses all of %d events; the next put to their stream will tell whether it is they or the target. ", b.Len()))
			return nil
		}
		a.failed(reason, "PutLogEvents", "CloudWatch refuses every event for this stream; none is rejected, all are tried again. ")
		a.out.retries++
		if err := wait(ctx, slow.NextBackOff()); err != nil {
			return err
		}
		if suspects, err = a.ask(ctx, suspects); err != nil {
			return err
		}
	}
}

// judge rejects those of the suspects that are refused once more, now that the target takes other
// events: when they were refused before, it may have been the target that refused everything.
func (a *attempt) judge(ctx context.Context, suspects []refusal) (err error) {
	a.out.rejected, err = a.ask(ctx, suspects)
	return err
}

// ask puts suspects alone, in order, and returns those that are refused.
func (a *attempt) ask(ctx context.Context, suspects []refusal) (refused []refusal, err error) {
	for _, r := range suspects {
		a.refused = nil
		if err := a.settle(ctx, r.batch, r.index, r.index+1, false); err != nil && !errors.Is(err, errAllRefused) {
			return nil, err
		}
		refused = append(refused, a.refused...)
	}
	return refused, nil
}

// settle puts the events of b from index from up to, without, to. What is refused is halved, in
// order, until each refused event is alone, and kept in a.refused. What is refused for its time is
// sent again or, where that was done already (again), kept in a.late.
func (a *attempt) settle(ctx context.Context, b *batch.Batch, from, to int, again bool) error {
	now := time.Now()
	if !again && b.RefusedAt(now.UnixMilli(), putMargin) {
		return a.restamp(ctx, b, from, to, func(_ int, t int64) bool { return batch.Refused(t, now.UnixMilli(), putMargin) })
	}
	verdict, err := a.put(ctx, b.Body(a.stream.head, from, to))
	if cloudwatch.Classify(err) == cloudwatch.Refused && err != nil {
		if to-from == 1 {
			a.refused = append(a.refused, refusal{b, from, err})
			if a.accepted == 0 && len(a.refused) >= a.limit {
				return errAllRefused
			}
			return nil
		}
		half := from + (to-from)/2
		if err := a.settle(ctx, b, from, half, again); err != nil {
			return err
		}
		return a.settle(ctx, b, half, to, again)
	}
	if err != nil {
		return err
	}
	a.accepted++
	a.out.puts++
	if verdict.Clean() {
		return nil
	}
	old, ahead := from+max(verdict.OldEnd, verdict.ExpiredEnd, 0), to
	if verdict.NewStart >= 0 {
		ahead = from + verdict.NewStart
	}
	for _, l := range []late{{b, from, min(old, to)}, {b, max(ahead, old), to}} {
		switch {
		case l.from >= l.to:
		case again:
			a.late = append(a.late, l)
		default:
			if err := a.restamp(ctx, b, l.from, l.to, all); err != nil {
				return err
			}
		}
	}
	return nil
}

// late is the events of a batch from an index up to, without, another, which CloudWatch refused for
// their time.
type late struct {
	b        *batch.Batch
	from, to int
}

func all(int, int64) bool { return true }

// restamp puts the events of b from index from up to, without, to, those that refused names with
// the time now, until none is refused for its time.
func (a *attempt) restamp(ctx context.Context, b *batch.Batch, from, to int, refused func(int, int64) bool) error {
	if a.out.restamped == nil {
		a.out.restamped = map[string]int64{}
	}
	var pool batch.Pool // rare, and not the loop's pool, which is not ours
	slow := a.paces.refused.begin()
	last := int64(-1) // the time now of the round before: whose time that is was counted
	for round, work := 1, []late{{b, from, to}}; len(work) > 0; round++ {
		if round > 2 {
			// CloudWatch refused the time now: its clock or ours is off. Nothing is lost by
			// waiting.
			a.failed(errClock, "PutLogEvents", "")
			if err := wait(ctx, slow.NextBackOff()); err != nil {
				return err
			}
		}
		now := time.Now().UnixMilli()
		a.late = nil
		for _, l := range work {
			parts := l.b.Restamp(l.from, l.to, now, func(i int, t int64) bool {
				if !refused(i, t) {
					return false
				}
				if r, err := batch.Restore(l.b.Message(i)); err == nil && t != last && r.Record == "" {
					a.out.restamped[r.Input]++
				}
				return true
			}, &pool)
			for _, part := range parts {
				if err := a.settle(ctx, part, 0, part.Len(), true); err != nil {
					return err
				}
			}
		}
		work, refused, last = a.late, all, now
	}
	return nil
}

var errClock = errors.New("CloudWatch refuses events of this very minute for their time; check this machine's clock")

// failed says that an attempt came to nothing.
func (a *attempt) failed(err error, action, prefix string) {
	if a.stream.failures.Add(1); cloudwatch.Classify(err) != cloudwatch.Retry {
		a.stream.failures.Add(1) // no accident
	}
	a.trouble.failed(err, action, a.stream.name, prefix)
}
