package deliver

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
)

// The attempts that bring one request body to its stream: the put, and the calls that create what
// it needs.

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

// sending is one body on its way. Each attempt makes one call: what is done stays done, and only
// the call that failed is made again.
type sending struct {
	*delivery
	bodies
	next action

	chance, throttled, steady, denied backoff.BackOff

	ownGroup       bool           // this has created it, so its retention is for us to set
	groupThrottled int            // how often creating it was throttled
	groupMade      bool           // a call to create the group has succeeded, so it should be there
	absent         map[action]int // how often each call did not find what it needs
	retention      int            // tries to set it
}

// send puts one body until CloudWatch accepts or refuses it. packed is the same body, compressed,
// or nil. Its error is that refusal, or the context's cause.
func (d *delivery) send(ctx context.Context, plain, packed *batch.Body) (cloudwatch.Verdict, error) {
	s := &sending{
		delivery: d, bodies: newBodies(plain, packed), next: putEvents,
		chance:    &sprinting{Sprint: d.Paces.Chance, random: d.Random, answered: &d.answered},
		throttled: d.Paces.Throttled.Begin(), steady: d.Paces.Steady.Begin(), denied: d.Paces.Denied.Begin(),
		absent: map[action]int{},
	}
	d.stored = false
	if d.create && !d.out.Stream.Created {
		s.next = createStream
	}
	for {
		verdict, err := s.attempt(ctx)
		class := cloudwatch.Classify(err)
		if class != cloudwatch.Accepted && class != cloudwatch.Stopped && ctx.Err() == nil {
			s.calls.Failed(class.String())
		}
		switch {
		case class == cloudwatch.Accepted && s.next == putEvents:
			s.calls.Accepted()
			return s.afterAcceptance(verdict, err), nil
		case class == cloudwatch.Accepted:
			s.afterCreation()
		case class == cloudwatch.Stopped || ctx.Err() != nil:
			return verdict, context.Cause(ctx)
		case class == cloudwatch.Refused && s.next == putEvents:
			if !s.fallBack(err) {
				return verdict, err
			}
			s.out.Retries++
		default:
			if err := wait(ctx, s.afterFailure(err, class)); err != nil {
				return verdict, err
			}
		}
	}
}

// attempt makes the next call, when there is a slot for it.
func (s *sending) attempt(ctx context.Context) (verdict cloudwatch.Verdict, err error) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return verdict, context.Cause(ctx)
	}
	stream := s.out.Stream.Name
	switch s.next {
	case createStream:
		err = s.api.CreateStream(ctx, stream)
	case createGroup:
		s.ownGroup, err = s.api.CreateGroup(ctx)
	case setRetention:
		err = s.api.SetRetention(ctx)
	default:
		began := time.Now()
		verdict, err = s.api.Put(ctx, stream, s.body)
		s.calls.Put(time.Since(began))
	}
	return verdict, err
}

// progress notes that the service has done what was asked, or said what must be done first:
// failures before that were chance.
func (s *sending) progress() {
	s.chance.Reset()
	s.answered.Store(true)
}

// afterAcceptance notes that the put was accepted, and returns what of it was not taken. With an
// error, the service has the batch from an earlier attempt.
func (s *sending) afterAcceptance(verdict cloudwatch.Verdict, err error) cloudwatch.Verdict {
	s.progress()
	if s.refusedPacked() {
		s.stopCompressing(s.why)
	}
	if err != nil {
		verdict = cloudwatch.Verdict{OldEnd: -1, ExpiredEnd: -1, NewStart: -1}
	}
	s.out.Stream.Created = true
	s.Trouble.clear(s.out.Stream.Name)
	if verdict.Clean() { // else events of it are sent again, and may be refused again
		s.Trouble.reportSuccess()
	}
	return verdict
}

// afterCreation chooses the call after one that has created something.
func (s *sending) afterCreation() {
	s.progress()
	switch s.next {
	case createStream:
		s.out.Stream.Created = true
		s.next = putEvents
	case createGroup:
		s.groupMade = true
		s.next = createStream
		if s.ownGroup && s.api.RetentionDays() > 0 {
			s.next = setRetention
		}
	default:
		s.next = createStream
	}
}

// afterFailure chooses the call after one that came to nothing, and returns how long to wait before
// it.
func (s *sending) afterFailure(err error, class cloudwatch.Class) time.Duration {
	call := s.next
	if call == putEvents && cloudwatch.Ambiguous(err) {
		s.stored = true
	}
	if call == putEvents && s.fallBack(err) {
		s.out.Retries++
		return 0
	}
	switch class {
	case cloudwatch.Missing:
		return s.missing(err)
	case cloudwatch.Again:
		return s.again()
	case cloudwatch.Credentials:
		s.api.InvalidateCredentials()
	case cloudwatch.Throttled:
		s.out.Throttled = true
	}
	pause := s.pause(class)
	s.out.Retries++
	if call == setRetention {
		return s.retentionFailed(err, class, pause)
	}
	s.reportFailure(err, call, "")
	// Somebody may have created it meanwhile, which a call that is not allowed would never tell,
	// and one that is throttled late: where a fleet starts, the quota of groups is the least of
	// all. So every other time that is asked by creating the stream.
	blocked := class == cloudwatch.Denied || class == cloudwatch.Refused
	if call == createGroup && class == cloudwatch.Throttled {
		s.groupThrottled++
		blocked = s.groupThrottled%2 == 0
	}
	switch {
	case !blocked:
	case call == createStream:
		s.next = putEvents
	case call == createGroup:
		s.next = createStream
	}
	return pause
}

// pause returns how long to wait after a failure of a class.
func (s *sending) pause(class cloudwatch.Class) time.Duration {
	switch class {
	case cloudwatch.Retry:
		return s.chance.NextBackOff()
	case cloudwatch.Denied:
		return s.denied.NextBackOff()
	case cloudwatch.Throttled:
		return s.throttled.NextBackOff()
	}
	return s.steady.NextBackOff() // credentials, or a creation that is refused
}

// again returns how long to wait before a call that may be made again at once: not at all, unless
// that came several times.
func (s *sending) again() (pause time.Duration) {
	s.out.Retries++
	if s.absent[s.next]++; s.absent[s.next] > 3 {
		pause = s.steady.NextBackOff()
	}
	return pause
}

// missing chooses the call after one that did not find the stream or the group, and returns how
// long to wait before it. It is trouble only where that was thought to be there: it was deleted, or
// was created a moment ago and is not there yet everywhere.
func (s *sending) missing(err error) (pause time.Duration) {
	s.progress()
	call, expected := s.next, !s.create
	switch {
	case !s.create:
	case call == putEvents:
		expected, s.out.Stream.Created = s.out.Stream.Created, false
		s.next = createStream
	case call == createStream:
		expected, s.groupMade = s.groupMade, false
		s.next = createGroup
	default:
		s.next = createStream // the group has gone before its retention was set
	}
	if expected || call == putEvents {
		s.out.Retries++
	}
	if s.absent[call]++; s.absent[call] > 1 {
		if expected {
			s.reportFailure(err, call, "")
		}
		pause = s.steady.NextBackOff()
	}
	return pause
}

// retentionFailed tries again what may pass, and goes on without after a few times: the group keeps
// events for too long then, and none is lost.
func (s *sending) retentionFailed(err error, class cloudwatch.Class, pause time.Duration) time.Duration {
	s.retention++
	passes := class == cloudwatch.Retry || class == cloudwatch.Throttled || class == cloudwatch.Credentials
	if passes && s.retention < retentionTries {
		return pause
	}
	s.api.WarnOfRetention(err)
	s.next = createStream
	return 0
}
