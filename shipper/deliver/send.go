package deliver

// This file makes the attempts that put one request body: the put itself, and the calls that create
// what it needs.

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
)

// action is the name of an API call.
type action string

const (
	createStream action = "CreateLogStream"
	createGroup  action = "CreateLogGroup"
	setRetention action = "PutRetentionPolicy"
	putEvents    action = "PutLogEvents"
)

// retentionTries is how often to try to set the retention of a new group. Events must not wait long
// for that.
const retentionTries = 5

// sending is one body under way. Each attempt makes one call. Calls that succeeded are not
// repeated; only the failed call is made again.
type sending struct {
	*delivery
	bodies
	next action

	chance, throttled, steady, denied backoff.BackOff

	ownGroup       bool           // this process created it, and so must set its retention
	groupThrottled int            // how often creating the group was throttled
	groupMade      bool           // a call to create the group succeeded, so it should exist
	absent         map[action]int // how often each call found its group or stream missing
	retention      int            // how often setting it was tried
}

// send puts one body until CloudWatch accepts or refuses it. packed is the same body compressed, or
// nil. The error is the refusal, or the context's cause.
func (d *delivery) send(ctx context.Context, plain, packed *batch.Body) (cloudwatch.Verdict, error) {
	s := &sending{
		delivery: d, bodies: newBodies(plain, packed), next: putEvents,
		chance:    &sprinting{Sprint: d.Paces.Chance, random: d.Random, answered: &d.answered},
		throttled: d.Paces.Throttled.Begin(), steady: d.Paces.Steady.Begin(), denied: d.Paces.Denied.Begin(),
		absent: map[action]int{},
	}
	d.maybeStored = false
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
			if s.next == putEvents && cloudwatch.Ambiguous(err) {
				s.maybeStored = true
			}
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

// attempt waits for a free slot and makes the next call.
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

// progress records that the service did what was asked, or said what must be done first. Earlier
// failures were therefore chance.
func (s *sending) progress() {
	s.chance.Reset()
	s.answered.Store(true)
}

// afterAcceptance records that the put was accepted, and returns which events it left out. A
// non-nil error means that the service has the batch from an earlier attempt.
func (s *sending) afterAcceptance(verdict cloudwatch.Verdict, err error) cloudwatch.Verdict {
	s.progress()
	if s.refusedPacked() {
		s.stopCompressing(s.why)
	}
	if err != nil {
		s.maybeStored = false // the service detects a repeat, so it has stored only one
		verdict = cloudwatch.Verdict{OldEnd: -1, ExpiredEnd: -1, NewStart: -1}
	}
	s.out.Stream.Created = true
	s.Trouble.clear(s.out.Stream.Name)
	if verdict.Clean() { // otherwise some events are resent, and may be refused again
		s.Trouble.reportSuccess()
	}
	return verdict
}

// afterCreation chooses the call after a successful creation.
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

// afterFailure chooses the call after a failed one, and returns how long to wait before it.
func (s *sending) afterFailure(err error, class cloudwatch.Class) time.Duration {
	call := s.next
	if call == putEvents && cloudwatch.Ambiguous(err) {
		s.maybeStored = true
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
	// Somebody may have created it meanwhile. A call that is not allowed would never find out, and
	// a throttled one would find out late, since the quota for creating groups is the smallest of
	// all when a fleet starts. So every other attempt tries the call that needs it.
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
	return s.steady.NextBackOff() // credentials, or a refused creation
}

// again returns how long to wait before a call that may be repeated at once: not at all, unless
// that has happened several times.
func (s *sending) again() (pause time.Duration) {
	s.out.Retries++
	if s.absent[s.next]++; s.absent[s.next] > 3 {
		pause = s.steady.NextBackOff()
	}
	return pause
}

// missing chooses the call after one that found the stream or the group missing, and returns how
// long to wait before it. This counts as trouble only if the stream or group was expected to exist:
// it was deleted, or was just created and is not visible everywhere yet.
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
		s.next = createStream // the group vanished before its retention was set
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

// retentionFailed retries failures that may pass, and gives up after a few. The group then keeps
// events for too long, but none is lost.
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
