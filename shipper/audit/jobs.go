// Package audit has the views of what CloudWatch holds of jobs: which ran, and what they took. They
// read by package readback, and need nothing but permission to read the log group.
package audit

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/readback"
)

// The outcomes of a job that no seal says.
const (
	// Running: an input of the job was opened, and no seal followed.
	Running batch.Outcome = "running"
	// Silent is Running without any event for SilentAfter.
	Silent batch.Outcome = "silent"
	// Unknown: the seal is of a version that did not count jobs.
	Unknown batch.Outcome = "unknown"
)

// SilentAfter is how old the last event of a running job may be. Perstack gives a model five
// minutes to answer.
const SilentAfter = 15 * time.Minute

// Job is a job as its seals and open records tell.
type Job struct {
	// ID is "" for an input that named no job, and for the jobs that a seal had no room for.
	ID      string        `json:"jobId"`
	Outcome batch.Outcome `json:"outcome"`
	// Started and Finished are in ms since 1970; Finished is 0 while it is not known.
	Started  int64          `json:"started"`
	Finished int64          `json:"finished,omitempty"`
	Experts  []batch.Expert `json:"experts"`
	Runs     int64          `json:"runs"`
	Steps    int64          `json:"steps"`
	Calls    int64          `json:"calls"`
	Usage    batch.Usage    `json:"usage"`
	Error    *batch.Failure `json:"error,omitempty"`
	// Lines are those of the job's inputs; nil where that is not known: there is no seal, or an
	// input has other jobs' lines, too.
	Lines  *int64 `json:"lines"`
	Inputs int    `json:"inputs"`
	// Ended: each input has a seal that says that no more can come.
	Ended bool `json:"ended"`

	counted bool  // a seal says what it took
	shared  bool  // an input has lines of other jobs
	said    int64 // when the job ended by that, see lastWord
	sealed  int64 // when the input that says so was sealed
	heard   int64 // when the newest of its records arrived
	ran     bool  // some input has a run of it; others have its text only
	running []open
}

// JobsQuery says which jobs.
type JobsQuery struct {
	// Since and Until bound the time: jobs whose records are not before Since, and that began
	// before Until. Zero: no bound.
	Since, Until time.Time
	// Failed selects only the jobs that neither completed nor still run: an error, no steps left, no end
	// seen, or silent.
	Failed bool
	// Expert is the key of an Expert that ran in the job; "": any.
	Expert string
	// Now is the time, for what is silent.
	Now time.Time
}

// Jobs returns the jobs of a time, the newest first. It looks at seals and open records, and at no
// events but of what seems to run for longer than SilentAfter. Where there is no record at all, the
// error is readback.ErrNothing.
func Jobs(ctx context.Context, src readback.Source, q JobsQuery) ([]*Job, error) {
	inputs, err := recordsOf(ctx, src, q.Since)
	if err != nil {
		return nil, err
	}
	jobs := newJobList()
	for _, in := range inputs {
		jobs.add(in)
	}
	until := int64(math.MaxInt64)
	if !q.Until.IsZero() {
		until = q.Until.UnixMilli()
	}
	found := slices.DeleteFunc(jobs.order, func(j *Job) bool {
		return j.Started >= until || q.Expert != "" && !j.hasExpert(q.Expert)
	})
	for _, j := range found {
		if err := j.listen(ctx, src, q.Now.Add(-SilentAfter)); err != nil {
			return nil, err
		}
	}
	if q.Failed {
		found = slices.DeleteFunc(found, func(j *Job) bool { return !j.failed() })
	}
	slices.SortStableFunc(found, func(a, b *Job) int { return cmp.Compare(b.Started, a.Started) })
	return found, nil
}

func (j *Job) hasExpert(key string) bool {
	return slices.ContainsFunc(j.Experts, func(e batch.Expert) bool { return e.Key == key })
}

// failed reports whether somebody should look at the job.
func (j *Job) failed() bool {
	return slices.Contains([]batch.Outcome{batch.Failed, batch.MaxSteps, batch.Unfinished, Silent}, j.Outcome)
}

// listen finds out whether a job that runs is silent. Its streams are read only where its last
// record is not enough.
func (j *Job) listen(ctx context.Context, src readback.Source, since time.Time) error {
	if len(j.running) == 0 || j.heard >= since.UnixMilli() {
		return nil
	}
	for _, o := range j.running {
		alive, err := readback.Alive(ctx, src, o.stream, since)
		if alive || err != nil {
			return err
		}
	}
	j.Outcome = Silent
	return nil
}

// jobList puts jobs together from inputs.
type jobList struct {
	order []*Job
	byKey map[string]*Job
}

func newJobList() *jobList { return &jobList{byKey: map[string]*Job{}} }

// job finds or makes a job. What has no id is a job of its own for each input.
func (l *jobList) job(id string, in *recorded) *Job {
	key := "job " + id
	if id == "" {
		key = "input " + in.id
	}
	j := l.byKey[key]
	if j == nil {
		j = &Job{ID: id, Outcome: Unknown, Experts: []batch.Expert{}, Ended: true}
		l.byKey[key] = j
		l.order = append(l.order, j)
	}
	return j
}

// add adds what an input says of its jobs.
func (l *jobList) add(in *recorded) {
	var named []*Job
	of := func(id string) *Job {
		j := l.job(id, in)
		if !slices.Contains(named, j) {
			named = append(named, j)
		}
		return j
	}
	if s := in.seal; s != nil {
		for i := range s.Jobs {
			entry := &s.Jobs[i]
			if entry.JobID == "" && !ran(entry) && (len(s.Jobs) > 1 || in.stderr) {
				continue // some lines before the first that named a job
			}
			of(entry.JobID).add(entry, s.Timestamp)
		}
		if s.Jobs == nil { // all that it says of jobs is where their lines are
			for _, name := range s.Streams {
				o := in.open(name)
				of(o.jobID).began(cmp.Or(o.at, s.Timestamp))
			}
		}
	}
	for _, o := range in.running() {
		if o.jobID == "" && (len(named) > 0 || len(in.opens) > 1 || in.stderr) {
			continue
		}
		j := of(o.jobID)
		j.began(o.at)
		j.running = append(j.running, o)
		j.Outcome, j.Finished, j.Error, j.Ended = Running, 0, nil, false
		j.heard = max(j.heard, o.arrived)
	}
	for _, j := range named {
		j.Inputs++
		if in.seal == nil {
			j.Ended = false
			continue
		}
		j.heard = max(j.heard, in.sealed)
		j.Ended = j.Ended && in.seal.Ended
		j.shared = j.shared || len(named) > 1
		switch {
		case j.shared:
			j.Lines = nil
		case j.Lines == nil:
			j.Lines = &in.seal.Lines
		default:
			sum := *j.Lines + in.seal.Lines
			j.Lines = &sum
		}
	}
}

// began notes that the job was there at a time.
func (j *Job) began(at int64) {
	if at != 0 && (j.Started == 0 || at < j.Started) {
		j.Started = at
	}
}

// lastWord is when a job ended by the times of an input's events, or began where it did not end.
// The times of seals do not put inputs in order: what a killed process left in its journal is
// shipped and sealed after the process that went on with the job.
func lastWord(entry *batch.Job) int64 { return cmp.Or(entry.Finished, entry.Started) }

// add adds what a seal says of the job. Of several inputs, the one with the latest events says how
// it ended.
func (j *Job) add(entry *batch.Job, at int64) {
	j.counted = true
	j.began(entry.Started)
	j.Runs += entry.Runs
	j.Steps += entry.Steps
	j.Calls += entry.Calls
	j.Usage.Add(entry.Usage)
	for _, e := range entry.Experts {
		i := slices.IndexFunc(j.Experts, func(other batch.Expert) bool { return other.Key == e.Key })
		if i < 0 {
			j.Experts = append(j.Experts, e)
			continue
		}
		sum := &j.Experts[i]
		sum.Runs += e.Runs
		sum.Calls += e.Calls
		sum.Usage.Add(e.Usage)
	}
	said := lastWord(entry)
	if len(j.running) > 0 || j.ran && !ran(entry) || j.ran == ran(entry) && cmp.Or(cmp.Compare(said, j.said), cmp.Compare(at, j.sealed)) < 0 {
		return
	}
	j.ran, j.said, j.sealed = ran(entry), said, at
	j.Outcome, j.Finished, j.Error = entry.Outcome, entry.Finished, entry.Error
}

// ran reports whether the input of a seal holds a run of the job, and not text alone.
func ran(entry *batch.Job) bool {
	return entry.Runs > 0 || entry.Calls > 0 || entry.Outcome != batch.Unfinished
}

// WriteJobsJSON writes a line a job.
func WriteJobsJSON(w io.Writer, jobs []*Job) error {
	for _, j := range jobs {
		if err := writeJSON(w, j); err != nil {
			return err
		}
	}
	return nil
}

// WriteJobs writes a table. width is how many columns a line may take; 0: as many as it needs.
func WriteJobs(w io.Writer, jobs []*Job, now time.Time, width int) error {
	s := sheet{columns: []column{
		{title: "JOB", shrink: true}, {title: "STARTED (UTC)"}, {title: "DURATION", right: true}, {title: "OUTCOME"}, {title: "EXPERT", shrink: true},
		{title: "STEPS", right: true}, {title: "TOKENS", right: true}, {title: "LINES", right: true}, {title: "SEAL"},
	}}
	for _, j := range jobs {
		s.rows = append(s.rows, j.row(now))
	}
	return s.write(w, width)
}

func (j *Job) row(now time.Time) []cell {
	end := j.Finished
	if j.Outcome == Running {
		end = now.UnixMilli()
	}
	row := []cell{
		text(cmp.Or(j.ID, "-")), moment(j.Started), between(j.Started, end), text(j.Outcome), text(j.expert()),
		count(j.Steps), count(j.Usage.TotalTokens), text("-"), text("open"),
	}
	if !j.counted {
		row[5], row[6] = text("-"), text("-")
	}
	if j.Lines != nil {
		row[7] = count(*j.Lines)
	}
	if j.Ended {
		row[8] = text("complete")
	}
	return row
}

// expert names the Expert that the job began with, and how many more there are.
func (j *Job) expert() string {
	i := slices.IndexFunc(j.Experts, func(e batch.Expert) bool { return e.Key != "" })
	switch {
	case i < 0:
		return "-"
	case len(j.Experts) > 1:
		return fmt.Sprintf("%s +%d", j.Experts[i].Key, len(j.Experts)-1)
	}
	return j.Experts[i].Key
}
