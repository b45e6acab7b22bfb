package cwlocal

// This file counts calls and accepted events, and gives tests access to what the endpoint holds.

import (
	"maps"
	"slices"
	"sync"

	"perstack-shipper/batch"
)

// Stats are counts since [New].
type Stats struct {
	// Calls counts the calls of each operation, including those that were refused or had a fault.
	Calls map[string]int64
	// Errors counts the answers of each error type.
	Errors map[string]int64
	// Batches, Events and MessageBytes count what PutLogEvents accepted.
	Batches, Events, MessageBytes int64
	// BatchBytes is the size of the accepted batches as the service counts it: each message plus 26
	// bytes.
	BatchBytes int64
	// Rejected counts the events that were dropped from accepted batches.
	Rejected int64
	// MostPutsInFlightPerStream is the maximum number of concurrent PutLogEvents calls for one
	// stream.
	MostPutsInFlightPerStream int
}

// Fill returns how full the accepted batches were on average; 1 is the limit of 1,048,576 bytes.
func (s Stats) Fill() float64 {
	if s.Batches == 0 {
		return 0
	}
	return float64(s.BatchBytes) / float64(s.Batches) / batch.MaxBatchBytes
}

// counters collects the Stats. Every request adds to them, so a mutex guards them.
type counters struct {
	mu      sync.Mutex
	stats   Stats
	streams map[streamName]int // number of puts in flight
}

type streamName struct{ group, stream string }

// enter counts a call, numbers it, and returns a function to call once it has been answered.
func (c *counters) enter(call *Call) (leave func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stats.Calls == nil {
		c.stats.Calls, c.stats.Errors, c.streams = map[string]int64{}, map[string]int64{}, map[streamName]int{}
	}
	c.stats.Calls[call.Action]++
	call.N = c.stats.Calls[call.Action]
	if call.Action != "PutLogEvents" {
		return func() {}
	}
	name := streamName{call.Group, call.Stream}
	c.streams[name]++
	c.stats.MostPutsInFlightPerStream = max(c.stats.MostPutsInFlightPerStream, c.streams[name])
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.streams[name]--; c.streams[name] == 0 {
			delete(c.streams, name)
		}
	}
}

// accepted counts a batch of which events were stored and rejected events were not.
func (c *counters) accepted(events []inputEvent, rejected int) {
	var bytes int64
	for _, e := range events {
		bytes += int64(len(*e.Message))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := int64(len(events))
	c.stats.Batches++
	c.stats.Events += n
	c.stats.MessageBytes += bytes
	c.stats.BatchBytes += bytes + n*batch.EventOverhead
	c.stats.Rejected += int64(rejected)
}

// answered counts an answer's error type; "" means none.
func (c *counters) answered(code string) {
	if code == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stats.Errors == nil {
		c.stats.Errors = map[string]int64{}
	}
	c.stats.Errors[code]++
}

// Stats returns the counts so far.
func (s *Server) Stats() Stats {
	c := &s.counters
	c.mu.Lock()
	defer c.mu.Unlock()
	stats := c.stats
	stats.Calls, stats.Errors = maps.Clone(stats.Calls), maps.Clone(stats.Errors)
	return stats
}

// Event is a stored event, with times in milliseconds since 1970.
type Event struct {
	Timestamp, IngestionTime int64
	Message                  string
}

// Groups returns the names of the log groups, sorted.
func (s *Server) Groups() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.groups))
}

// Streams returns the names of a group's streams, sorted, or nil if there is no such group.
func (s *Server) Streams(group string) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if g := s.groups[group]; g != nil {
		return slices.Sorted(maps.Keys(g.streams))
	}
	return nil
}

// Events returns the events of a stream in reading order, including those that
// Options.ReadableAfter still hides, or nil if there is no such stream.
func (s *Server) Events(group, stream string) []Event {
	st, _, err := s.find(group, stream)
	if err != nil {
		return nil
	}
	v := st.view()
	texts := make([]string, len(v.chunks)) // one copy per chunk instead of one per message
	for i := range v.chunks {
		texts[i] = string(v.chunks[i].data)
	}
	arrived := make([]Event, 0, v.count)
	for i := range v.chunks {
		for _, e := range v.chunks[i].events {
			arrived = append(arrived, Event{e.timestamp, e.ingestion, texts[i][e.start:e.end]})
		}
	}
	if v.order == nil {
		return arrived
	}
	events := make([]Event, v.count)
	for i, arrival := range v.order {
		events[i] = arrived[arrival]
	}
	return events
}

// DeleteGroup deletes a log group, like DeleteLogGroup, and reports whether it existed.
func (s *Server) DeleteGroup(name string) bool {
	_, err := (&deleteLogGroup{name}).do(s, defaultRegion)
	return err == nil
}

// DeleteStream deletes a log stream, like DeleteLogStream, and reports whether it existed.
func (s *Server) DeleteStream(group, stream string) bool {
	_, err := (&deleteLogStream{group, stream}).do(s, defaultRegion)
	return err == nil
}
