package fleet

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// scenario is what happens to a fleet. All tasks start in the same second.
type scenario struct {
	name    string
	about   string // a sentence for the table
	quotas  quotas
	latency [2]time.Duration // of a call: minimum and maximum
	length  time.Duration    // until the agents end
	work    work
	flush   time.Duration // the shippers' flush interval; 0: one second
	phases  []phase
	// Calls fail in [trouble[0], trouble[1]), each with this chance.
	trouble [2]time.Duration
	chance  float64
	// lag is the longest that a line may wait, if the quotas do not determine it. 0: any time.
	lag time.Duration
	// short is the number of tasks in `make test`. 0: the scenario is left out.
	short int
	// drains says whether to measure a backlog: of streams to create since the start, or of lines
	// from before the end of the trouble.
	drains bool
}

// phase is a period in which calls should be evenly spread, once its first minute is over.
type phase struct{ from, to time.Duration }

func (sc *scenario) refusal(at time.Duration, random *rand.Rand) *refusal {
	if at >= sc.trouble[0] && at < sc.trouble[1] && random.Float64() < sc.chance {
		return unavailable
	}
	return nil
}

// scenarios returns the scenarios of `make fleet`, or those of `make test`. Their quotas are for
// 10,000 tasks. A smaller fleet gets its share, so that it meets the same limits as a large one.
func scenarios(full bool) []scenario {
	published := quotas{puts: 5000, streams: 50, groups: 10}
	created := quotas{puts: 5000, streams: 1000, groups: 10} // so that creation is no bottleneck
	scarce := quotas{puts: 600, streams: 1000, groups: 10}
	near := [2]time.Duration{20 * time.Millisecond, 60 * time.Millisecond}
	far := [2]time.Duration{1900 * time.Millisecond, 2100 * time.Millisecond}
	every := func(least, most time.Duration) [2]time.Duration { return [2]time.Duration{least, most} }
	thinks := work{3, every(10*time.Second, 30*time.Second)}
	talks := work{1, every(4*time.Second, 12*time.Second)}
	streams := work{1, every(500*time.Millisecond, 500*time.Millisecond)}
	const m = time.Minute

	outage, half, start, waves, interval := 10*m, 5*m, 6*m, 3*m, 5*time.Second
	if !full {
		outage, half, start, waves, interval = 3*m, 2*m, 5*m, 2*m, 8*time.Second
		streams.pauses = every(2*time.Second, 2*time.Second) // still several lines per flush
	}
	return []scenario{
		{
			name: "start", about: "Each task creates its stream; three lines every 20 s from then on.",
			quotas: published, latency: near, length: start, work: thinks, phases: []phase{{0, start}}, drains: true, short: small,
		},
		{
			name: "steady", about: "A line every 8 s from each task, which uses a quarter of the quota.",
			quotas: created, latency: near, length: 3 * m, work: talks, phases: []phase{{0, 3 * m}},
		},
		{
			name: "waves", about: "A line every 0.5 s from each task, `--flush-interval 5s`. Without jitter the fleet would flush together.",
			quotas: created, latency: near, length: waves, work: streams, flush: interval, phases: []phase{{0, waves}},
			short: 240, // fewer tasks make too few calls to show a wave
		},
		{
			name: "busy", about: "A line every 0.5 s from each task, flushed each second: more than twice the quota.",
			quotas: created, latency: near, length: 2 * m, work: streams, phases: []phase{{0, 2 * m}},
		},
		{
			name: "outage", about: "As steady; after 2 minutes every call fails with 503 for " + minutes(outage) + ".",
			quotas: created, latency: near, length: outage + 4*m, work: talks, trouble: every(2*m, 2*m+outage), chance: 1,
			phases: []phase{{0, 2 * m}, {2 * m, 2*m + outage}, {2*m + outage, outage + 4*m}}, drains: true, short: small,
		},
		{
			name: "scarce", about: "As outage, in an account where other users leave 600 puts per second. The tasks need 500 (three lines every 20 s).",
			quotas: scarce, latency: near, length: outage + 6*m, work: thinks, trouble: every(2*m, 2*m+outage), chance: 1,
			phases: []phase{{2 * m, 2*m + outage}, {3*m + outage, outage + 6*m}}, drains: true, short: small,
		},
		{
			name: "half", about: "Three lines every 20 s from each task; after 2 minutes half of all calls fail with 503 for " + minutes(half) + ".",
			quotas: created, latency: near, length: half + 4*m, work: thinks, trouble: every(2*m, 2*m+half), chance: 0.5,
			phases: []phase{{0, 2 * m}, {2 * m, 2*m + half}, {2*m + half, half + 4*m}}, drains: true, short: small,
		},
		{
			name: "slow", about: "As steady, in a Region that answers in 2 s.",
			quotas: created, latency: far, length: 3 * m, work: talks, phases: []phase{{0, 3 * m}}, lag: m, short: small,
		},
	}
}

func minutes(d time.Duration) string { return fmt.Sprintf("%.0f minutes", d.Minutes()) }

// summary is the assessment of a result.
type summary struct {
	wave             float64 // the worst minute after the first of a phase
	drained, allowed time.Duration
	p50, p99, most   float64 // lags of all lines, in seconds
}

func (s summary) String() string {
	return fmt.Sprintf("wave %.2f, drained in %s of %s, lags %.2f s, %.2f s and %.2f s", s.wave, s.drained, s.allowed, s.p50, s.p99, s.most)
}

// scale reduces the scenario's quotas to those of n tasks.
func (sc *scenario) scale(n int) {
	share := float64(n) / 10_000
	sc.quotas.puts *= share
	sc.quotas.streams *= share
	sc.quotas.groups *= share
}

// judge summarizes a result.
func (sc *scenario) judge(r *result) (s summary) {
	for _, p := range sc.phases {
		for at := p.from + time.Minute; at+time.Minute <= p.to; at += time.Minute {
			s.wave = max(s.wave, r.wave(at, at+time.Minute))
		}
	}
	s.p50, s.p99, s.most = r.quantiles(0, len(r.lags))
	if !sc.drains {
		return s
	}
	if sc.chance == 0 {
		s.drained = r.lastCreated
		s.allowed = time.Duration(float64(r.count(0, s.drained, func(s second) int { return s.created })) / sc.quotas.streams * float64(time.Second))
		return s
	}
	back := sc.trouble[1]
	s.drained = max(r.lastBacklog-back, 0)
	puts := r.count(back, back+s.drained, func(s second) int { return s.accepted })
	s.allowed = max(time.Duration(float64(puts)/sc.quotas.puts*float64(time.Second)), longestPause)
	return s
}
