package shipper

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
)

// This file brings one batch to CloudWatch, whatever it takes: it creates what is missing, tries again what may pass, finds the event
// that is refused, and sends again what came too late. It returns when every event of the batch is accepted or rejected, or its context ends.

const (
	// Waiting between attempts: exponential with full jitter.
	retryFirst, retryMost = 200 * time.Millisecond, 20 * time.Second
	// Changes of permissions take time to arrive, and asking does not hasten them.
	deniedFirst, deniedMost = 5 * time.Second, 30 * time.Second
	// A target that refuses everything is somebody's to mend.
	refusedFirst, refusedMost = 15 * time.Second, 5 * time.Minute
	// refusedPuts is how many refused puts without an accepted one call the target wrong; it doubles each round, so that in the end every event was asked
	// about.
	refusedPuts = 64
	// putMargin is how far from the bounds of CloudWatch's time an event must be for a put that may take this long.
	putMargin = time.Minute
)

// delivery is what all deliveries share.
type delivery struct {
	api     *cloudwatch.Client
	create  bool          // create group and stream where they are missing
	slots   chan struct{} // an attempt holds one: bounds the puts under way, over all streams
	trouble *trouble
}

// outcome is what became of a batch.
type outcome struct {
	stream *stream
	batch  *batch.Batch
	err    error // the context's, where not every event is accepted or rejected
	lone   bool  // the batch's only event was refused, and nothing tells whether it or the target is at fault: the next put will
	reason error // why, where lone

	rejected  []rejection // of the batch and of lone ones before it
	puts      int         // accepted
	retries   int         // attempts that came to nothing
	ambiguous bool        // one of them may have been stored all the same
	throttled bool
	restamped map[string]int64 // events sent with another time than their own, by input
}

// rejection is an event that CloudWatch refuses while it takes its neighbours.
type rejection struct {
	message []byte
	reason  error
}

// lone is a batch of one event that was refused, waiting for a neighbour's fate.
type lone struct {
	batch  *batch.Batch
	reason error
}

// attempt is the delivery of one batch.
type attempt struct {
	*delivery
	stream *stream
	out    outcome

	refused  []rejection // so far in this round
	accepted int         // puts in this round
	limit    int         // refused puts without an accepted one
}

var errAllRefused = errors.New("every event is refused")

// deliver delivers b, a closed batch of st, after the lone ones of that stream. It owns st's created flag meanwhile.
func (d *delivery) deliver(ctx context.Context, st *stream, b *batch.Batch, lones []lone) outcome {
	a := &attempt{delivery: d, stream: st, out: outcome{stream: st, batch: b}}
	slow := newBackoff(refusedFirst, refusedMost)
	for a.limit = refusedPuts; ; a.limit *= 2 {
		a.refused, a.accepted = nil, 0
		err := a.settle(ctx, b, 0, b.Len(), 0)
		switch {
		case err != nil && !errors.Is(err, errAllRefused):
			a.out.err = err
			return a.out
		case a.accepted > 0:
			// The target takes events: those refused are themselves at fault.
			for _, l := range lones {
				a.out.rejected = append(a.out.rejected, rejection{l.batch.Message(0), l.reason})
			}
			a.out.rejected = append(a.out.rejected, a.refused...)
			return a.out
		case b.Len() == 1 && len(lones) == 0:
			a.out.lone, a.out.reason = true, a.refused[0].reason
			return a.out
		}
		reason := a.refused[0].reason
		d.trouble.failed(reason, "PutLogEvents", st.name, "CloudWatch refuses every event for this stream; none is rejected, all are tried again. ")
		a.out.retries++
		if err := wait(ctx, slow.NextBackOff()); err != nil {
			a.out.err = err
			return a.out
		}
		if lones, err = a.again(ctx, lones); err != nil {
			a.out.err = err
			return a.out
		}
	}
}

// again tries the lone events anew, in order, and returns those still refused.
func (a *attempt) again(ctx context.Context, lones []lone) (still []lone, err error) {
	for i, l := range lones {
		a.refused, a.accepted = nil, 0
		if err := a.settle(ctx, l.batch, 0, 1, 0); err != nil && !errors.Is(err, errAllRefused) {
			return append(still, lones[i:]...), err
		}
		if a.accepted == 0 {
			still = append(still, l)
		}
	}
	return still, nil
}

// settle puts the events of b from index from up to, without, to. What is refused is halved, in order, until each refused event is alone, and
// kept in a.refused. again counts how often these events were sent for their time already.
func (a *attempt) settle(ctx context.Context, b *batch.Batch, from, to, again int) error {
	now := time.Now()
	if again == 0 && b.RefusedAt(now.UnixMilli(), putMargin) {
		return a.restamp(ctx, b, from, to, again, func(_ int, t int64) bool { return batch.Refused(t, now.UnixMilli(), putMargin) })
	}
	verdict, err := a.put(ctx, b.Body(a.stream.head, from, to), to-from)
	if cloudwatch.Classify(err) == cloudwatch.Refused && err != nil {
		if to-from == 1 {
			a.refused = append(a.refused, rejection{b.Message(from), err})
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
	all := func(int, int64) bool { return true }
	if err := a.restamp(ctx, b, from, min(old, to), again+1, all); err != nil {
		return err
	}
	return a.restamp(ctx, b, max(ahead, old), to, again+1, all)
}

// restamp puts the events of b from index from up to, without, to, those that refused names with the time now.
func (a *attempt) restamp(ctx context.Context, b *batch.Batch, from, to, again int, refused func(int, int64) bool) error {
	if from >= to {
		return nil
	}
	if again > 1 {
		// CloudWatch refused the time now: its clock or ours is off. Nothing is lost by waiting.
		a.trouble.failed(errClock, "PutLogEvents", a.stream.name, "")
		if err := wait(ctx, newBackoff(refusedFirst, refusedMost).NextBackOff()); err != nil {
			return err
		}
	}
	if a.out.restamped == nil {
		a.out.restamped = map[string]int64{}
	}
	now := time.Now().UnixMilli()
	count := func(i int, t int64) bool {
		if !refused(i, t) {
			return false
		}
		if r, err := batch.Restore(b.Message(i)); err == nil && again <= 1 {
			a.out.restamped[r.Input]++
		}
		return true
	}
	var pool batch.Pool // rare, and not the loop's pool, which is not ours
	for _, part := range b.Restamp(from, to, now, count, &pool) {
		if err := a.settle(ctx, part, 0, part.Len(), max(again, 1)); err != nil {
			return err
		}
	}
	return nil
}

var errClock = errors.New("CloudWatch refuses events of this very minute for their time; check this machine's clock")

// put puts one body of so many events until CloudWatch accepts or refuses it.
func (a *attempt) put(ctx context.Context, body *batch.Body, events int) (cloudwatch.Verdict, error) {
	quick, denied := newBackoff(retryFirst, retryMost), newBackoff(deniedFirst, deniedMost)
	for created := 0; ; {
		action := "PutLogEvents"
		var verdict cloudwatch.Verdict
		var err error
		if a.create && !a.stream.created {
			action, err = a.createStream(ctx)
		}
		if err == nil {
			action = "PutLogEvents"
			verdict, err = a.attemptPut(ctx, body)
		}
		class := cloudwatch.Classify(err)
		switch {
		case err == nil, class == cloudwatch.Accepted:
			a.stream.created = true
			a.trouble.accepted()
			if err != nil {
				verdict = cloudwatch.Verdict{OldEnd: -1, ExpiredEnd: -1, NewStart: -1}
			}
			return verdict, nil
		case class == cloudwatch.Stopped || ctx.Err() != nil:
			return verdict, context.Cause(ctx)
		case class == cloudwatch.Refused && action == "PutLogEvents":
			return verdict, err
		}

		a.out.retries++
		if action == "PutLogEvents" && cloudwatch.Ambiguous(err) {
			a.out.ambiguous = true
		}
		pause := time.Duration(0)
		switch class {
		case cloudwatch.Again:
			if created++; created > 3 {
				pause = quick.NextBackOff()
			}
		case cloudwatch.Missing:
			// Deleted under way, or created a moment ago and not there yet everywhere.
			a.stream.created = false
			if created++; created > 1 {
				a.trouble.failed(err, action, a.stream.name, "")
				pause = quick.NextBackOff()
			}
		case cloudwatch.Denied:
			a.trouble.failed(err, action, a.stream.name, "")
			pause = denied.NextBackOff()
		case cloudwatch.Credentials:
			a.api.InvalidateCredentials()
			a.trouble.failed(err, action, a.stream.name, "")
			pause = quick.NextBackOff()
		case cloudwatch.Throttled:
			a.out.throttled = true
			a.trouble.failed(err, action, a.stream.name, "")
			pause = quick.NextBackOff()
		default:
			a.trouble.failed(err, action, a.stream.name, "")
			pause = quick.NextBackOff()
		}
		if err := wait(ctx, pause); err != nil {
			return verdict, err
		}
	}
}

func (a *attempt) attemptPut(ctx context.Context, body *batch.Body) (cloudwatch.Verdict, error) {
	if err := a.slot(ctx); err != nil {
		return cloudwatch.Verdict{}, err
	}
	defer a.free()
	return a.api.Put(ctx, a.stream.name, body)
}

// createStream creates the stream and, where that says so, the group. It returns the action that failed.
func (a *attempt) createStream(ctx context.Context) (action string, err error) {
	if err := a.slot(ctx); err != nil {
		return "CreateLogStream", err
	}
	defer a.free()
	err = a.api.CreateStream(ctx, a.stream.name)
	if err != nil && cloudwatch.Classify(err) == cloudwatch.Missing {
		if err := a.api.CreateGroup(ctx); err != nil {
			return "CreateLogGroup", err
		}
		err = a.api.CreateStream(ctx, a.stream.name)
	}
	a.stream.created = err == nil
	return "CreateLogStream", err
}

func (a *attempt) slot(ctx context.Context) error {
	select {
	case a.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (a *attempt) free() { <-a.slots }

// newBackoff waits exponentially longer with full jitter: anything from nothing to most.
func newBackoff(first, most time.Duration) *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(first/2), // the jitter is around this, up to its double
		backoff.WithMaxInterval(most/2),
		backoff.WithRandomizationFactor(1),
		backoff.WithMultiplier(2),
		backoff.WithMaxElapsedTime(0), // no end while the process lives
	)
}

// wait returns after d, or with the context's cause when that ends before.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
