package shipper

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
)

// The calls that bring one request body to its stream: the put, and those that create what it
// needs.

// action is a call of the API by its name.
type action string

const (
	createStream action = "CreateLogStream"
	createGroup  action = "CreateLogGroup"
	setRetention action = "PutRetentionPolicy"
	putEvents    action = "PutLogEvents"
)

// retentionTries is how often setting the retention of a new group is tried: events must not wait
// for it for long.
const retentionTries = 5

// putting is one body on its way. Each call is an attempt of its own: what is done stays done, and
// only the call that failed is made again.
type putting struct {
	*attempt
	body *batch.Body
	next action

	chance, steady, denied backoff.BackOff

	ownGroup  bool           // this has created it, so its retention is for us to set
	groupMade bool           // a call to create the group has succeeded, so it should be there
	absent    map[action]int // how often each call did not find what it needs
	retention int            // tries to set it
}

// put puts one body until CloudWatch accepts or refuses it.
func (a *attempt) put(ctx context.Context, body *batch.Body) (cloudwatch.Verdict, error) {
	p := &putting{
		attempt: a, body: body, next: putEvents,
		chance: &sprinting{sprint: a.paces.chance, random: a.random, answered: &a.answered},
		steady: a.paces.steady.begin(), denied: a.paces.denied.begin(),
		absent: map[action]int{},
	}
	if a.create && !a.stream.created {
		p.next = createStream
	}
	for {
		verdict, err := p.call(ctx)
		class := cloudwatch.Classify(err)
		switch {
		case class == cloudwatch.Accepted && p.next != putEvents:
			p.progress()
			p.created()
			continue
		case class == cloudwatch.Accepted:
			p.progress()
			if err != nil { // it has the batch from an earlier call
				verdict = cloudwatch.Verdict{OldEnd: -1, ExpiredEnd: -1, NewStart: -1}
			}
			a.stream.created = true
			a.stream.failures.Store(0)
			if verdict.Clean() { // else events of it are sent again, and may be refused again
				a.trouble.accepted()
			}
			return verdict, nil
		case class == cloudwatch.Stopped || ctx.Err() != nil:
			return verdict, context.Cause(ctx)
		case class == cloudwatch.Refused && p.next == putEvents:
			return verdict, err
		}
		if err := wait(ctx, p.failed(err, class)); err != nil {
			return verdict, err
		}
	}
}

// call makes the next call, when there is a slot for it.
func (p *putting) call(ctx context.Context) (verdict cloudwatch.Verdict, err error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return verdict, context.Cause(ctx)
	}
	switch p.next {
	case createStream:
		err = p.api.CreateStream(ctx, p.stream.name)
	case createGroup:
		p.ownGroup, err = p.api.CreateGroup(ctx)
	case setRetention:
		err = p.api.SetRetention(ctx)
	default:
		verdict, err = p.api.Put(ctx, p.stream.name, p.body)
	}
	return verdict, err
}

// progress notes that the service has done what was asked, or said what must be done first:
// failures before that were chance.
func (p *putting) progress() {
	p.chance.Reset()
	p.answered.Store(true)
}

// created chooses the call after one that has created something.
func (p *putting) created() {
	switch p.next {
	case createStream:
		p.stream.created = true
		p.next = putEvents
	case createGroup:
		p.groupMade = true
		p.next = createStream
		if p.ownGroup && p.api.RetentionDays() > 0 {
			p.next = setRetention
		}
	default:
		p.next = createStream
	}
}

// failed chooses the call after one that came to nothing, and says how long to wait before it.
func (p *putting) failed(err error, class cloudwatch.Class) (pause time.Duration) {
	call := p.next
	if call == putEvents && cloudwatch.Ambiguous(err) {
		p.out.ambiguous = true
	}
	switch class {
	case cloudwatch.Missing:
		return p.missing(err)
	case cloudwatch.Again:
		p.out.retries++
		if p.absent[call]++; p.absent[call] > 3 {
			pause = p.steady.NextBackOff()
		}
		return pause
	case cloudwatch.Retry:
		pause = p.chance.NextBackOff()
	case cloudwatch.Denied:
		pause = p.denied.NextBackOff()
	case cloudwatch.Credentials:
		p.api.InvalidateCredentials()
		pause = p.steady.NextBackOff()
	case cloudwatch.Throttled:
		p.out.throttled = true
		pause = p.steady.NextBackOff()
	default: // a creation is refused
		pause = p.steady.NextBackOff()
	}
	p.out.retries++
	if call == setRetention {
		return p.retentionFailed(err, class, pause)
	}
	p.attempt.failed(err, string(call), "")
	if class == cloudwatch.Denied || class == cloudwatch.Refused {
		// Somebody may have created it meanwhile, which the call that is not allowed would never
		// tell.
		switch call {
		case createStream:
			p.next = putEvents
		case createGroup:
			p.next = createStream
		}
	}
	return pause
}

// missing chooses the call after one that did not find the stream or the group, and says how long
// to wait before it. It is trouble only where that was thought to be there: it was deleted, or was
// created a moment ago and is not there yet everywhere.
func (p *putting) missing(err error) (pause time.Duration) {
	p.progress()
	call, expected := p.next, !p.create
	switch {
	case !p.create:
	case call == putEvents:
		expected, p.stream.created = p.stream.created, false
		p.next = createStream
	case call == createStream:
		expected, p.groupMade = p.groupMade, false
		p.next = createGroup
	default:
		p.next = createStream // the group has gone before its retention was set
	}
	if expected || call == putEvents {
		p.out.retries++
	}
	if p.absent[call]++; p.absent[call] > 1 {
		if expected {
			p.attempt.failed(err, string(call), "")
		}
		pause = p.steady.NextBackOff()
	}
	return pause
}

// retentionFailed tries again what may pass, and goes on without after a few times: the group keeps
// events for too long then, and none is lost.
func (p *putting) retentionFailed(err error, class cloudwatch.Class, pause time.Duration) time.Duration {
	p.retention++
	passes := class == cloudwatch.Retry || class == cloudwatch.Throttled || class == cloudwatch.Credentials
	if passes && p.retention < retentionTries {
		return pause
	}
	p.api.WarnOfRetention(err)
	p.next = createStream
	return 0
}
