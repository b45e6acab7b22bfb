package report

// This file collects the runs of a job: what each did and when, and who delegated to whom.

import (
	"cmp"
	"slices"
	"strings"

	"perstack-shipper/shipper/audit/event"
)

// run is an Expert at work, from its start until it completes or stops. A delegation starts a run
// of its own, and so does the return from it.
type run struct {
	id, expert string
	number     int  // in order of appearance, from 0
	parent     *run // the run that delegated to this one
	before     *run // the run that this one continues

	first, last int64 // times of its first and last events, ms since 1970
	outcome     outcome
	events      int64
	steps       int64
	lastStep    int64
	calls       int64 // of the model
	tokens      int64
	tools       int64

	asked, called int64 // start of the current call of the model and of tools, or 0
	spans         []span
	marks         []mark
}

// outcome is how a run ended.
type outcome string

const (
	unfinished outcome = ""
	completed  outcome = "completed"
	failed     outcome = "stopped by an error"
	outOfSteps outcome = "out of steps"
	delegated  outcome = "delegated"
	asking     outcome = "asked a person"
)

// span is a stretch of time during which a run did one thing.
type span struct {
	what     string // model, tools or wait
	from, to int64  // ms since 1970
}

// mark is an event at a point in time.
type mark struct {
	what string // retry, error, toolerror, ask or delegate
	at   int64
}

type runKey struct{ id, expert string }

type runs struct {
	all      []*run
	lost     int64           // events of runs beyond maxRuns
	byKey    map[runKey]*run // the Expert is "" while it is unknown
	byID     map[string]*run // the latest run with the id
	awaiting map[string]*run // runs by the id of the call for which they wait
	spans    int
	thinned  int // how often spans were joined to save room
}

func newRuns() runs {
	return runs{byKey: map[runKey]*run{}, byID: map[string]*run{}, awaiting: map[string]*run{}}
}

// find returns the run of an event, or nil if the event names no run or there are too many runs.
func (rs *runs) find(ev *event.Event) *run {
	if ev.Run == "" && ev.Expert == "" {
		return nil
	}
	if ev.Expert == "" {
		if r := rs.byID[ev.Run]; r != nil {
			return r
		}
	}
	if r := rs.byKey[runKey{ev.Run, ev.Expert}]; r != nil {
		rs.byID[ev.Run] = r
		return r
	}
	// The run's first events came from the runtime and named no Expert.
	if r := rs.byKey[runKey{ev.Run, ""}]; r != nil {
		delete(rs.byKey, runKey{ev.Run, ""})
		r.expert = strings.Clone(ev.Expert)
		rs.byKey[runKey{r.id, r.expert}] = r
		return r
	}
	if len(rs.all) == maxRuns {
		rs.lost++
		return nil
	}
	r := &run{id: strings.Clone(ev.Run), expert: strings.Clone(ev.Expert), number: len(rs.all)}
	rs.all = append(rs.all, r)
	rs.byKey[runKey{r.id, r.expert}], rs.byID[r.id] = r, r
	return r
}

// note records an event, and returns its run.
func (rs *runs) note(ev *event.Event) *run {
	if ev.Kind == event.Text {
		return nil
	}
	r := rs.find(ev)
	if r == nil {
		return nil
	}
	r.events++
	if ev.Time > 0 {
		if r.first == 0 || ev.Time < r.first {
			r.first = ev.Time
		}
		r.last = max(r.last, ev.Time)
	}
	if ev.Step > r.lastStep {
		r.lastStep = ev.Step
		r.steps++
	}
	rs.link(r, ev)
	rs.act(r, ev)
	return r
}

// link sets the parent of a run and the run that it continues.
func (rs *runs) link(r *run, ev *event.Event) {
	if ev.Reply != nil && ev.Reply.Call != "" && r.before == nil {
		r.follow(rs.awaiting[ev.Reply.Call])
	}
	if ev.Kind != event.Start {
		return
	}
	if ev.DelegatedBy != "" && r.parent == nil {
		parent := rs.byKey[runKey{ev.DelegatedBy, ev.Delegator}]
		if parent == nil {
			parent = rs.byID[ev.DelegatedBy]
		}
		if parent != r && !parent.worksFor(r) {
			r.parent = parent
		}
	}
	if ev.CheckpointRun != "" && ev.CheckpointRun != r.id && r.before == nil {
		r.follow(rs.byID[ev.CheckpointRun])
	}
}

// follow makes r the continuation of before, unless that would make a circle: an agent can write
// anything.
func (r *run) follow(before *run) {
	for b := before; b != nil; b = b.before {
		if b == r {
			return
		}
	}
	if before == nil || before.worksFor(r) {
		return
	}
	r.before, r.parent = before, before.parent
	if before.last > 0 && r.first > before.last {
		before.spans = append(before.spans, span{"wait", before.last, r.first})
	}
}

// worksFor reports whether r is other, or other delegated to it directly or indirectly.
func (r *run) worksFor(other *run) bool {
	for n := 0; r != nil && n <= maxRuns; n++ {
		if r == other {
			return true
		}
		r = r.parent
	}
	return false
}

// act records what a run did according to an event.
func (rs *runs) act(r *run, ev *event.Event) {
	switch ev.Kind {
	case event.Ask:
		r.asked = ev.Time
	case event.Call:
		r.tools += int64(len(ev.Tools))
		rs.span(r, "model", r.asked, ev.Time)
		r.asked, r.called = 0, ev.Time
	case event.Delegate, event.Question:
		if r.asked > 0 { // versions up to 0.0.61 write no callTools before this event
			rs.span(r, "model", r.asked, ev.Time)
			r.asked = 0
		}
		what := "delegate"
		if ev.Kind == event.Question {
			what = "ask"
		}
		r.mark(what, ev.Time)
		for i := range ev.Tools {
			if len(rs.awaiting) < maxAwaiting {
				rs.awaiting[strings.Clone(ev.Tools[i].ID)] = r
			}
		}
	case event.Resolved:
		rs.span(r, "tools", r.called, ev.Time)
		r.called = 0
		if slices.ContainsFunc(ev.Results, func(result event.Result) bool { return result.Failed }) {
			r.mark("toolerror", ev.Time)
		}
	case event.Retry:
		rs.span(r, "model", r.asked, ev.Time)
		r.asked = 0
		r.mark("retry", ev.Time)
	case event.Answer:
		rs.span(r, "model", r.asked, ev.Time)
		r.asked, r.outcome = 0, completed
	case event.Failure:
		rs.span(r, "model", r.asked, ev.Time)
		r.asked, r.outcome = 0, failed
		r.mark("error", ev.Time)
	case event.Stop:
		r.outcome = map[string]outcome{"stopRunByDelegate": delegated, "stopRunByInteractiveTool": asking}[ev.Type]
		if r.outcome == unfinished {
			r.outcome = outOfSteps
		}
	case event.Start:
		r.outcome = unfinished // in old versions an Expert may start again with the same runId
	}
}

func (r *run) mark(what string, at int64) {
	if at > 0 && len(r.marks) < 1000 {
		r.marks = append(r.marks, mark{what, at})
	}
}

// maxSpans bounds the spans of all runs.
const maxSpans = 20_000

func (rs *runs) span(r *run, what string, from, to int64) {
	if from <= 0 || to < from {
		return
	}
	r.spans = append(r.spans, span{what, from, to})
	if rs.spans++; rs.spans > maxSpans {
		rs.thin()
	}
}

// thin joins spans of one kind that are too close to each other to be distinguishable.
func (rs *runs) thin() {
	rs.thinned++
	rs.spans = 0
	for _, r := range rs.all {
		near := (r.last - r.first) / 1000 << rs.thinned
		kept := r.spans[:0]
		latest := map[string]int{}
		for _, s := range r.spans {
			if at, ok := latest[s.what]; ok && s.from-kept[at].to <= near {
				kept[at].to = max(kept[at].to, s.to)
				continue
			}
			latest[s.what] = len(kept)
			kept = append(kept, s)
		}
		r.spans = kept
		rs.spans += len(kept)
	}
}

// placed is a run with its depth in the tree of delegations.
type placed struct {
	*run
	depth int
}

// tree returns the runs in display order: each run is followed by those to which it delegated, then
// by its continuation.
func (rs *runs) tree() []placed {
	children, next := map[*run][]*run{}, map[*run][]*run{}
	var roots []*run
	for _, r := range rs.all {
		switch {
		case r.before != nil:
			next[r.before] = append(next[r.before], r)
		case r.parent != nil:
			children[r.parent] = append(children[r.parent], r)
		default:
			roots = append(roots, r)
		}
	}
	byStart := func(a, b *run) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.number, b.number)) }
	var order []placed
	var walk func(list []*run, depth int)
	walk = func(list []*run, depth int) {
		slices.SortFunc(list, byStart)
		for _, r := range list {
			order = append(order, placed{r, depth})
			walk(children[r], depth+1)
			walk(next[r], depth)
		}
	}
	walk(roots, 0)
	return order
}
