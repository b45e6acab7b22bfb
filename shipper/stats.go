package shipper

import (
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/metrics"
)

// stats returns what has been done, of all inputs, and what waits.
func (s *Shipper) stats() metrics.Stats {
	all := metrics.Stats{Types: s.types.Counts(), Calls: s.o.Metrics.Calls.Stats(), Outcomes: s.ended.outcomes}
	sum := s.ended.counts
	for expert, u := range s.ended.experts.Experts {
		all.AddTokens(expert, u)
	}
	for _, in := range s.inputs.all {
		if in.done {
			continue
		}
		sum.take(in)
		in.countTokens(&all)
		all.Outcomes.Add(in.shaper.Receipt().Outcomes())
		all.Inputs++
		all.JournalBytes += in.Journal.Allocated()
		all.Waiting += max(0, in.Journal.Size()-in.ack.offset)
		if in.caughtUp() {
			continue
		}
		if oldest := time.UnixMilli(in.Journal.ArrivalAt(in.ack.offset)); all.Oldest.IsZero() || oldest.Before(all.Oldest) {
			all.Oldest = oldest
		}
	}
	all.Lines, all.Bytes, all.Excluded, all.Redacted = sum.Lines, sum.Bytes, sum.Excluded, sum.Redacted
	all.Lossy, all.Repeated, all.Rejected, all.Retimed = sum.Lossy, sum.Repeated, sum.Rejected, sum.Retimed
	return all
}

// endedStats are those of inputs that are done.
type endedStats struct {
	counts   Counts
	experts  metrics.Stats // of which the tokens alone are kept
	outcomes batch.Tally
}

// take adds an input that is done.
func (e *endedStats) take(in *input) {
	e.counts.take(in)
	in.countTokens(&e.experts)
	e.outcomes.Add(in.shaper.Receipt().Outcomes())
}

// countTokens adds what the input's Experts have taken since this process started.
func (in *input) countTokens(to *metrics.Stats) {
	for expert, u := range tokensOf(in.shaper) {
		before := in.tokensBefore[expert]
		to.AddTokens(expert, batch.Usage{
			InputTokens: u.InputTokens - before.InputTokens, OutputTokens: u.OutputTokens - before.OutputTokens,
			CachedInputTokens: u.CachedInputTokens - before.CachedInputTokens, ReasoningTokens: u.ReasoningTokens - before.ReasoningTokens,
		})
	}
}

// tokensOf returns what each Expert of the shaper's receipt took.
func tokensOf(shaper *batch.Shaper) map[string]batch.Usage {
	all := map[string]batch.Usage{}
	for _, job := range shaper.Receipt().Jobs() {
		for _, expert := range job.Experts {
			sum := all[expert.Key]
			sum.Add(expert.Usage)
			all[expert.Key] = sum
		}
	}
	return all
}
