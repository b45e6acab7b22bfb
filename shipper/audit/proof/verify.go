// Package proof proves that a log group holds a job completely and as it was shipped.
package proof

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/quantity"
	"perstack-shipper/shipper/readback"
)

// Verification says what to prove, and how.
type Verification struct {
	Jobs         []string // if empty, everything that was shipped in [Since, Until)
	Since, Until time.Time

	StreamTemplate string // see [readback.Query]
	Search         bool   // see [readback.Query]

	// Originals are files with the agent's output, which is compared with the log group. "-" is
	// stdin.
	Originals []string

	// Settle is how long to look again for missing lines, because new events may take seconds to
	// become readable.
	Settle time.Duration

	Unmask bool // see [readback.Query]
	Memory int  // see [readback.Query]

	Now func() time.Time // nil means time.Now
}

// Result is the result of [Verify].
type Result struct {
	Verdict Verdict `json:"verdict"`
	Jobs    []*Job  `json:"jobs"`
	// Why has a sentence for each finding that concerns no job.
	Why []string `json:"why,omitempty"`
}

// Job is the proof of a job.
type Job struct {
	JobID   string   `json:"jobId"` // "" if no line names a job
	Verdict Verdict  `json:"verdict"`
	Inputs  []*Input `json:"inputs"`
	Why     []string `json:"why,omitempty"`
}

// Input is the proof of an input.
type Input struct {
	ID       string     `json:"input"`
	Source   string     `json:"source"` // stdout, stderr, or the path of a followed file
	Lines    int64      `json:"lines"`
	Bytes    int64      `json:"bytes"`
	LastSeq  int64      `json:"lastSeq"`
	SHA256   string     `json:"sha256"` // of its lines, or "" if some are missing or altered
	Missing  [][2]int64 `json:"missing"`
	Altered  []int64    `json:"altered"` // as far as known
	Rejected [][2]int64 `json:"rejected"`
	Excluded int64      `json:"excluded"`
	Repeats  int64      `json:"repeats"`
	Ended    bool       `json:"ended"`
	Verdict  Verdict    `json:"verdict"`
	Why      []string   `json:"why,omitempty"`  // a sentence for each finding
	Jobs     []string   `json:"jobs,omitempty"` // the jobs that share it, if there are several
}

// Verdict is the outcome of a proof.
type Verdict string

// The verdicts.
const (
	Complete    Verdict = "complete"
	NotComplete Verdict = "not complete"
	CannotTell  Verdict = "cannot be told"
)

// and returns the worse of two verdicts.
func (v Verdict) and(w Verdict) Verdict {
	for _, worst := range []Verdict{NotComplete, CannotTell} {
		if v == worst || w == worst {
			return worst
		}
	}
	return Complete
}

// Verify proves that a log group holds jobs completely and as they were shipped, or says what is
// missing or altered. It calls each, which may be nil, with every job as soon as its verdict is
// known. It returns an error only if the log group cannot be read. What is wrong with a job is in
// the Result.
func Verify(ctx context.Context, src readback.Source, v Verification, each func(*Job) error) (*Result, error) {
	if v.Now == nil {
		v.Now = time.Now
	}
	originals, err := openOriginals(v.Originals)
	if err != nil {
		return nil, err
	}
	defer originals.close()
	p := proving{
		v: &v, src: src, originals: originals, settled: v.Now().Add(v.Settle), proof: &Result{Verdict: Complete, Jobs: []*Job{}},
		each: func(j *Job) error {
			if each == nil {
				return nil
			}
			return each(j)
		},
	}
	if len(v.Jobs) > 0 {
		err = p.jobs(ctx)
	} else {
		err = p.period(ctx)
	}
	if err != nil {
		return nil, err
	}
	for _, why := range originals.left() {
		p.proof.Why = append(p.proof.Why, why)
		p.proof.Verdict = NotComplete
	}
	return p.proof, nil
}

// proving is the state of one call of [Verify].
type proving struct {
	v         *Verification
	src       readback.Source
	originals *originals
	settled   time.Time // until then Verify looks again for missing lines
	group     *cloudwatch.Group
	proof     *Result
	each      func(*Job) error
}

// jobs proves the jobs named in the Verification.
func (p *proving) jobs(ctx context.Context) error {
	for _, id := range p.v.Jobs {
		inputs, foreign, err := p.read(ctx, readback.Query{Job: id, Search: p.v.Search})
		job := &Job{JobID: id, Verdict: Complete, Inputs: inputs}
		switch {
		case errors.Is(err, readback.ErrNothing):
			job.Verdict, job.Inputs = CannotTell, []*Input{}
			job.Why = []string{p.nothing(ctx)}
		case err != nil:
			return err
		}
		if err := p.conclude(job, foreign); err != nil {
			return err
		}
	}
	return nil
}

// nothing says why the log group may hold no event of a job.
func (p *proving) nothing(ctx context.Context) string {
	g := p.describe(ctx)
	if !g.CanBeRead() {
		return "the log group is of class " + g.Class + ", which cannot be read back"
	}
	keeps := ""
	if g.RetentionDays > 0 {
		keeps = fmt.Sprintf(", which keeps events for %s", days(g.RetentionDays))
	}
	return fmt.Sprintf("no event of the job is in the log group%s: check the job id and --log-stream, or use --search", keeps)
}

// period proves all inputs that have a seal or an open record in the period. It reads inputs that
// share streams together.
func (p *proving) period(ctx context.Context) error {
	var found found
	_, err := readback.Read(ctx, p.src, readback.Query{Records: true, Stderr: true, Since: p.v.Since, Until: p.v.Until, Memory: p.v.Memory}, &found)
	if err != nil {
		return err
	}
	p.originals.reserve(found.sums)
	for _, group := range found.together() {
		inputs, foreign, err := p.read(ctx, group)
		if errors.Is(err, readback.ErrNothing) {
			job := &Job{Verdict: CannotTell, Inputs: []*Input{}, Why: []string{fmt.Sprintf("log stream %q was deleted after its records were read", group.Streams[0])}}
			if err := p.conclude(job, 0); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		for i, job := range byJob(inputs) {
			if i > 0 {
				foreign = 0 // reported with the first job
			}
			if err := p.conclude(job, foreign); err != nil {
				return err
			}
		}
	}
	return nil
}

// byJob groups inputs by the job that each names first.
func byJob(inputs []*Input) []*Job {
	var jobs []*Job
	for _, in := range inputs {
		id := ""
		if len(in.Jobs) > 0 {
			id = in.Jobs[0]
		}
		i := slices.IndexFunc(jobs, func(j *Job) bool { return j.JobID == id })
		if i < 0 {
			i, jobs = len(jobs), append(jobs, &Job{JobID: id, Verdict: Complete})
		}
		jobs[i].Inputs = append(jobs[i].Inputs, in)
	}
	return jobs
}

// conclude adds a job to the proof.
func (p *proving) conclude(job *Job, foreign int64) error {
	for _, in := range job.Inputs {
		if len(in.Jobs) < 2 {
			in.Jobs = nil
		}
		job.Verdict = job.Verdict.and(in.Verdict)
	}
	if foreign > 0 {
		job.Why = append(job.Why, fmt.Sprintf("its log streams hold %s that perstack-shipper did not write, which may or may not belong to it",
			quantity.Count(foreign, "event", "events")))
		job.Verdict = job.Verdict.and(CannotTell)
	}
	p.proof.Jobs = append(p.proof.Jobs, job)
	p.proof.Verdict = p.proof.Verdict.and(job.Verdict)
	return p.each(job)
}

// read reads all of some inputs and proves them.
func (p *proving) read(ctx context.Context, q readback.Query) (inputs []*Input, foreign int64, err error) {
	q.Whole, q.Stderr = true, true
	q.StreamTemplate, q.Unmask, q.Memory = p.v.StreamTemplate, p.v.Unmask, p.v.Memory
	q.Wait = p.settled.Sub(p.v.Now())
	view := prover{ctx: ctx, p: p, job: q.Job}
	report, err := readback.Read(ctx, p.src, q, &view)
	if _, damaged := errors.AsType[*readback.DamageError](err); damaged {
		err = nil // the view was told of every fault
	}
	return view.inputs, report.Foreign, err
}

// describe describes the log group. It returns a zero Group if permission to describe it is
// missing.
func (p *proving) describe(ctx context.Context) cloudwatch.Group {
	if p.group == nil {
		p.group = &cloudwatch.Group{}
		if src, ok := p.src.(interface {
			DescribeGroup(context.Context) (cloudwatch.Group, bool, error)
		}); ok {
			if g, found, err := src.DescribeGroup(ctx); err == nil && found {
				p.group = &g
			}
		}
	}
	return *p.group
}

// found is the View of records that collects inputs and their streams.
type found struct {
	readback.Ignore
	inputs []string
	places map[string][]string // the streams of each input
	sums   []string            // the raw digests in the seals
}

// Input collects in, its streams and the raw digest in its seal.
func (f *found) Input(in *readback.Input) error {
	if f.places == nil {
		f.places = map[string][]string{}
	}
	f.inputs = append(f.inputs, in.ID)
	f.places[in.ID] = in.Streams
	if in.Seal != nil {
		f.places[in.ID] = append(slices.Clone(in.Streams), in.Seal.Streams...)
		f.sums = append(f.sums, rawSum(in.Seal))
	}
	return nil
}

// together returns a query for each set of inputs that share streams, in the order of the inputs.
func (f *found) together() []readback.Query {
	set := map[string]int{} // the set of each stream
	var sets []*readback.Query
	for _, id := range f.inputs {
		into := -1
		for _, name := range f.places[id] {
			other, ok := set[name]
			switch {
			case !ok, other == into:
			case into < 0:
				into = other
			default: // two sets become one
				a, b := sets[into], sets[other]
				for _, name := range b.Streams {
					set[name] = into
				}
				a.Streams, a.Inputs = append(a.Streams, b.Streams...), append(a.Inputs, b.Inputs...)
				sets[other] = nil
			}
		}
		if into < 0 {
			into, sets = len(sets), append(sets, &readback.Query{})
		}
		q := sets[into]
		q.Inputs = append(q.Inputs, id)
		for _, name := range f.places[id] {
			if _, ok := set[name]; !ok {
				set[name] = into
				q.Streams = append(q.Streams, name)
			}
		}
	}
	var queries []readback.Query
	for _, q := range sets {
		if q != nil {
			queries = append(queries, *q)
		}
	}
	return queries
}
