// Package metrics serves the shipper's metrics to Prometheus, and its health. It adds no work per
// line: when asked, the shipping loop reports what it counts anyway.
//
//	stats.go  what a shipper counts, and how the loop is asked for it
//	text.go   the text format of Prometheus
//	serve.go  the HTTP server
package metrics

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"perstack-shipper/batch"
)

// Stats is what a shipper has done since it started, and what is waiting now.
type Stats struct {
	Lines, Bytes, Excluded, Redacted, Lossy, Repeated, Rejected, Retimed int64

	Types    map[string]int64       // lines by the type of their event
	Experts  map[string]batch.Usage // tokens by Expert
	Outcomes batch.Tally            // jobs by their outcome so far

	Inputs  int   // inputs being shipped
	Waiting int64 // bytes of them that CloudWatch has not acknowledged
	// Oldest is when the first waiting line arrived, or zero if none waits.
	Oldest       time.Time
	JournalBytes int64

	Calls CallStats
}

// AddTokens adds tokens that an Expert used.
func (s *Stats) AddTokens(expert string, u batch.Usage) {
	if s.Experts == nil {
		s.Experts = map[string]batch.Usage{}
	}
	sum := s.Experts[expert]
	sum.Add(u)
	s.Experts[expert] = sum
}

// Classes are the error classes of failed calls.
var Classes = []string{"again", "credentials", "denied", "missing", "refused", "retry", "throttled"}

// bounds are the upper bounds of the buckets for the durations of puts, in seconds.
var bounds = [...]float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}

// Calls counts calls of the API. It is safe for concurrent use. A nil *Calls counts nothing.
type Calls struct {
	accepted atomic.Int64
	failed   [8]atomic.Int64 // by the index in Classes
	buckets  [len(bounds) + 1]atomic.Int64
	nanos    atomic.Int64
}

// Put counts a put by the time that its answer took.
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

// Failed counts a failed call of any action by the class of its error.
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
	Buckets  []int64 // puts by duration; not cumulative
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

// Source asks the shipping loop for its Stats. A process may run several loops one after the other,
// so Source keeps the counts of earlier loops: a counter must not go backwards.
type Source struct {
	Calls Calls

	// The loop's goroutine owns these fields.
	Types batch.Types
	Done  Stats           // of inputs that are done
	named map[string]bool // Experts that are counted separately

	asks chan chan Stats
}

// maxExperts bounds how many Experts are counted separately, because an agent may invent any
// number.
const maxExperts = 500

// Expert returns the name under which an Expert is counted: its own, or "other" if there are too
// many. An Expert always gets the same name.
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

// Asked returns the channel on which the loop receives questions. A question is itself a channel,
// which takes one answer without blocking. For a nil Source nothing is ever received.
func (s *Source) Asked() <-chan chan Stats {
	if s == nil {
		return nil
	}
	return s.asks
}

// Ask asks the loop for its Stats. It returns an error if the loop does not answer before ctx ends,
// because it is stuck, has not started, or has ended.
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
