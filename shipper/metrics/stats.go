// Package metrics tells Prometheus, and whoever asks whether the shipper is well, what the shipper
// does. It counts nothing on the way of a line: the loop that ships says what it has counted
// anyway, when it is asked.
package metrics

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"perstack-shipper/batch"
)

// Stats are what a shipper has done since it started, and what waits now.
type Stats struct {
	Lines, Bytes, Excluded, Redacted, Lossy, Repeated, Rejected, Retimed int64

	Types    map[string]int64       // lines by the types of their events
	Experts  map[string]batch.Usage // tokens by Expert
	Outcomes batch.Tally            // jobs by how they ended, so far

	Inputs  int   // that are not done
	Waiting int64 // bytes of them that are not acknowledged
	// Oldest is when the first line that waits arrived; zero where none does.
	Oldest       time.Time
	JournalBytes int64

	Calls CallStats
}

// AddTokens adds what an Expert took.
func (s *Stats) AddTokens(expert string, u batch.Usage) {
	if s.Experts == nil {
		s.Experts = map[string]batch.Usage{}
	}
	sum := s.Experts[expert]
	sum.Add(u)
	s.Experts[expert] = sum
}

// Classes are those of calls that came to nothing.
var Classes = []string{"again", "credentials", "denied", "missing", "refused", "retry", "throttled"}

// bounds are those of the buckets of put times, in seconds.
var bounds = [...]float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}

// Calls counts calls of the API. Any goroutine may use it; a nil one counts nothing.
type Calls struct {
	accepted atomic.Int64
	failed   [8]atomic.Int64 // by the index in Classes
	buckets  [len(bounds) + 1]atomic.Int64
	nanos    atomic.Int64
}

// Put counts a put by how long its answer took.
func (c *Calls) Put(took time.Duration) {
	if c == nil {
		return
	}
	i := 0
	for i < len(bounds) && took.Seconds() > bounds[i] {
		i++
	}
	c.buckets[i].Add(1)
	c.nanos.Add(int64(took))
}

// Accepted counts a put that was accepted.
func (c *Calls) Accepted() {
	if c != nil {
		c.accepted.Add(1)
	}
}

// Failed counts a call that came to nothing, of any action, by its class.
func (c *Calls) Failed(class string) {
	if c == nil {
		return
	}
	for i, name := range Classes {
		if name == class {
			c.failed[i].Add(1)
		}
	}
}

// CallStats are counts of Calls.
type CallStats struct {
	Accepted int64
	Failed   []int64 // by the index in Classes
	Buckets  []int64 // puts by the time that they took, not cumulative
	Seconds  float64 // of all puts
}

// Stats returns the counts.
func (c *Calls) Stats() CallStats {
	s := CallStats{Accepted: c.accepted.Load(), Seconds: time.Duration(c.nanos.Load()).Seconds()}
	for i := range Classes {
		s.Failed = append(s.Failed, c.failed[i].Load())
	}
	for i := range c.buckets {
		s.Buckets = append(s.Buckets, c.buckets[i].Load())
	}
	return s
}

// Source is where the loop that ships is asked for its Stats. A process may run one loop after
// another. What the earlier ones counted is kept here, because a counter must not go backwards.
type Source struct {
	Calls Calls

	// These belong to the goroutine of the loop.
	Types batch.Types
	Done  Stats           // of inputs that no loop has any more
	named map[string]bool // Experts that are told apart

	asks chan chan Stats
}

// maxExperts bounds how many Experts are told apart: an agent may invent any number.
const maxExperts = 500

// Expert returns the name under which an Expert is counted: its own, or "other" where there are too
// many. The same Expert always gets the same name.
func (s *Source) Expert(name string) string {
	switch {
	case s.named[name]:
	case len(s.named) >= maxExperts:
		return "other"
	case s.named == nil:
		s.named = map[string]bool{name: true}
	default:
		s.named[name] = true
	}
	return name
}

// NewSource returns a Source.
func NewSource() *Source { return &Source{asks: make(chan chan Stats)} }

// Asked delivers, to the loop, a channel for each question, which takes one answer without waiting.
// Of a nil Source it delivers nothing.
func (s *Source) Asked() <-chan chan Stats {
	if s == nil {
		return nil
	}
	return s.asks
}

// Ask asks the loop. It is an error that the loop does not answer until ctx ends: it is stuck, or
// has not begun yet, or has ended.
func (s *Source) Ask(ctx context.Context) (Stats, error) {
	answer := make(chan Stats, 1)
	select {
	case s.asks <- answer:
	case <-ctx.Done():
		return Stats{}, fmt.Errorf("the shipper's loop does not answer: %w", context.Cause(ctx))
	}
	select {
	case stats := <-answer:
		return stats, nil
	case <-ctx.Done():
		return Stats{}, fmt.Errorf("the shipper's loop does not answer: %w", context.Cause(ctx))
	}
}
