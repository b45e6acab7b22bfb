package audit

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/quantity"
	"perstack-shipper/shipper/readback"
)

// UsageQuery selects what to count.
type UsageQuery struct {
	// Jobs are the ids of jobs. If empty, all jobs with a record at or after Since are counted.
	Jobs []string
	// Since and Until bound the time of the counted events to [Since, Until). A zero time is no
	// bound.
	Since, Until time.Time
	// Read says how to read a job, such as the template of its streams.
	Read readback.Query
}

// Usage is what jobs used, counted from their events.
type Usage struct {
	Jobs []*JobUsage // ordered by start
	// Differences has a sentence for each disagreement between events and seals, and for damaged
	// events.
	Differences []string
	// LeftOut has a sentence for each job with calls that --exclude-type left out. Seals count
	// those calls, but no event has them.
	LeftOut []string
}

// JobUsage is what one job used. Times are in ms since 1970.
type JobUsage struct {
	Job     string         `json:"job"`
	Calls   int64          `json:"calls"`
	Usage   batch.Usage    `json:"usage"`
	Experts []*ExpertUsage `json:"experts"`
	Runs    []*RunUsage    `json:"runs"`
	Steps   []*StepUsage   `json:"steps"`

	days  map[string]*dayUsage
	runs  map[runKey]*RunUsage
	steps map[stepKey]*StepUsage
}

// ExpertUsage is what one Expert used in a job.
type ExpertUsage struct {
	ExpertKey string      `json:"expertKey"`
	Runs      int64       `json:"runs"`
	Calls     int64       `json:"calls"`
	Usage     batch.Usage `json:"usage"`
}

// RunUsage is what one run used. Old versions of Perstack gave all runs of a job the same id; there
// a RunUsage covers all runs of an Expert.
type RunUsage struct {
	RunID     string        `json:"runId"`
	ExpertKey string        `json:"expertKey"`
	Outcome   batch.Outcome `json:"outcome"`
	Started   int64         `json:"started"`
	Finished  int64         `json:"finished"` // its last event
	Steps     int64         `json:"steps"`
	Calls     int64         `json:"calls"`
	Usage     batch.Usage   `json:"usage"`
}

// StepUsage is what one step used that called a model.
type StepUsage struct {
	RunID      string      `json:"runId"`
	StepNumber int64       `json:"stepNumber"`
	ExpertKey  string      `json:"expertKey"`
	Started    int64       `json:"started"`
	Finished   int64       `json:"finished"` // its last event
	Calls      int64       `json:"calls"`
	Usage      batch.Usage `json:"usage"`
}

type (
	runKey  struct{ run, expert string }
	stepKey struct {
		runKey
		step int64
	}
	dayUsage struct {
		runs, calls int64
		usage       batch.Usage
	}
)

// CountUsage counts what jobs used. It returns [readback.ErrNothing] if there is nothing to count.
func CountUsage(ctx context.Context, src readback.Source, q UsageQuery) (*Usage, error) {
	v := &usageView{usage: &Usage{}, jobs: map[string]*JobUsage{}, from: math.MinInt64, to: math.MaxInt64}
	if !q.Since.IsZero() {
		v.from = q.Since.UnixMilli()
	}
	if !q.Until.IsZero() {
		v.to = q.Until.UnixMilli()
	}
	if len(q.Jobs) > 0 {
		for _, id := range slices.Compact(slices.Sorted(slices.Values(q.Jobs))) {
			of := q.Read
			of.Job = id
			v.asked = id
			if err := v.read(ctx, src, of); err != nil {
				return nil, err
			}
		}
		return v.conclude(), nil
	}
	inputs, err := recordsOf(ctx, src, q.Since)
	if err != nil {
		return nil, err
	}
	for _, g := range groups(inputs) {
		of := q.Read
		of.Streams, of.Inputs, of.Whole = g.streams, g.inputs, true
		if err := v.read(ctx, src, of); err != nil && !errors.Is(err, readback.ErrNothing) {
			return nil, err
		}
	}
	return v.conclude(), nil
}

// read counts what a query selects. It notes damage as a difference and continues.
func (v *usageView) read(ctx context.Context, src readback.Source, q readback.Query) error {
	_, err := readback.Read(ctx, src, q, v)
	if damage, ok := errors.AsType[*readback.DamageError](err); ok {
		v.usage.Differences = append(v.usage.Differences, damage.Error())
		return nil
	}
	return err
}

// conclude drops jobs without events within the bounds of time, and sorts the others.
func (v *usageView) conclude() *Usage {
	u := v.usage
	if v.from != math.MinInt64 || v.to != math.MaxInt64 {
		u.Jobs = slices.DeleteFunc(u.Jobs, func(j *JobUsage) bool { return len(j.Runs) == 0 && j.Calls == 0 })
	}
	for _, j := range u.Jobs {
		j.Steps = slices.DeleteFunc(j.Steps, func(s *StepUsage) bool { return s.Calls == 0 })
	}
	slices.SortStableFunc(u.Jobs, func(a, b *JobUsage) int { return cmp.Compare(a.started(), b.started()) })
	return u
}

func (j *JobUsage) started() (at int64) {
	for _, r := range j.Runs {
		if at == 0 || r.Started < at {
			at = r.Started
		}
	}
	return at
}

func (j *JobUsage) finished() (at int64) {
	for _, r := range j.Runs {
		at = max(at, r.Finished)
	}
	return at
}

// usageView counts the lines of inputs. Its memory grows with the number of steps, not of lines.
type usageView struct {
	readback.Ignore
	usage    *Usage
	jobs     map[string]*JobUsage
	asked    string // the job whose lines are read, or "" for all jobs
	from, to int64  // events in [from, to) are counted; ms since 1970

	// The current input.
	marker  batch.Marker
	job     string // the job of lines that name none
	seal    *seal
	counted map[string]*counted // by job, up to the seal's last seq
	scratch bytes.Buffer
}

type counted struct {
	calls int64
	usage batch.Usage
}

// Input implements readback.View.
func (v *usageView) Input(in *readback.Input) error {
	v.marker, v.job, v.seal, v.counted = batch.Marker{}, v.asked, nil, map[string]*counted{}
	return nil
}

// Record implements readback.View.
func (v *usageView) Record(r *readback.Record) error {
	if r.Kind == "seal" {
		if s := newestSeal(r); s != nil {
			v.seal = s
		}
	}
	return nil
}

// Line implements readback.View.
func (v *usageView) Line(l *readback.Line) error {
	if l.JobID != "" {
		v.job = l.JobID
	}
	if l.Text {
		return nil
	}
	line, err := l.All(&v.scratch)
	if err != nil {
		return err
	}
	mark, ok := v.marker.Line(line, v.job, l.RunID, l.Time)
	if ok && v.seal != nil && l.Seq <= v.seal.LastSeq {
		c := v.counted[mark.JobID]
		if c == nil {
			c = &counted{}
			v.counted[mark.JobID] = c
		}
		if mark.Call {
			c.calls++
			c.usage.Add(mark.Usage)
		}
	}
	if l.Time < v.from || l.Time >= v.to {
		return nil
	}
	j := v.of(v.job)
	j.touch(line, l)
	if ok {
		j.mark(&mark)
	}
	return nil
}

// End implements readback.View. It compares the counts with those of the seal.
func (v *usageView) End(in *readback.Input) error {
	if v.seal == nil {
		return nil
	}
	for i := range v.seal.Jobs {
		says := &v.seal.Jobs[i]
		if says.JobID == "" || v.asked != "" && says.JobID != v.asked {
			continue
		}
		c := v.counted[says.JobID]
		if c == nil {
			c = &counted{}
		}
		if c.calls == says.Calls && c.usage == says.Usage {
			continue
		}
		what := fmt.Sprintf("job %s: the events of input %s have %s with %s, but its seal counts %s with %s: ", says.JobID, in.ID,
			quantity.Count(c.calls, "call", "calls"), quantity.Count(c.usage.TotalTokens, "token", "tokens"),
			quantity.Count(says.Calls, "call", "calls"), quantity.Count(says.Usage.TotalTokens, "token", "tokens"))
		if v.seal.ExcludedLines > 0 && c.calls < says.Calls { // a missing line is a DamageError
			v.usage.LeftOut = append(v.usage.LeftOut, what+"--exclude-type left out the other events, so the figures are too low")
		} else {
			v.usage.Differences = append(v.usage.Differences, what+"events are missing or altered; run verify --job")
		}
	}
	return nil
}

// of finds or creates the entry of a job.
func (v *usageView) of(id string) *JobUsage {
	j := v.jobs[id]
	if j == nil {
		j = &JobUsage{
			Job: id, Experts: []*ExpertUsage{}, Runs: []*RunUsage{}, Steps: []*StepUsage{},
			days: map[string]*dayUsage{}, runs: map[runKey]*RunUsage{}, steps: map[stepKey]*StepUsage{},
		}
		v.jobs[id] = j
		v.usage.Jobs = append(v.usage.Jobs, j)
	}
	return j
}

// touch extends the times of the run and step that wrote a line.
func (j *JobUsage) touch(line []byte, l *readback.Line) {
	if l.RunID == "" || !bytes.Contains(line, []byte(`"expertKey"`)) {
		return // an event of the runtime, or one of most deltas
	}
	var of struct {
		ExpertKey  string `json:"expertKey"`
		StepNumber int64  `json:"stepNumber"`
	}
	if json.Unmarshal(line, &of) != nil {
		return // a member has the wrong type, so this is not an event of a run
	}
	key := runKey{l.RunID, of.ExpertKey}
	r := j.run(key, l.Time)
	r.Finished = max(r.Finished, l.Time)
	if of.StepNumber > 0 {
		s := j.step(stepKey{key, of.StepNumber}, l.Time)
		s.Finished = max(s.Finished, l.Time)
	}
}

// mark adds a mark to the counts of its job, Expert, run, step and day.
func (j *JobUsage) mark(m *batch.Mark) {
	key := runKey{m.RunID, m.Expert}
	r, e := j.run(key, m.Time), j.expert(m.Expert)
	d := j.day(m.Time)
	r.Finished = max(r.Finished, m.Time)
	if m.Begins {
		e.Runs++
		d.runs++
		r.Outcome = batch.Unfinished
	}
	if m.NewStep {
		r.Steps++
	}
	if m.Call {
		s := j.step(stepKey{key, m.Step}, m.Time)
		for _, calls := range []*int64{&j.Calls, &e.Calls, &r.Calls, &s.Calls, &d.calls} {
			*calls++
		}
		for _, usage := range []*batch.Usage{&j.Usage, &e.Usage, &r.Usage, &s.Usage, &d.usage} {
			usage.Add(m.Usage)
		}
	}
	if m.Ends != batch.NoEnd {
		r.Outcome = batch.Outcome(m.Ends)
	}
}

func (j *JobUsage) expert(key string) *ExpertUsage {
	for _, e := range j.Experts {
		if e.ExpertKey == key {
			return e
		}
	}
	e := &ExpertUsage{ExpertKey: key}
	j.Experts = append(j.Experts, e)
	return e
}

func (j *JobUsage) run(key runKey, at int64) *RunUsage {
	r := j.runs[key]
	if r == nil {
		r = &RunUsage{RunID: key.run, ExpertKey: key.expert, Outcome: batch.Unfinished, Started: at, Finished: at}
		j.runs[key] = r
		j.Runs = append(j.Runs, r)
	}
	r.Started = min(r.Started, at)
	return r
}

func (j *JobUsage) step(key stepKey, at int64) *StepUsage {
	s := j.steps[key]
	if s == nil {
		s = &StepUsage{RunID: key.run, StepNumber: key.step, ExpertKey: key.expert, Started: at, Finished: at}
		j.steps[key] = s
		j.Steps = append(j.Steps, s)
	}
	s.Started = min(s.Started, at)
	return s
}

func (j *JobUsage) day(at int64) *dayUsage {
	day := time.UnixMilli(at).UTC().Format(time.DateOnly)
	d := j.days[day]
	if d == nil {
		d = &dayUsage{}
		j.days[day] = d
	}
	return d
}
