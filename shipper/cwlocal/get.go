package cwlocal

// This file is GetLogEvents: pages of one stream, forwards and backwards. A token names a place
// between two events, so it remains valid when events arrive that sort before it.

import (
	"fmt"
	"slices"
	"strconv"

	"perstack-shipper/batch"
)

const (
	// maxPageBytes bounds a page: the size of its messages plus batch.EventOverhead for each.
	maxPageBytes = 1 << 20
	// maxPageEvents bounds a page, and the limit that a caller may request.
	maxPageEvents = 10000
)

type getLogEvents struct {
	LogGroupName, LogGroupIdentifier *string
	LogStreamName                    string
	StartTime, EndTime               *int64
	NextToken                        *string
	Limit                            *int
	StartFromHead                    bool
	Unmask                           bool

	group string
}

func (o *getLogEvents) target() (string, string, int) {
	o.group, _ = groupOf(o.LogGroupName, o.LogGroupIdentifier)
	return o.group, o.LogStreamName, 0
}

// place is a token. It stands for the events from here on if forward is set, and for those before
// it otherwise.
type place struct {
	key
	forward bool
	shown   bool // with Options.EmptyPages or RepeatPages: the extra page before this one was sent
}

func (p place) String() string {
	direction, state := "b", "s"
	if p.forward {
		direction = "f"
	}
	if p.shown {
		state = "p"
	}
	return fmt.Sprintf("%s/%020d%020d%016d/%s", direction, p.timestamp, p.ingestion, p.arrival, state)
}

// parsePlace parses a token.
func parsePlace(token string) (p place, err error) {
	bad := invalid("The specified nextToken is invalid.")
	if len(token) != 60 || token[1] != '/' || token[58] != '/' {
		return p, bad
	}
	var errs [3]error
	var arrival int64
	p.timestamp, errs[0] = strconv.ParseInt(token[2:22], 10, 64)
	p.ingestion, errs[1] = strconv.ParseInt(token[22:42], 10, 64)
	arrival, errs[2] = strconv.ParseInt(token[42:58], 10, 64)
	p.arrival = int(arrival)
	p.forward, p.shown = token[0] == 'f', token[59] == 'p'
	if errs != [3]error{} || p.String() != token {
		return p, bad
	}
	return p, nil
}

func (o *getLogEvents) do(s *Server, _ string) ([]byte, error) {
	var err error
	if o.group, err = groupOf(o.LogGroupName, o.LogGroupIdentifier); err != nil {
		return nil, err
	}
	if err := checkStream(o.LogStreamName); err != nil {
		return nil, err
	}
	if err := checkTime(o.StartTime, "startTime"); err != nil {
		return nil, err
	}
	if err := checkTime(o.EndTime, "endTime"); err != nil {
		return nil, err
	}
	limit, err := limitOf(o.Limit, maxPageEvents)
	if err != nil {
		return nil, err
	}
	var from *place
	if o.NextToken != nil {
		p, err := parsePlace(*o.NextToken)
		if err != nil {
			return nil, err
		}
		from = &p
	}
	st, _, err := s.find(o.group, o.LogStreamName)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	g := s.groups[o.group]
	s.mu.RUnlock()
	if g == nil {
		return nil, noGroup()
	}
	if err := g.readBack("GetLogEvents"); err != nil {
		return nil, err
	}
	v := st.view()
	low, high := 0, v.count
	if o.StartTime != nil {
		low = v.at(key{timestamp: *o.StartTime})
	}
	if o.EndTime != nil {
		high = max(low, v.at(key{timestamp: *o.EndTime}))
	}
	return s.page(v, from, o.StartFromHead, low, high, limit)
}

// outputEvent is an event in an answer of GetLogEvents.
type outputEvent struct {
	Timestamp int64  `json:"timestamp"`
	Ingestion int64  `json:"ingestionTime"`
	Message   string `json:"message"`
}

// pageAnswer is the answer of GetLogEvents.
type pageAnswer struct {
	Events []outputEvent `json:"events"`
	Next   string        `json:"nextForwardToken"`
	Back   string        `json:"nextBackwardToken"`
}

// page returns the page of positions in [low, high) that follows from. A nil from is the beginning,
// or the end if head is unset.
func (s *Server) page(v *view, from *place, head bool, low, high, limit int) ([]byte, error) {
	forward, position := head, low
	var here key // the place named by the tokens of an empty page
	switch {
	case from != nil:
		forward, here = from.forward, from.key
		position = min(max(v.at(from.key), low), high)
	case !head:
		position = high
	}
	step, end := 1, high
	if !forward {
		step, position, end = -1, position-1, low-1
	}
	picked := v.pick(position, end, step, limit, s.readable())
	back, next := place{key: here}, place{key: here, forward: true}
	if len(picked) > 0 && s.opt.EmptyPages && (from == nil || !from.shown) {
		// An empty page: its tokens name the same place but differ from the request's.
		if from == nil {
			at := v.key(picked[0])
			if !forward {
				at.arrival++
			}
			back.key, next.key = at, at
		}
		back.shown, next.shown = true, true
		picked = nil
	} else if len(picked) > 0 {
		first, last := picked[0], picked[len(picked)-1]
		if !forward {
			first, last = last, first
		}
		back.key, next.key = v.key(first), v.key(last)
		next.arrival++
		if s.opt.RepeatPages && forward && (from == nil || !from.shown) {
			next.key, next.shown = v.key(first), true
		}
	} else if from != nil {
		back.shown, next.shown = from.shown, from.shown
	}
	if !forward {
		slices.Reverse(picked)
	}
	answer := pageAnswer{Events: make([]outputEvent, len(picked)), Next: next.String(), Back: back.String()}
	for n, arrival := range picked {
		e, message := v.get(arrival)
		answer.Events[n] = outputEvent{e.timestamp, e.ingestion, string(message)}
	}
	return marshal(answer)
}

// pick returns the arrival numbers of the events that fit on a page: those at the positions from
// one up to, but not including, end that were ingested by the time readable, in the order of the
// scan.
func (v *view) pick(position, end, step, limit int, readable int64) (arrivals []int) {
	size := 0
	for ; position != end && len(arrivals) < limit; position += step {
		arrival := v.arrival(position)
		e, message := v.get(arrival)
		if e.ingestion > readable {
			continue
		}
		if size += len(message) + batch.EventOverhead; size > maxPageBytes && len(arrivals) > 0 {
			break
		}
		arrivals = append(arrivals, arrival)
	}
	return arrivals
}

// readable returns the latest ingestion time that is visible now.
func (s *Server) readable() int64 {
	if s.opt.ReadableAfter <= 0 {
		return 1<<63 - 1
	}
	return millis(s.opt.Now().Add(-s.opt.ReadableAfter))
}
