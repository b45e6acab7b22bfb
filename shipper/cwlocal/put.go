package cwlocal

// This file is PutLogEvents: the limits of a batch, events that are too old or too new, and the
// answer.

import (
	"fmt"
	"strconv"
	"time"

	"perstack-shipper/batch"
)

// putLogEvents is the body of a PutLogEvents call. The API model has two more members, the sequence
// token and the entity. They do not affect what is stored, so they are not read.
type putLogEvents struct {
	LogGroupName, LogStreamName string
	LogEvents                   []inputEvent

	reject *Rejected // the rejections that a Fault asks for
}

// inputEvent is one event of a PutLogEvents call. A member is nil if it is missing from the body.
type inputEvent struct {
	Timestamp *int64
	Message   *string
}

func (p *putLogEvents) target() (group, stream string, events int) {
	return p.LogGroupName, p.LogStreamName, len(p.LogEvents)
}

func (p *putLogEvents) do(s *Server, _ string) ([]byte, error) {
	now := millis(s.opt.Now())
	if err := p.check(now); err != nil {
		return nil, err
	}
	st, retention, err := s.find(p.LogGroupName, p.LogStreamName)
	if err != nil {
		return nil, err
	}
	from, to, rejected := p.acceptable(now, retention)
	if p.reject != nil {
		from, to, rejected = p.rejectedByTest()
	}
	stored := p.LogEvents[from:to]
	if err := st.append(stored, now); err != nil {
		return nil, err
	}
	s.counters.accepted(stored, len(p.LogEvents)-len(stored))
	return putAnswer(rejected)
}

// check returns an error if the whole call must fail.
func (p *putLogEvents) check(now int64) error {
	if err := checkGroup(p.LogGroupName); err != nil {
		return err
	}
	if err := checkStream(p.LogStreamName); err != nil {
		return err
	}
	switch n := len(p.LogEvents); {
	case n == 0:
		return constraint("[]", "logEvents", "have length greater than or equal to 1")
	case n > batch.MaxBatchEvents:
		return constraint(fmt.Sprint(n, " events"), "logEvents", fmt.Sprintf("have length less than or equal to %d", batch.MaxBatchEvents))
	}
	size := 0
	for i, e := range p.LogEvents {
		if err := e.check(i); err != nil {
			return err
		}
		size += len(*e.Message) + batch.EventOverhead
	}
	if size > batch.MaxBatchBytes {
		return invalid("Upload too large: %d bytes exceeds limit of %d", size, batch.MaxBatchBytes)
	}
	for i := 1; i < len(p.LogEvents); i++ {
		if *p.LogEvents[i].Timestamp < *p.LogEvents[i-1].Timestamp {
			return invalid("Log events in a single PutLogEvents request must be in chronological order.")
		}
	}
	// Only events that are neither too old nor too new count for the span.
	from, to, _ := p.acceptable(now, 0)
	if from < to && *p.LogEvents[to-1].Timestamp-*p.LogEvents[from].Timestamp > batch.MaxBatchSpan.Milliseconds() {
		return invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	}
	return nil
}

// check returns an error if e, the event at index i, is invalid by itself.
func (e inputEvent) check(i int) error {
	member := func(name string) string { return "logEvents." + strconv.Itoa(i+1) + ".member." + name }
	switch {
	case e.Timestamp == nil:
		return constraint("null", member("timestamp"), "not be null")
	case e.Message == nil:
		return constraint("null", member("message"), "not be null")
	case *e.Timestamp < 0:
		return constraint(*e.Timestamp, member("timestamp"), "have value greater than or equal to 0")
	case *e.Message == "":
		return constraint("", member("message"), "have length greater than or equal to 1")
	case len(*e.Message) > batch.MaxEventBytes:
		return invalid("Log event too large: %d bytes exceeds limit of %d", len(*e.Message)+batch.EventOverhead, batch.MaxBatchBytes)
	}
	return nil
}

// acceptable returns the range [from, to) of events that are neither too old nor too new for a
// group that keeps events for retention days (0: forever), and what the answer says about the
// others.
func (p *putLogEvents) acceptable(now int64, retention int) (from, to int, _ Rejected) {
	var r Rejected
	n := len(p.LogEvents)
	before := func(limit int64) int { // the number of older events
		i := 0
		for i < n && *p.LogEvents[i].Timestamp < limit {
			i++
		}
		return i
	}
	if i := before(now - batch.MaxEventAge.Milliseconds()); i > 0 {
		r.TooOldEnd, from = &i, i
	}
	if retention > 0 {
		if i := before(now - (time.Duration(retention) * 24 * time.Hour).Milliseconds()); i > 0 {
			r.ExpiredEnd, from = &i, max(from, i)
		}
	}
	to = n
	for to > 0 && *p.LogEvents[to-1].Timestamp > now+batch.MaxEventAhead.Milliseconds() {
		to--
	}
	if to < n {
		i := to
		r.TooNewStart = &i
	}
	return from, max(from, to), r
}

// rejectedByTest returns the range [from, to) that remains after the rejections that a Fault asks
// for.
func (p *putLogEvents) rejectedByTest() (from, to int, _ Rejected) {
	r := *p.reject
	to = len(p.LogEvents)
	for _, end := range []*int{r.TooOldEnd, r.ExpiredEnd} {
		if end != nil {
			from = max(from, min(*end, to))
		}
	}
	if r.TooNewStart != nil {
		to = max(from, min(*r.TooNewStart, to))
	}
	return from, to, r
}

// sequenceToken is a token that the service still returns, for old clients that need one.
const sequenceToken = "49640000000000000000000000000000000000000000000000000001"

// putAnswer returns the answer to a put that was accepted except for r.
func putAnswer(r Rejected) ([]byte, error) {
	type info struct {
		TooNewStart *int `json:"tooNewLogEventStartIndex,omitempty"`
		TooOldEnd   *int `json:"tooOldLogEventEndIndex,omitempty"`
		ExpiredEnd  *int `json:"expiredLogEventEndIndex,omitempty"`
	}
	answer := struct {
		Token    string `json:"nextSequenceToken"`
		Rejected *info  `json:"rejectedLogEventsInfo,omitempty"`
	}{Token: sequenceToken}
	if r != (Rejected{}) {
		answer.Rejected = &info{r.TooNewStart, r.TooOldEnd, r.ExpiredEnd}
	}
	return marshal(answer)
}
