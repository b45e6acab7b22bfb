package fleet

import (
	"math"
	"slices"
	"time"
)

// series records what happened in each second since the start of a fleet.
type series struct {
	seconds     []second
	lags        [][]float32   // of lines, in seconds, by the window of their acceptance
	lastCreated time.Duration // when the last stream was created
	lastBacklog time.Duration // when the last line from before the end of the trouble was accepted
}

// second counts the calls of one second.
type second struct{ calls, accepted, created, throttled, failed int }

// window is the period over which quantiles of lags are computed.
const window = 5 * time.Second

func (s *series) at(at time.Duration) *second {
	for len(s.seconds) <= int(at/time.Second) {
		s.seconds = append(s.seconds, second{})
	}
	return &s.seconds[at/time.Second]
}

// call counts one call. Refusals because something does not exist yet, or exists already, are not
// failures.
func (s *series) call(at time.Duration, action string, refused *refusal) {
	sec := s.at(at)
	sec.calls++
	switch {
	case refused == throttled:
		sec.throttled++
	case refused == unavailable:
		sec.failed++
	case refused != nil:
	case action == "PutLogEvents":
		sec.accepted++
	case action == "CreateLogStream":
		sec.created++
		s.lastCreated = at
	}
}

// line counts a line that was accepted at the given time, lag after it was written. trouble is when
// the trouble ends.
func (s *series) line(at, lag, trouble time.Duration) {
	for len(s.lags) <= int(at/window) {
		s.lags = append(s.lags, nil)
	}
	s.lags[at/window] = append(s.lags[at/window], float32(lag.Seconds()))
	if at-lag < trouble {
		s.lastBacklog = at
	}
}

// add adds the series of another fleet.
func (s *series) add(o *series) {
	for i, b := range o.seconds {
		a := s.at(time.Duration(i) * time.Second)
		a.calls += b.calls
		a.accepted += b.accepted
		a.created += b.created
		a.throttled += b.throttled
		a.failed += b.failed
	}
	for len(s.lags) < len(o.lags) {
		s.lags = append(s.lags, nil)
	}
	for i, lags := range o.lags {
		s.lags[i] = append(s.lags[i], lags...)
	}
	s.lastCreated = max(s.lastCreated, o.lastCreated)
	s.lastBacklog = max(s.lastBacklog, o.lastBacklog)
}

// quantiles returns the median, the 99th percentile and the maximum of the lags in the windows
// [from, to), in seconds.
func (s *series) quantiles(from, to int) (p50, p99, most float64) {
	all := slices.Concat(s.lags[min(from, len(s.lags)):min(to, len(s.lags))]...)
	if len(all) == 0 {
		return 0, 0, 0
	}
	slices.Sort(all)
	n := len(all)
	return float64(all[n/2]), float64(all[n*99/100]), float64(all[n-1])
}

// count adds up a figure over the seconds in [from, to).
func (s *series) count(from, to time.Duration, of func(second) int) int {
	n := 0
	last := int((to + time.Second - 1) / time.Second)
	for _, sec := range s.seconds[min(int(from/time.Second), len(s.seconds)):min(last, len(s.seconds))] {
		n += of(sec)
	}
	return n
}

func calls(s second) int { return s.calls }

// enough is how many calls a span of time must have on average for their number to be meaningful.
// With this many, chance alone makes the busiest of 60 spans 1.25 times as busy as the mean.
const enough = 100

// wave returns the ratio of the busiest second of [from, to) to the mean. For a small fleet, it
// combines as many seconds as are needed to have enough calls.
func (s *series) wave(from, to time.Duration) float64 {
	mean := float64(s.count(from, to, calls)) / (to - from).Seconds()
	if mean == 0 {
		return 0
	}
	span := time.Duration(math.Ceil(enough/mean)) * time.Second
	most := 0
	for at := from; at+span <= to; at += span {
		most = max(most, s.count(at, at+span, calls))
	}
	return float64(most) / mean / span.Seconds()
}
