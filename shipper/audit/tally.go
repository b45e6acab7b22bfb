package audit

// This file writes the counts of usage.go.

import (
	"cmp"
	"io"
	"maps"
	"slices"

	"perstack-shipper/batch"
)

// By says what each row of a table of usage stands for.
type By string

// What the rows of a table of usage can stand for.
const (
	ByExpert By = "expert"
	ByRun    By = "run"
	ByStep   By = "step"
	ByJob    By = "job"
	ByDay    By = "day"
)

// WriteJSON writes each job as a line of JSON.
func (u *Usage) WriteJSON(w io.Writer) error {
	for _, j := range u.Jobs {
		if err := writeJSON(w, j); err != nil {
			return err
		}
	}
	return nil
}

// Write writes a table with a total that is at most width columns wide. 0 means no limit.
func (u *Usage) Write(w io.Writer, by By, width int) error {
	s := u.sheet(by)
	return s.write(w, width)
}

// WriteCSV writes the same table for a spreadsheet, without the total.
func (u *Usage) WriteCSV(w io.Writer, by By) error {
	s := u.sheet(by)
	return s.writeCSV(w)
}

// tokenColumns are the last columns of every row.
var tokenColumns = []column{
	{title: "CALLS", name: "calls", right: true}, {title: "INPUT", name: "input_tokens", right: true}, {title: "OUTPUT", name: "output_tokens", right: true},
	{title: "REASONING", name: "reasoning_tokens", right: true}, {title: "CACHED", name: "cached_input_tokens", right: true}, {title: "TOKENS", name: "total_tokens", right: true},
}

func tokenCells(calls int64, u batch.Usage) []cell {
	return []cell{count(calls), count(u.InputTokens), count(u.OutputTokens), count(u.ReasoningTokens), count(u.CachedInputTokens), count(u.TotalTokens)}
}

var (
	jobColumn      = column{title: "JOB", name: "job_id", shrink: true}
	runColumn      = column{title: "RUN", name: "run_id", shrink: true}
	expertColumn   = column{title: "EXPERT", name: "expert_key", shrink: true}
	outcomeColumn  = column{title: "OUTCOME", name: "outcome"}
	startedColumn  = column{title: "STARTED (UTC)", name: "started_utc"}
	durationColumn = column{title: "DURATION", name: "duration_seconds", right: true}
	runsColumn     = column{title: "RUNS", name: "runs", right: true}
	stepsColumn    = column{title: "STEPS", name: "steps", right: true}
)

// sheet returns a sheet with a row for each Expert, run, step, job or day.
func (u *Usage) sheet(by By) *sheet {
	s := &sheet{}
	switch by {
	case ByRun:
		u.byRun(s)
	case ByStep:
		u.byStep(s)
	case ByJob:
		u.byJob(s)
	case ByDay:
		u.byDay(s)
	default:
		u.byExpert(s)
	}
	var calls int64
	var usage batch.Usage
	for _, j := range u.Jobs {
		calls += j.Calls
		usage.Add(j.Usage)
	}
	s.total = []cell{text("total")}
	for range len(s.columns) - 1 {
		s.total = append(s.total, text(""))
	}
	s.columns = append(s.columns, tokenColumns...)
	s.total = append(s.total, tokenCells(calls, usage)...)
	return s
}

func (s *sheet) add(calls int64, u batch.Usage, cells ...cell) {
	s.rows = append(s.rows, append(cells, tokenCells(calls, u)...))
}

// byExpert adds a row per Expert, ordered by tokens, highest first.
func (u *Usage) byExpert(s *sheet) {
	s.columns = []column{expertColumn, runsColumn, durationColumn}
	sums, spent := map[string]*ExpertUsage{}, map[string]int64{}
	for _, j := range u.Jobs {
		for _, e := range j.Experts {
			sum := sums[e.ExpertKey]
			if sum == nil {
				sum = &ExpertUsage{ExpertKey: e.ExpertKey}
				sums[e.ExpertKey] = sum
			}
			sum.Runs += e.Runs
			sum.Calls += e.Calls
			sum.Usage.Add(e.Usage)
		}
		for _, r := range j.Runs {
			spent[r.ExpertKey] += r.Finished - r.Started
		}
	}
	for _, e := range slices.SortedFunc(maps.Values(sums), func(a, b *ExpertUsage) int {
		return cmp.Or(cmp.Compare(b.Usage.TotalTokens, a.Usage.TotalTokens), cmp.Compare(a.ExpertKey, b.ExpertKey))
	}) {
		s.add(e.Calls, e.Usage, text(cmp.Or(e.ExpertKey, "-")), count(e.Runs), span(spent[e.ExpertKey]))
	}
}

func (u *Usage) byRun(s *sheet) {
	s.columns = []column{jobColumn, runColumn, expertColumn, outcomeColumn, startedColumn, durationColumn, stepsColumn}
	for _, j := range u.Jobs {
		for _, r := range j.Runs {
			s.add(r.Calls, r.Usage, text(cmp.Or(j.Job, "-")), text(cmp.Or(r.RunID, "-")), text(cmp.Or(r.ExpertKey, "-")), text(r.Outcome),
				moment(r.Started), between(r.Started, r.Finished), count(r.Steps))
		}
	}
}

func (u *Usage) byStep(s *sheet) {
	s.columns = []column{jobColumn, runColumn, {title: "STEP", name: "step_number", right: true}, expertColumn, startedColumn, durationColumn}
	for _, j := range u.Jobs {
		for _, st := range j.Steps {
			s.add(st.Calls, st.Usage, text(cmp.Or(j.Job, "-")), text(cmp.Or(st.RunID, "-")), count(st.StepNumber), text(cmp.Or(st.ExpertKey, "-")),
				moment(st.Started), between(st.Started, st.Finished))
		}
	}
}

func (u *Usage) byJob(s *sheet) {
	s.columns = []column{jobColumn, startedColumn, durationColumn, runsColumn}
	for _, j := range u.Jobs {
		var runs int64
		for _, e := range j.Experts {
			runs += e.Runs
		}
		s.add(j.Calls, j.Usage, text(cmp.Or(j.Job, "-")), moment(j.started()), between(j.started(), j.finished()), count(runs))
	}
}

// byDay adds a row per day in UTC, in order.
func (u *Usage) byDay(s *sheet) {
	s.columns = []column{{title: "DAY (UTC)", name: "day_utc"}, {title: "JOBS", name: "jobs", right: true}, runsColumn}
	sums, jobs := map[string]*dayUsage{}, map[string]int64{}
	for _, j := range u.Jobs {
		for day, d := range j.days {
			sum := sums[day]
			if sum == nil {
				sum = &dayUsage{}
				sums[day] = sum
			}
			jobs[day]++
			sum.runs += d.runs
			sum.calls += d.calls
			sum.usage.Add(d.usage)
		}
	}
	for _, day := range slices.Sorted(maps.Keys(sums)) {
		d := sums[day]
		s.add(d.calls, d.usage, text(day), count(jobs[day]), count(d.runs))
	}
}
