package shipper

import (
	"cmp"
	"slices"
	"time"

	"perstack-shipper/batch"
)

// Counts counts what happened to inputs since this process started.
type Counts struct {
	Lines, EmptyLines, Events, Parts, Bytes int64
	// Repeated is how many events CloudWatch may have twice. Readers drop repeats.
	Repeated int64
	Rejected int64 // lines
	Lossy    int64 // lines that were not UTF-8
	Retimed  int64 // events sent with another time than their own
	Excluded int64 // lines that were left out
	Redacted int64 // matches that were replaced
}

// take adds the counts of an input.
func (c *Counts) take(in *input) {
	now, then := in.shaper.State(), in.ack.began
	c.Lines += now.Seq - then.State.Seq
	c.EmptyLines += now.Counts.EmptyLines - then.State.Counts.EmptyLines
	c.Events += now.Counts.Events - then.State.Counts.Events
	c.Parts += now.Counts.Parts - then.State.Counts.Parts
	c.Bytes += now.Counts.Bytes - then.State.Counts.Bytes
	c.Repeated += in.ack.account.Repeated - then.Account.Repeated
	c.Rejected += in.ack.account.Rejected.count() - then.Account.Rejected.count()
	c.Lossy += now.Counts.Lossy - then.State.Counts.Lossy
	c.Excluded += now.Excluded.Lines - then.State.Excluded.Lines
	c.Redacted += now.Counts.Redacted - then.State.Counts.Redacted
	c.Retimed += now.Counts.Clamped + in.ack.account.Restamped - then.State.Counts.Clamped - then.Account.Restamped
}

// Report says what [Shipper.Run] did.
type Report struct {
	// These count the primary inputs, since the process started.
	Counts
	Streams     int
	StreamNames []string // of the first mostNames streams
	Jobs        Jobs
	// These count all inputs.
	Groups  []string // log groups
	Batches int      // accepted puts
	Retries int      // failed attempts
	Took    time.Duration

	Left    []Left   // inputs that are not fully delivered
	Rejects []string // folders with a rejects.jsonl
	Failed  []error  // why data was lost or could not be shipped
}

// Jobs summarizes the jobs of the primary inputs, of which there may be any number.
type Jobs struct {
	// Failed is the latest job that an error stopped, MaxSteps the latest whose steps ran out,
	// Unfinished the latest that did not end, and DelegateError the latest with a delegate that
	// failed. Each is nil if there is none.
	Failed, MaxSteps, Unfinished, DelegateError *batch.Job

	Count    int
	Latest   *batch.Job // nil if Count is 0
	Outcomes batch.Tally
	Tokens   int64
}

func (j *Jobs) take(job batch.Job) {
	j.Count++
	j.Latest = &job
	j.Outcomes.Count(job.Outcome)
	j.Tokens += job.Usage.TotalTokens
	if job.DelegateErrors > 0 {
		j.DelegateError = &job
	}
	switch job.Outcome {
	case batch.Failed:
		j.Failed = &job
	case batch.MaxSteps:
		j.MaxSteps = &job
	case batch.Unfinished:
		j.Unfinished = &job
	}
}

func (j *Jobs) add(o Jobs) {
	j.Count, j.Latest, j.Tokens = j.Count+o.Count, cmp.Or(o.Latest, j.Latest), j.Tokens+o.Tokens
	j.Outcomes.Add(o.Outcomes)
	j.Failed, j.MaxSteps = cmp.Or(j.Failed, o.Failed), cmp.Or(j.MaxSteps, o.MaxSteps)
	j.Unfinished, j.DelegateError = cmp.Or(j.Unfinished, o.Unfinished), cmp.Or(j.DelegateError, o.DelegateError)
}

// Left is an input that is not fully delivered.
type Left struct {
	Input   string
	Path    string // its folder; "" if it was in memory and is gone
	File    string // the followed file that holds the bytes; "" if the folder holds them
	Bytes   int64  // not acknowledged
	Lost    int64  // of Bytes: those only in memory because the disk failed, or in a removed folder
	Primary bool
}

// Add adds the report of another Run that ran at the same time.
func (r *Report) Add(o Report) {
	r.Lines, r.EmptyLines, r.Events, r.Parts, r.Bytes = r.Lines+o.Lines, r.EmptyLines+o.EmptyLines, r.Events+o.Events, r.Parts+o.Parts, r.Bytes+o.Bytes
	r.Repeated, r.Rejected, r.Streams = r.Repeated+o.Repeated, r.Rejected+o.Rejected, r.Streams+o.Streams
	r.Lossy, r.Retimed = r.Lossy+o.Lossy, r.Retimed+o.Retimed
	r.Excluded, r.Redacted = r.Excluded+o.Excluded, r.Redacted+o.Redacted
	r.Jobs.add(o.Jobs)
	for _, group := range o.Groups {
		if !slices.Contains(r.Groups, group) {
			r.Groups = append(r.Groups, group)
		}
	}
	r.StreamNames = append(r.StreamNames, o.StreamNames...)
	r.StreamNames = r.StreamNames[:min(len(r.StreamNames), mostNames)]
	r.Batches, r.Retries, r.Took = r.Batches+o.Batches, r.Retries+o.Retries, max(r.Took, o.Took)
	r.Left, r.Rejects, r.Failed = append(r.Left, o.Left...), append(r.Rejects, o.Rejects...), append(r.Failed, o.Failed...)
}

// take adds an input's results.
func (r *Report) take(in *input) {
	if !in.Primary {
		return
	}
	r.Counts.take(in)
	for _, st := range in.streams {
		if !st.counted { // inputs share streams
			st.counted = true
			if slices.Contains(r.StreamNames, st.Name) {
				continue // it was counted before, and forgotten between two followed files
			}
			r.Streams++
			if len(r.StreamNames) < mostNames {
				r.StreamNames = append(r.StreamNames, st.Name)
			}
		}
	}
	for _, job := range in.shaper.Receipt().Jobs() {
		r.Jobs.take(*job)
	}
	if in.ack.account.Rejected.count() > in.ack.began.Account.Rejected.count() && in.Journal.Rejected() && !in.Journal.Gone() {
		r.Rejects = append(r.Rejects, in.Journal.Path())
	}
}

// leave adds an input that is not fully delivered.
func (r *Report) leave(in *input) {
	left := Left{Input: in.Shape.Input, Path: in.Journal.Path(), File: in.Journal.FilePath(), Primary: in.Primary}
	left.Bytes, left.Lost = in.Journal.Size()-in.ack.offset, in.Journal.Perishable()
	if in.Journal.Gone() && left.File != "" {
		left.Path = "" // the folder with the cursor is gone
	}
	r.Left = append(r.Left, left)
}

// primaryLeft reports whether a primary input is not fully delivered.
func (r *Report) primaryLeft() bool {
	for _, l := range r.Left {
		if l.Primary {
			return true
		}
	}
	return false
}
