package run

import (
	"fmt"
	"slices"

	"go.uber.org/zap"

	"perstack-shipper/batch"
	"perstack-shipper/shipper"
)

// failedOn reports whether a job ended in one of the ways of Events.FailOn. If so, it logs which
// job, how and why.
func (s *Session) failedOn(jobs shipper.Jobs) bool {
	for _, k := range []struct {
		kind, did string
		job       *batch.Job
		failure   func(*batch.Job) *batch.Failure
	}{
		{"error", "was stopped by an error", jobs.Failed, func(j *batch.Job) *batch.Failure { return j.Error }},
		{"max-steps", "was stopped when its steps ran out", jobs.MaxSteps, nil},
		{"delegate-error", "is a delegate and was stopped by an error", jobs.DelegateError, func(j *batch.Job) *batch.Failure { return j.DelegateError }},
		{"unfinished", "did not finish", jobs.Unfinished, nil},
	} {
		if k.job == nil || !slices.Contains(s.events.FailOn, k.kind) {
			continue
		}
		expert, why := k.job.Root(), ""
		if k.failure != nil {
			f := k.failure(k.job)
			expert = f.Expert
			if text := f.String(); text != "" {
				why = ": " + text
			}
		}
		who := fmt.Sprintf("job %q", k.job.JobID)
		if expert != "" {
			who = fmt.Sprintf("Expert %q in job %q", expert, k.job.JobID)
		}
		s.log.Error(fmt.Sprintf("exit code 1 because of --fail-on %s: %s %s%s", k.kind, who, k.did, why), zap.String("job", k.job.JobID), zap.String("expert", expert), zap.String("failOn", k.kind))
		return true
	}
	return false
}
