package report

// This file shows tokens by Expert. Package batch counts them, as it does for the seal.

import (
	"perstack-shipper/batch"
	"perstack-shipper/shipper/quantity"
)

// expertTokens is what an Expert used.
type expertTokens struct {
	expert, class string
	runs, calls   int64
	usage         batch.Usage
	bars          []bar // for an SVG that is 1,000 units wide
}

// tokens returns what each Expert used, in order of appearance, and what all of them used.
func (r *Report) tokens(palette *palette) (list []expertTokens, total expertTokens) {
	for _, job := range r.receipt.Jobs() {
		for _, e := range job.Experts {
			list = append(list, expertTokens{expert: e.Key, class: palette.class(e.Key), runs: e.Runs, calls: e.Calls, usage: e.Usage})
			total.runs, total.calls = total.runs+e.Runs, total.calls+e.Calls
			total.usage.Add(e.Usage)
		}
	}
	most := int64(1)
	for _, e := range list {
		most = max(most, e.usage.InputTokens+e.usage.OutputTokens)
	}
	for i := range list {
		u := &list[i].usage
		width := func(n int64) float64 { return tenths(1000 * float64(n) / float64(most)) }
		in, out := width(u.InputTokens), width(u.OutputTokens)
		list[i].bars = []bar{
			{x: 0, w: in, what: "in", title: quantity.Number(u.InputTokens) + " input tokens"},
			{x: in, w: out, what: "out", title: quantity.Number(u.OutputTokens) + " output tokens"},
		}
	}
	return list, total
}

// outcome returns how the job ended according to its lines.
func (r *Report) outcome() batch.Outcome {
	for _, job := range r.receipt.Jobs() {
		return job.Outcome
	}
	return batch.Unfinished
}
