package shipper

import (
	"maps"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/metrics"
)

// stats returns what the process has done for all inputs, and what still waits.
func (s *Shipper) stats() metrics.Stats {
	source := s.o.Metrics
	all := source.Done
	all.Experts = maps.Clone(all.Experts)
	all.Types, all.Calls = source.Types.Counts(), source.Calls.Stats()
	for _, in := range s.inputs.all {
		if in.done {
			continue
		}
		in.addTo(&all, source)
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
	return all
}

// keepStats keeps the statistics of an input that the loop is finished with. If the input is not
// done, its jobs count in the process that continues it.
func (s *Shipper) keepStats(in *input) {
	source := s.o.Metrics
	if source == nil {
		return
	}
	in.addTo(&source.Done, source)
	if in.done {
		source.Done.Outcomes.Add(in.shaper.Receipt().Outcomes())
	}
}

// addTo adds what was done for the input since the loop took it in.
func (in *input) addTo(all *metrics.Stats, source *metrics.Source) {
	var counts Counts
	counts.take(in)
	all.Lines += counts.Lines
	all.Bytes += counts.Bytes
	all.Excluded += counts.Excluded
	all.Redacted += counts.Redacted
	all.Lossy += counts.Lossy
	all.Repeated += counts.Repeated
	all.Rejected += counts.Rejected
	all.Retimed += counts.Retimed
	for expert, u := range tokensOf(in.shaper) {
		before := in.tokensBefore[expert]
		all.AddTokens(source.Expert(expert), batch.Usage{
			InputTokens: u.InputTokens - before.InputTokens, OutputTokens: u.OutputTokens - before.OutputTokens,
			CachedInputTokens: u.CachedInputTokens - before.CachedInputTokens, ReasoningTokens: u.ReasoningTokens - before.ReasoningTokens,
		})
	}
}

// tokensOf returns the usage of each Expert in the shaper's receipt.
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
