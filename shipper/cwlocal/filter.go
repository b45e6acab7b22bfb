package cwlocal

// This file is FilterLogEvents: it reads the streams of a group as one, ordered by timestamp, then
// ingestion time, then stream.

import (
	"cmp"
	"container/heap"
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cwlocal/pattern"
)

const (
	// maxFilterStreams bounds logStreamNames.
	maxFilterStreams = 100
	// maxScanned bounds the bytes searched for one page. As with the service, a page may therefore
	// be short or empty without being the last one.
	maxScanned = 64 << 20
)

type filterLogEvents struct {
	LogGroupName, LogGroupIdentifier *string
	LogStreamNames                   []string
	LogStreamNamePrefix              *string
	StartTime, EndTime               *int64
	FilterPattern                    *string
	NextToken                        *string
	Limit                            *int
	Interleaved                      bool // ignored by the service: it is always true
	Unmask                           bool

	group   string
	pattern *pattern.Pattern
	limit   int
	from    crossPlace
}

func (o *filterLogEvents) target() (string, string, int) {
	o.group, _ = groupOf(o.LogGroupName, o.LogGroupIdentifier)
	return o.group, "", 0
}

// crossPlace is a place in the merged reading order of several streams. As a token, it stands for
// everything from that place on.
type crossPlace struct {
	timestamp, ingestion int64
	stream               string
	arrival              int
	shown                bool // with Options.EmptyPages: the empty page before this one was sent
}

func (p crossPlace) compare(o crossPlace) int {
	return cmp.Or(cmp.Compare(p.timestamp, o.timestamp), cmp.Compare(p.ingestion, o.ingestion), cmp.Compare(p.stream, o.stream), cmp.Compare(p.arrival, o.arrival))
}

func (p crossPlace) String() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %d %d %t %s", p.timestamp, p.ingestion, p.arrival, p.shown, p.stream))
}

// parseCrossPlace parses a token.
func parseCrossPlace(token string) (p crossPlace, err error) {
	text, err := base64.RawURLEncoding.DecodeString(token)
	parts := strings.SplitN(string(text), " ", 5)
	if err == nil && len(parts) == 5 {
		var errs [4]error
		p.timestamp, errs[0] = strconv.ParseInt(parts[0], 10, 64)
		p.ingestion, errs[1] = strconv.ParseInt(parts[1], 10, 64)
		p.arrival, errs[2] = strconv.Atoi(parts[2])
		p.shown, errs[3] = strconv.ParseBool(parts[3])
		p.stream = parts[4]
		if errs == [4]error{} && p.String() == token {
			return p, nil
		}
	}
	return p, invalid("The specified nextToken is invalid.")
}

// check validates and parses the parameters.
func (o *filterLogEvents) check() (err error) {
	if o.group, err = groupOf(o.LogGroupName, o.LogGroupIdentifier); err != nil {
		return err
	}
	switch {
	case o.LogStreamNames != nil && o.LogStreamNamePrefix != nil:
		return invalid("specify either logStreamNames or logStreamNamePrefix, not both")
	case o.LogStreamNames != nil && (len(o.LogStreamNames) == 0 || len(o.LogStreamNames) > maxFilterStreams):
		return constraint(fmt.Sprint(len(o.LogStreamNames), " names"), "logStreamNames", fmt.Sprintf("have length 1 to %d", maxFilterStreams))
	}
	for _, n := range o.LogStreamNames {
		if err := checkStream(n); err != nil {
			return err
		}
	}
	if p := o.LogStreamNamePrefix; p != nil {
		if err := checkText(*p, "logStreamNamePrefix", streamPattern, maxName); err != nil {
			return err
		}
	}
	if err := cmp.Or(checkTime(o.StartTime, "startTime"), checkTime(o.EndTime, "endTime")); err != nil {
		return err
	}
	if o.limit, err = limitOf(o.Limit, maxPageEvents); err != nil {
		return err
	}
	text := ""
	if o.FilterPattern != nil {
		text = *o.FilterPattern
	}
	if o.pattern, err = pattern.Parse(text); err != nil {
		return invalid("%v", err)
	}
	if o.NextToken != nil {
		o.from, err = parseCrossPlace(*o.NextToken)
	}
	return err
}

// streamsOf returns the streams that the request searches.
func (o *filterLogEvents) streamsOf(s *Server) ([]*stream, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g := s.groups[o.group]
	if g == nil {
		return nil, noGroup()
	}
	if err := g.readBack("FilterLogEvents"); err != nil {
		return nil, err
	}
	var streams []*stream
	for _, n := range o.LogStreamNames {
		st := g.streams[n]
		if st == nil {
			return nil, noStream()
		}
		if !slices.Contains(streams, st) {
			streams = append(streams, st)
		}
	}
	if o.LogStreamNames == nil {
		for n, st := range g.streams {
			if o.LogStreamNamePrefix == nil || strings.HasPrefix(n, *o.LogStreamNamePrefix) {
				streams = append(streams, st)
			}
		}
	}
	return streams, nil
}

// cursor reads one stream from a position on.
type cursor struct {
	*view
	position, end int
	at            crossPlace // of the event at position
}

// settle sets at, and reports whether there is an event at the position.
func (c *cursor) settle() bool {
	if c.position >= c.end {
		return false
	}
	k := c.key(c.arrival(c.position))
	c.at = crossPlace{timestamp: k.timestamp, ingestion: k.ingestion, stream: c.name, arrival: k.arrival}
	return true
}

// merge is a heap of cursors with the earliest event first.
type merge []*cursor

func (m merge) Len() int           { return len(m) }
func (m merge) Less(i, j int) bool { return m[i].at.compare(m[j].at) < 0 }
func (m merge) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *merge) Push(x any)        { *m = append(*m, x.(*cursor)) }
func (m *merge) Pop() any {
	last := len(*m) - 1
	c := (*m)[last]
	*m = (*m)[:last]
	return c
}

// cursors returns a cursor for each stream that has events from the request's place on and within
// its times.
func (o *filterLogEvents) cursors(streams []*stream) *merge {
	m := &merge{}
	for _, st := range streams {
		v := st.view()
		from := key{timestamp: o.from.timestamp, ingestion: o.from.ingestion}
		switch cmp.Compare(v.name, o.from.stream) {
		case 0:
			from.arrival = o.from.arrival
		case -1:
			from.arrival = math.MaxInt // its events with the same times precede the place
		}
		c := &cursor{view: v, position: v.at(from), end: v.count}
		if o.StartTime != nil {
			c.position = max(c.position, v.at(key{timestamp: *o.StartTime}))
		}
		if o.EndTime != nil && *o.EndTime < math.MaxInt64 {
			// Unlike in GetLogEvents, the end is inclusive.
			c.end = v.at(key{timestamp: *o.EndTime + 1})
		}
		if c.settle() {
			*m = append(*m, c)
		}
	}
	heap.Init(m)
	return m
}

// filteredEvent is an event in an answer of FilterLogEvents.
type filteredEvent struct {
	Stream    string `json:"logStreamName"`
	Timestamp int64  `json:"timestamp"`
	Ingestion int64  `json:"ingestionTime"`
	ID        string `json:"eventId"`
	Message   string `json:"message"`
}

// filterAnswer is the answer of FilterLogEvents.
type filterAnswer struct {
	Events   []filteredEvent `json:"events"`
	Searched []struct{}      `json:"searchedLogStreams"` // always empty, as with the service
	Next     string          `json:"nextToken,omitempty"`
}

func (o *filterLogEvents) do(s *Server, _ string) ([]byte, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	streams, err := o.streamsOf(s)
	if err != nil {
		return nil, err
	}
	m := o.cursors(streams)
	readable := s.readable()
	answer := filterAnswer{Events: []filteredEvent{}, Searched: []struct{}{}}
	size, scanned := 0, 0
	if s.opt.EmptyPages && !o.from.shown && m.Len() > 0 {
		at := (*m)[0].at
		at.shown = true
		answer.Next = at.String()
		return marshal(answer)
	}
	for m.Len() > 0 && len(answer.Events) < o.limit && scanned < maxScanned {
		c := (*m)[0]
		e, message := c.get(c.at.arrival)
		scanned += len(message)
		if e.ingestion <= readable && o.pattern.Match(message) {
			if size += len(message) + batch.EventOverhead; size > maxPageBytes && len(answer.Events) > 0 {
				break
			}
			answer.Events = append(answer.Events, filtered(c.view, c.at, message))
		}
		if c.position++; c.settle() {
			heap.Fix(m, 0)
		} else {
			heap.Pop(m)
		}
	}
	if m.Len() > 0 {
		answer.Next = (*m)[0].at.String()
	}
	return marshal(answer)
}

// filtered returns an event for an answer of FilterLogEvents. Its eventId is unique and the same
// every time it is read.
func filtered(v *view, at crossPlace, message []byte) filteredEvent {
	id := fmt.Sprintf("%020d%016d%020d", at.timestamp, at.arrival, v.id)
	return filteredEvent{v.name, at.timestamp, at.ingestion, id, string(message)}
}
