package cwlocal

// PutLogEvents: the limits of a batch, what is too old or too new, and the answer.

import (
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"time"

	"perstack-shipper/batch"
)

// putLogEvents is one PutLogEvents, scanned.
type putLogEvents struct {
	group, stream string
	entity        []byte // its JSON, nil for none
	body          []byte
	events        []scanned
	count         int    // of events in the body: more than len(events) when over the limit
	data          []byte // the messages, one after the other

	reject    *Rejected // asked for by a Fault
	restoring bool      // a line of the folder is read: it alone has ingestionTime
	ingestion int64
}

// puts are those not in use, for their buffers.
var puts = sync.Pool{New: func() any { return new(putLogEvents) }}

func newPut() operation { return puts.Get().(*putLogEvents) }

// release gives p back. Nothing of it may be used after.
func (p *putLogEvents) release() {
	*p = putLogEvents{events: p.events[:0], data: p.data[:0]}
	puts.Put(p)
}

func (p *putLogEvents) target() (group, stream string, events int) { return p.group, p.stream, p.count }

func (p *putLogEvents) do(s *Server, _ string) ([]byte, error) {
	now := millis(s.opt.Now())
	if err := p.check(now); err != nil {
		return nil, err
	}
	st, retention, err := s.find(p.group, p.stream)
	if err != nil {
		return nil, err
	}
	from, to, rejected := p.acceptable(now, retention)
	if p.reject != nil {
		from, to, rejected = p.rejectedByTest()
	}
	if err := st.append(p, from, to, now); err != nil {
		return nil, err
	}
	s.counters.accepted(p, from, to)
	return p.answer(rejected), nil
}

// check refuses what makes the whole call fail.
func (p *putLogEvents) check(now int64) error {
	if err := checkGroup(p.group); err != nil {
		return err
	}
	if err := checkStream(p.stream); err != nil {
		return err
	}
	switch {
	case p.count == 0:
		return constraint("[]", "logEvents", "have length greater than or equal to 1")
	case p.count > batch.MaxBatchEvents:
		return constraint(fmt.Sprint(p.count, " events"), "logEvents", fmt.Sprintf("have length less than or equal to %d", batch.MaxBatchEvents))
	}
	size := 0
	for i := range p.events {
		n, err := p.events[i].check(i)
		if err != nil {
			return err
		}
		size += n + batch.EventOverhead
	}
	if size > batch.MaxBatchBytes {
		return invalid("Upload too large: %d bytes exceeds limit of %d", size, batch.MaxBatchBytes)
	}
	for i := 1; i < len(p.events); i++ {
		if p.events[i].timestamp < p.events[i-1].timestamp {
			return invalid("Log events in a single PutLogEvents request must be in chronological order.")
		}
	}
	// Only events that are neither too old nor too new count for the span.
	if from, to, _ := p.acceptable(now, 0); from < to && p.events[to-1].timestamp-p.events[from].timestamp > batch.MaxBatchSpan.Milliseconds() {
		return invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	}
	return nil
}

// check refuses the i-th event where it alone breaks a rule, and returns the size of its message.
func (e *scanned) check(i int) (size int, err error) {
	member := func(name string) string { return "logEvents." + strconv.Itoa(i+1) + ".member." + name }
	switch size = e.end - e.start; {
	case !e.hasTimestamp:
		return 0, constraint("null", member("timestamp"), "not be null")
	case e.start < 0:
		return 0, constraint("null", member("message"), "not be null")
	case e.timestamp < 0:
		return 0, constraint(e.timestamp, member("timestamp"), "have value greater than or equal to 0")
	case size == 0:
		return 0, constraint("", member("message"), "have length greater than or equal to 1")
	case size > batch.MaxEventBytes:
		return 0, invalid("Log event too large: %d bytes exceeds limit of %d", size+batch.EventOverhead, batch.MaxBatchBytes)
	}
	return size, nil
}

// acceptable is the range of events that are neither too old nor too new for a group that keeps events for retention
// days (0: for ever), and what the answer says of the others.
func (p *putLogEvents) acceptable(now int64, retention int) (from, to int, _ Rejected) {
	var r Rejected
	n := len(p.events)
	before := func(limit int64) int { // how many events are older
		i := 0
		for i < n && p.events[i].timestamp < limit {
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
	for to > 0 && p.events[to-1].timestamp > now+batch.MaxEventAhead.Milliseconds() {
		to--
	}
	if to < n {
		i := to
		r.TooNewStart = &i
	}
	return from, max(from, to), r
}

// rejectedByTest is the range that is left when a Fault asks for rejections.
func (p *putLogEvents) rejectedByTest() (from, to int, _ Rejected) {
	r := *p.reject
	to = len(p.events)
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

// sequenceToken is what the service still answers, for clients older than its being ignored.
const sequenceToken = "49640000000000000000000000000000000000000000000000000001"

func (p *putLogEvents) answer(r Rejected) []byte {
	b := append([]byte(nil), `{"nextSequenceToken":"`+sequenceToken+`"`...)
	if r != (Rejected{}) {
		b = append(b, `,"rejectedLogEventsInfo":{`...)
		comma := ""
		for _, m := range []struct {
			name  string
			index *int
		}{{"tooNewLogEventStartIndex", r.TooNewStart}, {"tooOldLogEventEndIndex", r.TooOldEnd}, {"expiredLogEventEndIndex", r.ExpiredEnd}} {
			if m.index != nil {
				b = append(b, comma+`"`+m.name+`":`...)
				b = strconv.AppendInt(b, int64(*m.index), 10)
				comma = ","
			}
		}
		b = append(b, '}')
	}
	if reason := p.entityRefused(); reason != "" {
		b = append(b, `,"rejectedEntityInfo":{"errorType":"`+reason+`"}`...)
	}
	return append(b, '}')
}

// entityRefused says what is wrong with the entity, "" when it is fine or there is none. The events are stored either
// way. The numbers are the model's: 2 to 4 key attributes, at most 10 others.
func (p *putLogEvents) entityRefused() string {
	if p.entity == nil {
		return ""
	}
	var e struct{ KeyAttributes, Attributes map[string]string }
	if err := json.Unmarshal(p.entity, &e); err != nil {
		return "InvalidEntity"
	}
	within := func(m map[string]string, key int) bool {
		for k, v := range m {
			if k == "" || units(k) > key || v == "" || units(v) > 512 {
				return false
			}
		}
		return true
	}
	switch {
	case e.KeyAttributes["Type"] == "":
		return "MissingRequiredFields"
	case len(e.KeyAttributes) < 2 || len(e.KeyAttributes) > 4 || !within(e.KeyAttributes, 32):
		return "InvalidKeyAttributes"
	case len(e.Attributes) > 10 || !within(e.Attributes, 256):
		return "InvalidAttributes"
	}
	return ""
}
