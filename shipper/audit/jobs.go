// Package audit answers questions about jobs from what CloudWatch holds of them: which jobs ran,
// what they used, and what they had in their workspace. It reads with package readback and needs
// only permission to read the log group.
//
//	records.go                the seals and open records of a time
//	jobs.go                   the list of jobs, made from these records
//	usage.go, tally.go        tokens, calls and durations, counted from events
//	restore.go, workspace.go  the files of a job, written back to disk
//	checkpoints.go            the list of a job's checkpoints
//	sheet.go                  tables for people and for spreadsheets
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

// Outcomes of a job besides those that seals state.
const (
	// Running means that an input of the job was opened and not sealed since.
	Running batch.Outcome = "running"
	// Silent is Running without any event for [SilentAfter].
	Silent batch.Outcome = "silent"
	// Unknown means that the seal comes from a version that did not count jobs.
	Unknown batch.Outcome = "unknown"
)

// SilentAfter is how old the last event of a running job may be before the job counts as silent.
// Perstack gives a model five minutes to answer.
const SilentAfter = 15 * time.Minute

// Job is a job as its seals and open records describe it.
type Job struct {
	// ID is "" for an input that names no job, and for the jobs for which a seal had no room.
	ID      string        `json:"jobId"`
	Outcome batch.Outcome `json:"outcome"`
	// Started and Finished are in ms since 1970. Finished is 0 if it is unknown.
	Started  int64          `json:"started"`
	Finished int64          `json:"finished,omitempty"`
	Experts  []batch.Expert `json:"experts"`
	Runs     int64          `json:"runs"`
	Steps    int64          `json:"steps"`
	Calls    int64          `json:"calls"`
	Usage    batch.Usage    `json:"usage"`
	Error    *batch.Failure `json:"error,omitempty"`
	// Lines counts the lines of the job's inputs. It is nil if that is unknown, because there
	// is no seal or an input also holds lines of other jobs.
	Lines  *int64 `json:"lines"`
	Inputs int    `json:"inputs"`
	// Ended reports whether every input has its final seal.
	Ended bool `json:"ended"`

	counted bool   // a seal counts its runs, steps and tokens
	shared  bool   // an input also holds lines of other jobs
	said    int64  // lastWord of the input that gave the outcome
	sealed  int64  // when that input was sealed
	heard   int64  // when the newest record arrived
	ran     bool   // some input holds a run of the job, not only text
	running []open // open records without a seal after them
}

// JobsQuery selects jobs.
type JobsQuery struct {
	// Since and Until select the jobs that have a record at or after Since and began before Until.
	// A zero time is no bound.
	Since, Until time.Time
	// Failed selects only the jobs that are neither completed nor still running: those that stopped
	// with an error, ran out of steps, have no end, or are silent.
	Failed bool
	// Expert is the key of an Expert that ran in the job, or "" for any.
	Expert string
	// Now is the current time, which decides what is silent.
	Now time.Time
}

// Jobs returns the selected jobs, newest first. It reads seals and open records. It reads events
// only of jobs that seem to be running but have no record newer than [SilentAfter]. If there is no
// record at all, the error is [readback.ErrNothing].
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

// failed reports whether somebody should look into the job.
func (j *Job) failed() bool {
	return slices.Contains([]batch.Outcome{batch.Failed, batch.MaxSteps, batch.Unfinished, Silent}, j.Outcome)
}

// listen sets the outcome of a running job to Silent if none of its streams has an event since
// then. It reads the streams only if the job's last record is older than that.
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

// jobList assembles jobs from inputs.
type jobList struct {
	order []*Job
	byKey map[string]*Job
}

func newJobList() *jobList { return &jobList{byKey: map[string]*Job{}} }

// job finds or creates a job. Without an id, each input is a job of its own.
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

// add adds an input to the jobs that it names.
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
				continue // lines before the first one that named a job
			}
			of(entry.JobID).add(entry, s.Timestamp)
		}
		if s.Jobs == nil { // an old seal names only the streams of its jobs
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

// began notes that the job existed at a time.
func (j *Job) began(at int64) {
	if at != 0 && (j.Started == 0 || at < j.Started) {
		j.Started = at
	}
}

// lastWord returns when a job ended according to the events of an input, or when it began if it did
// not end. It puts inputs in order, which the times of their seals do not: what a killed process
// left in its journal is shipped and sealed after the process that continued the job.
func lastWord(entry *batch.Job) int64 { return cmp.Or(entry.Finished, entry.Started) }

// add adds a seal's entry to the job. If there are several inputs, the one with the latest events
// decides how the job ended.
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

// ran reports whether the input of a seal holds a run of the job, and not only text.
func ran(entry *batch.Job) bool {
	return entry.Runs > 0 || entry.Calls > 0 || entry.Outcome != batch.Unfinished
}

// WriteJobsJSON writes each job as a line of JSON.
func WriteJobsJSON(w io.Writer, jobs []*Job) error {
	for _, j := range jobs {
		if err := writeJSON(w, j); err != nil {
			return err
		}
	}
	return nil
}

// WriteJobs writes a table that is at most width columns wide. 0 means no limit.
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

// expert names the first Expert of the job, and how many more there are.
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
