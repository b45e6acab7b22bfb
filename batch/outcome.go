package batch

import "encoding/json"

// Outcome is how an input's job ended, as its lines say: Perstack exits with 0 when the model refused it or the steps ran out.
type Outcome struct {
	// Error and MaxSteps: the job's last word was that an error, or the number of steps, had stopped a run. Where the run that the job began with
	// completes after that, it was not the last word.
	Error, MaxSteps bool
	// DelegateError: an error stopped the run of a delegate, whatever became of the job.
	DelegateError bool
}

// verdict finds the outcome in the lines of an input.
type verdict struct {
	root string // the Expert that the job began with, a raw JSON string
	out  Outcome
}

// note takes notice of an object. What its type says is true of both names that Perstack's versions have for it.
func (v *verdict) note(h *head, line []byte) {
	if v.root == "" && h.expertKey != nil {
		v.root = string(h.expertKey)
	}
	switch string(h.typ) {
	case `"stopRunByError"`, `"errorRun"`:
		delegate := v.delegate(h) || delegated(line)
		v.out = Outcome{Error: true, DelegateError: v.out.DelegateError || delegate}
	case `"stopRunByExceededMaxSteps"`:
		v.out.Error, v.out.MaxSteps = false, true
	case `"completeRun"`, `"finishRun"`, `"stopRunByInteractiveTool"`:
		// That one delegate is done says nothing of another that was stopped.
		if !v.delegate(h) {
			v.out.Error, v.out.MaxSteps = false, false
		}
	}
}

// delegate reports whether the line is of another Expert than the one the job began with.
func (v *verdict) delegate(h *head) bool {
	return h.expertKey != nil && string(h.expertKey) != v.root
}

// delegated reports whether the run that the line ends was a delegate's: that of an Expert which delegates to itself is not known by its name. A
// run's end is rare enough to be decoded.
func delegated(line []byte) bool {
	var end struct {
		Checkpoint struct {
			DelegatedBy json.RawMessage `json:"delegatedBy"`
		} `json:"checkpoint"`
	}
	return json.Unmarshal(line, &end) == nil && len(end.Checkpoint.DelegatedBy) > len("null")
}

// Outcome returns how the job ended, as far as it was shaped since this Shaper was made.
func (s *Shaper) Outcome() Outcome { return s.verdict.out }

// Succeed makes s, which has shaped nothing, go on where before ended: with its job and run, for lines that name none, and what it knows of the
// outcome. It is for the rest of an input that was cut.
func (s *Shaper) Succeed(before *Shaper) {
	s.state.Job, s.state.Run, s.state.ManyRuns, s.state.Unattended = before.state.Job, before.state.Run, before.state.ManyRuns, before.state.Unattended
	s.verdict = before.verdict
}
