package batch

// A Receipt sums up the lines of an input by job: which Experts ran, how the job ended and what it
// used. A seal carries the receipt, so that a list of jobs needs only the seals and not the events.
// The number of entries is bounded because an agent can name any number of jobs and Experts. The
// rest goes into entries without a name, so that the sums stay right.

import "slices"

const (
	maxJobs       = 100 // in a receipt
	maxExperts    = 50  // in a job
	maxAllExperts = 500 // in a receipt
)

// Receipt counts the marks of an input, or of several inputs read one after the other. Its zero
// value is ready to use.
type Receipt struct {
	jobs    []*Job
	experts int // of all jobs

	// The entry after the first maxJobs stands for all further jobs, one after the other. These are
	// the job that it stands for now, the Expert which that job began with, and the outcomes of the
	// jobs before it.
	further, furtherRoot string
	before               Tally

	changed []bool // which jobs have changed since they were last stored
}

// Job is what a receipt says about one job.
type Job struct {
	// JobID is "" for lines that belong to no job, and for the jobs beyond the limit of a receipt.
	JobID   string  `json:"jobId"`
	Outcome Outcome `json:"outcome"`
	// Started is the time of the job's first line, and Finished is the time of its outcome, or 0 if
	// there is none. Both are in milliseconds since 1970.
	Started  int64 `json:"started,omitempty"`
	Finished int64 `json:"finished,omitempty"`

	Runs  int64 `json:"runs"`
	Steps int64 `json:"steps"` // steps that called a model
	Calls int64 `json:"calls"` // calls of a model
	Usage Usage `json:"usage"`
	// Experts are in order of appearance. The job began with the first one that has a name. ""
	// stands for runs that name no Expert, and for the Experts beyond the limit.
	Experts []Expert `json:"experts"`
	// DelegateErrors counts the delegates that an error stopped, regardless of the job's outcome.
	DelegateErrors int64 `json:"delegateErrors,omitempty"`
	// DelegateError is the latest of these errors.
	DelegateError *Failure `json:"delegateError,omitempty"`
	// Error is the error of the outcome Failed.
	Error *Failure `json:"error,omitempty"`
}

// Expert is what a receipt says about an Expert in a job.
type Expert struct {
	Key   string `json:"expertKey"`
	Runs  int64  `json:"runs"`
	Calls int64  `json:"calls"`
	Usage Usage  `json:"usage"`
}

// Tally counts jobs by outcome.
type Tally struct {
	Completed   int64 `json:"completed"`
	Error       int64 `json:"error"`
	MaxSteps    int64 `json:"maxSteps"`
	Interactive int64 `json:"interactive"`
	Unfinished  int64 `json:"unfinished"`
}

// Count counts a job with outcome o.
func (t *Tally) Count(o Outcome) {
	switch o {
	case Completed:
		t.Completed++
	case Failed:
		t.Error++
	case MaxSteps:
		t.MaxSteps++
	case Interactive:
		t.Interactive++
	default:
		t.Unfinished++
	}
}

// Add adds the counts of another tally.
func (t *Tally) Add(o Tally) {
	t.Completed, t.Error, t.MaxSteps = t.Completed+o.Completed, t.Error+o.Error, t.MaxSteps+o.MaxSteps
	t.Interactive, t.Unfinished = t.Interactive+o.Interactive, t.Unfinished+o.Unfinished
}

// Of returns how many jobs had outcome o.
func (t *Tally) Of(o Outcome) int64 {
	switch o {
	case Completed:
		return t.Completed
	case Failed:
		return t.Error
	case MaxSteps:
		return t.MaxSteps
	case Interactive:
		return t.Interactive
	}
	return t.Unfinished
}

// Jobs returns the jobs in order of appearance. The next mark may change them.
func (r *Receipt) Jobs() []*Job { return r.jobs }

// Outcomes counts the jobs by their outcome.
func (r *Receipt) Outcomes() Tally {
	t := r.before
	for _, j := range r.jobs {
		t.Count(j.Outcome)
	}
	return t
}

// Usage returns the usage of all jobs.
func (r *Receipt) Usage() (u Usage) {
	for _, j := range r.jobs {
		u.Add(j.Usage)
	}
	return u
}

// Name records that a line with the time at, in milliseconds since 1970, belongs to a job. The
// receipt lists the job from then on, even if nothing ran in it.
func (r *Receipt) Name(jobID string, at int64) { r.job(jobID, at) }

// Add counts a mark. It also names the mark's job.
func (r *Receipt) Add(m *Mark) {
	j := r.job(m.JobID, m.Time)
	r.touch(j)
	e := r.expert(j, m.Expert)
	if m.Begins {
		j.Runs++
		e.Runs++
	}
	if m.Call {
		j.Calls++
		e.Calls++
		j.Usage.Add(m.Usage)
		e.Usage.Add(m.Usage)
	}
	if m.NewStep {
		j.Steps++
	}
	delegate := m.Delegated || m.Expert != "" && m.Expert != r.root(j, m.Expert)
	if m.Begins && m.Ends == NoEnd && !delegate {
		j.ends(Unfinished, 0, nil)
	}
	switch m.Ends {
	case EndError:
		if delegate {
			j.DelegateErrors++
			j.DelegateError = m.Error
		}
		j.ends(Failed, m.Time, m.Error)
	case EndMaxSteps:
		j.ends(MaxSteps, m.Time, nil)
	case EndInteractive:
		j.ends(Interactive, m.Time, nil)
	case EndCompleted:
		if !delegate { // the success of one delegate says nothing about another that was stopped
			j.ends(Completed, m.Time, nil)
		}
	}
}

// ends sets the outcome of the job. The latest one counts. The end of a stopped delegate counts as
// well, unless the Expert that the job began with continues.
func (j *Job) ends(o Outcome, at int64, f *Failure) { j.Outcome, j.Finished, j.Error = o, at, f }

// Root returns the Expert that the job began with, or "".
func (j *Job) Root() string {
	for i := range j.Experts {
		if key := j.Experts[i].Key; key != "" {
			return key
		}
	}
	return ""
}

// root returns the Expert that the current job of an entry began with. seen is an Expert of that
// job, in case none was known before.
func (r *Receipt) root(j *Job, seen string) string {
	if len(r.jobs) <= maxJobs || j != r.jobs[maxJobs] {
		return j.Root()
	}
	if r.furtherRoot == "" {
		r.furtherRoot = seen
	}
	return r.furtherRoot
}

// job returns the entry of a job, and creates it if necessary.
func (r *Receipt) job(id string, at int64) *Job {
	id = cut(id)
	if n := len(r.jobs); n > 0 && r.jobs[n-1].JobID == id && n <= maxJobs { // usually the last one
		return r.jobs[n-1]
	}
	named := r.jobs[:min(len(r.jobs), maxJobs)]
	if i := slices.IndexFunc(named, func(j *Job) bool { return j.JobID == id }); i >= 0 {
		return named[i]
	}
	if len(named) < maxJobs {
		j := &Job{JobID: id, Outcome: Unfinished, Started: at, Experts: []Expert{}}
		r.jobs = append(r.jobs, j)
		r.touch(j)
		return j
	}
	if len(r.jobs) == maxJobs {
		r.jobs = append(r.jobs, &Job{Outcome: Unfinished, Started: at, Experts: []Expert{}})
		r.further = id
	}
	j := r.jobs[maxJobs]
	if r.further != id {
		r.before.Count(j.Outcome)
		j.ends(Unfinished, 0, nil)
		r.further, r.furtherRoot = id, ""
	}
	r.touch(j)
	return j
}

// expert returns the entry of an Expert, and creates it if necessary.
func (r *Receipt) expert(j *Job, key string) *Expert {
	for i := range j.Experts {
		if j.Experts[i].Key == key {
			return &j.Experts[i]
		}
	}
	if full := len(j.Experts) >= maxExperts || r.experts >= maxAllExperts; full && key != "" && j.Root() != "" {
		return r.expert(j, "")
	}
	r.experts++
	j.Experts = append(j.Experts, Expert{Key: key})
	return &j.Experts[len(j.Experts)-1]
}

// Short returns a copy of the job with its Experts summed up as one and its texts cut to a tenth,
// for a seal that has no room for more.
func (j *Job) Short() *Job {
	short := *j
	all := Expert{}
	for _, e := range j.Experts {
		all.Runs += e.Runs
		all.Calls += e.Calls
		all.Usage.Add(e.Usage)
	}
	if short.Experts = []Expert{}; len(j.Experts) > 0 {
		short.Experts = append(short.Experts, all)
	}
	short.JobID = cutAt(j.JobID, maxText/10)
	short.Error, short.DelegateError = j.Error.short(), j.DelegateError.short()
	return &short
}

func (f *Failure) short() *Failure {
	if f == nil {
		return nil
	}
	return &Failure{cutAt(f.Expert, maxText/10), cutAt(f.Name, maxText/10), cutAt(f.Message, maxText/10)}
}
