package shipper

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"perstack-shipper/batch"
)

// An agent can name a great many jobs, and Experts whose keys take six bytes per character as JSON.
// The seal still fits into an event, and its sums are right.
func TestSealIsNeverTooLarge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	var data strings.Builder
	n := 0
	for job := range 110 {
		for expert := range 4 {
			n++
			fmt.Fprintf(&data, `{"type":"stopRunByError","jobId":"job %d","runId":"%d","expertKey":"%d%s","stepNumber":1,"usage":{"totalTokens":1},"error":{"message":%q}}`+"\n",
				job, n, expert, strings.Repeat(`\u0001`, 600), strings.Repeat("m", 600))
		}
	}
	in := w.pipe("aaaaaaaa", strings.NewReader(data.String()), nil)
	in.Shape.Template = "all"
	w.ship(in)
	seal := w.seal("aaaaaaaa", "all")
	var calls, ofExperts int64
	for _, j := range seal.Jobs {
		calls += j.Calls
		for _, e := range j.Experts {
			ofExperts += e.Calls
		}
	}
	if !seal.Ended || len(seal.Jobs) != 101 || seal.Tokens != int64(n) || calls != int64(n) || ofExperts != int64(n) || seal.Outcomes != (batch.Tally{Error: 110}) {
		t.Errorf("the seal has %d jobs, %d tokens, %d calls and %d calls by Experts, want %d of each but jobs; outcomes %+v", len(seal.Jobs), seal.Tokens, calls, ofExperts, n, seal.Outcomes)
	}
	if !slices.ContainsFunc(seal.Jobs, func(j *batch.Job) bool { return len(j.Experts) == 1 && j.Experts[0].Key == "" && j.Runs == 4 }) {
		t.Error("the Experts are not merged, so the test proves nothing")
	}
}
