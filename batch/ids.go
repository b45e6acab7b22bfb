package batch

// IDs are the ids that an input has named so far. Lines without ids get these.
type IDs struct {
	Job        string `json:"job,omitempty"`        // the latest jobId, a raw JSON string
	JobIsRun   bool   `json:"jobIsRun,omitempty"`   // Job is the latest runId: no line named a job
	Run        string `json:"run,omitempty"`        // the first runId, a raw JSON string
	ManyRuns   bool   `json:"manyRuns,omitempty"`   // there was a second runId
	Unattended bool   `json:"unattended,omitempty"` // no job was named in time, so no line waits
}

// ids adds ids to lines that lack them.
type ids struct {
	job, run string // from the options, as raw JSON strings; "": none
	IDs
}

func newIDs(shape *Shape, known IDs) ids {
	out := ids{IDs: known}
	if shape.JobID != "" {
		out.job = string(quote(shape.JobID))
	}
	if shape.RunID != "" {
		out.run = string(quote(shape.RunID))
	}
	return out
}

// latest returns the job of lines that name none, as a raw JSON string, or "" before there is one.
func (i *ids) latest() string {
	if i.job != "" {
		return i.job
	}
	return i.Job
}

// lacks reports whether a line has no job yet but may get one.
func (i *ids) lacks(h *head) bool {
	return h.jobID == nil && i.latest() == "" && !i.Unattended && !isID(h.runID)
}

// learn remembers the ids of a line for later lines. It reports whether the latest job has changed.
func (i *ids) learn(h *head) (changed bool) {
	job, run := h.jobID, h.runID
	switch {
	case isID(job):
		i.JobIsRun = false
		if string(job) != i.Job {
			if i.Job != "" && i.Run != "" {
				i.ManyRuns = true // the known run belongs to the other job
			}
			i.Job, changed = string(job), true
		}
	case job == nil && isID(run) && (i.Job == "" || i.JobIsRun) && string(run) != i.Job:
		// Until a line names a job, the run is the job.
		i.Job, i.JobIsRun, changed = string(run), true, true
	}
	if isID(run) && !i.ManyRuns && string(run) != i.Run {
		if i.Run == "" {
			i.Run = string(run)
		} else {
			i.ManyRuns = true
		}
	}
	return changed
}

// named returns the job that a line names, or its run if that is the job; nil if it names none.
func (i *ids) named(h *head) []byte {
	if h.jobID == nil && i.JobIsRun && i.job == "" {
		return h.runID
	}
	return h.jobID
}

// added returns the ids to add to a line, as raw JSON strings. An id is "" if the line has it or it
// is not known.
func (i *ids) added(h *head) (job, run string) {
	if h.jobID == nil {
		job = i.latest()
	}
	if h.runID == nil {
		switch {
		case i.run != "":
			run = i.run
		case !i.ManyRuns && (h.jobID == nil || string(h.jobID) == i.Job):
			run = i.Run // with parallel runs a guess would blame the wrong Expert
		}
	}
	return job, run
}

// of returns the ids of a line: its own or, if it lacks them, the ones to add. Text events and
// parts, whose members the shipper writes itself, carry these.
func (i *ids) of(h *head) (job, run string) {
	job, run = i.added(h)
	if isID(h.jobID) {
		job = string(h.jobID)
	}
	if isID(h.runID) {
		run = string(h.runID)
	}
	return job, run
}

// isID reports whether a raw JSON value can name a job or a run. It must be a string, not empty,
// and not so large that it can only be an attack.
func isID(raw []byte) bool {
	return len(raw) > 2 && len(raw) <= maxID && raw[0] == '"'
}
