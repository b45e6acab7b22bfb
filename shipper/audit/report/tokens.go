package report

import (
	"perstack-shipper/batch"
	"perstack-shipper/shipper/quantity"
)

// This file shows tokens by Expert. Package batch counts them, as it does for the seal.

// ExpertTokens is what an Expert used.
type ExpertTokens struct {
	Expert, Class string
	Runs, Calls   int64
	Usage         batch.Usage
	Bars          []Bar // for an SVG that is 1,000 units wide
}

// tokens returns what each Expert used, in order of appearance, and what all of them used.
func (r *Report) tokens(palette *palette) (list []ExpertTokens, total ExpertTokens) {
	for _, job := range r.receipt.Jobs() {
		for _, e := range job.Experts {
			list = append(list, ExpertTokens{Expert: e.Key, Class: palette.class(e.Key), Runs: e.Runs, Calls: e.Calls, Usage: e.Usage})
			total.Runs, total.Calls = total.Runs+e.Runs, total.Calls+e.Calls
			total.Usage.Add(e.Usage)
		}
	}
	most := int64(1)
	for _, e := range list {
		most = max(most, e.Usage.InputTokens+e.Usage.OutputTokens)
	}
	for i := range list {
		u := &list[i].Usage
		width := func(n int64) float64 { return tenths(1000 * float64(n) / float64(most)) }
		in, out := width(u.InputTokens), width(u.OutputTokens)
		list[i].Bars = []Bar{
			{X: 0, W: in, What: "in", Title: quantity.Number(u.InputTokens) + " input tokens"},
			{X: in, W: out, What: "out", Title: quantity.Number(u.OutputTokens) + " output tokens"},
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
