package shipper

import (
	"encoding/json"
	"fmt"

	"perstack-shipper/batch"
)

// unfinished says what is missing at the end of an input: the rest of a line, or the end of a run that it began. Perstack loses what its pipe has not
// taken when it throws or is killed, and nobody else would notice. It returns "" where nothing is missing.
func (in *input) unfinished() string {
	if in.read.state == truncated {
		return "" // that was said, and its rest is another input
	}
	what := ""
	st, job := in.shaper.State(), in.running()
	var last string
	if json.Unmarshal([]byte(st.Last), &last) != nil {
		last = "unknown"
	}
	switch {
	case st.Cut:
		what = fmt.Sprintf("input %s ended in the middle of a line of JSON (an event of type %q)", in.Shape.Input, last)
	case job != nil:
		run := "a run"
		if expert := job.Root(); expert != "" {
			run = fmt.Sprintf("a run of Expert %q", expert)
		}
		what = fmt.Sprintf("input %s ended before job %q did: %s had begun, and the last event was %q", in.Shape.Input, job.JobID, run, last)
	default:
		return ""
	}
	if in.Exit != nil {
		return what + "; the command ended, or was killed, before it had written more"
	}
	return what + "; what the agent wrote after that never arrived, for it loses what its pipe has not taken when it throws or is killed: `perstack-shipper exec` gives it a file instead"
}

// running is the latest job of which a run has begun and none has ended the job, or nil.
func (in *input) running() *batch.Job {
	jobs := in.shaper.Receipt().Jobs()
	for i := len(jobs) - 1; i >= 0; i-- {
		if jobs[i].Runs > 0 && jobs[i].Outcome == batch.Unfinished {
			return jobs[i]
		}
	}
	return nil
}

// newestRuns reports whether a run of the job that was named last has begun, and none has ended that job.
func (in *input) newestRuns() bool {
	jobs := in.shaper.Receipt().Jobs()
	if len(jobs) == 0 {
		return false
	}
	newest := jobs[len(jobs)-1]
	return newest.Runs > 0 && newest.Outcome == batch.Unfinished
}
