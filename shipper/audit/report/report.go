// Package report writes an HTML file about a job: whether all of the job is in CloudWatch, who ran
// it, where and when, what it was asked and what it answered, what went wrong, how many tokens it
// used, and every event. The file is self-contained and loads no script, font or picture. An
// agent's text appears in it as text, never as markup.
//
// A Report collects lines and records one by one, in bounded memory, and is then written:
//
//	report.go               the Report, which distributes what a line says
//	origin.go               the processes that shipped the job
//	runs.go                 the runs and their delegations
//	rows.go                 the table of events, and what to drop from a long one
//	detail.go               the members of an event, with long values folded
//	timeline.go, scale.go   the geometry of the timeline
//	tokens.go               tokens by Expert
//	page.go, words.go       what the page shows, and its wording
//	html.go, chart.go       the markup; with page.css and page.js
package report

import (
	"bytes"
	"strings"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/audit/event"
	"perstack-shipper/shipper/readback"
)

// Bounds on what a Report keeps of any job.
const (
	maxRuns     = 500
	maxErrors   = 500
	maxTurns    = 100
	maxOrigins  = 20
	maxBody     = 64 << 10 // bytes of one question, answer or error
	maxBodies   = 2 << 20  // bytes of all of them
	stderrHead  = 16 << 10 // bytes at the beginning of stderr
	stderrTail  = 48 << 10 // bytes at the end of stderr
	maxAwaiting = 4096     // calls of delegates and persons whose answers can be assigned to them
)

// Report is a [readback.View] that collects what the page shows. It belongs to one goroutine.
type Report struct {
	readback.Ignore
	job   string
	runs  runs
	rows  rows
	spent int // bytes of bodies

	sealed  map[string]int64 // when the newest seal of each input was written, ms since 1970
	marker  batch.Marker     // of the current input
	receipt batch.Receipt
	large   bytes.Buffer // a line that the reader does not hold

	talk        []turn
	talkLost    int64
	errors      []problem
	errorsLost  int64
	origins     []origin
	originsLost int64
	stderr      ends

	lines       int64
	first, last int64 // times of the first and last events, ms since 1970
	models      []string
	versions    []string // of Perstack's runtime
}

// New returns an empty Report about a job.
func New(job string) *Report {
	return &Report{job: job, sealed: map[string]int64{}, runs: newRuns(), rows: newRows()}
}

// turn is a turn in the conversation between the user and the Expert with which the job began.
type turn struct {
	who  string // Question, Answer, …
	tone string // a CSS class
	time int64
	text string
	cut  int // bytes of text that were cut off
}

// problem is something that went wrong.
type problem struct {
	time        int64
	expert      string
	step        int64
	title, text string
	cut         int  // bytes of text that were cut off
	warning     bool // the run continued
}

// Input implements readback.View.
func (r *Report) Input(in *readback.Input) error {
	r.marker = batch.Marker{}
	if in.Seal != nil {
		r.sealed[in.ID] = in.Seal.Timestamp
	}
	return nil
}

// Line implements readback.View.
func (r *Report) Line(l *readback.Line) error {
	line, err := l.All(&r.large)
	if err != nil {
		return err
	}
	r.lines++
	if l.Source == "stderr" || l.Input.Source == "stderr" {
		r.stderr.add(line)
		return nil
	}
	ev := event.Decode(line)
	if ev.Kind != event.Text {
		if ev.Run == "" {
			ev.Run = l.RunID
		}
		if ev.Time == 0 {
			ev.Time = l.Time
		}
		if r.first == 0 || ev.Time < r.first {
			r.first = ev.Time
		}
		r.last = max(r.last, ev.Time)
	}
	mark, marked := r.marker.Line(line, r.job, ev.Run, ev.Time)
	if marked {
		mark.JobID = r.job // all lines belong to this job, even those that name another
		r.receipt.Add(&mark)
	}
	run := r.runs.note(&ev)
	if marked && run != nil && mark.Call {
		run.calls++
		run.tokens += mark.Usage.TotalTokens
	}
	r.rows.add(l.Input.ID, l.Seq, &ev, run, mark.Usage.TotalTokens, line)
	if ev.Model != "" {
		r.models = among(r.models, ev.Model)
	}
	if ev.RuntimeVersion != "" {
		r.versions = among(r.versions, ev.RuntimeVersion)
	}
	r.converse(&ev, run)
	r.problem(&ev, run)
	return nil
}

// Record implements readback.View.
func (r *Report) Record(record *readback.Record) error {
	if record.Kind == "open" {
		r.open(record.Input.ID, record.Message)
	}
	return nil
}

// among adds value to values unless it is there or values are full.
func among(values []string, value string) []string {
	for _, v := range values {
		if v == value {
			return values
		}
	}
	if len(values) == 10 {
		return values
	}
	return append(values, strings.Clone(value))
}

// converse collects the conversation between the user and the first Expert.
func (r *Report) converse(ev *event.Event, run *run) {
	if run == nil || run.parent != nil {
		return
	}
	switch {
	case ev.Kind == event.Start && ev.Body != "" && ev.Reply == nil:
		r.turn("Question", "", ev.Time, ev.Body)
	case ev.Reply != nil && !ev.Reply.Delegate:
		r.turn("Reply", "", ev.Time, ev.Reply.Text)
	case ev.Kind == event.Question:
		for i := range ev.Tools {
			r.turn("Asks back", "wait", ev.Time, ev.Tools[i].String())
		}
	case ev.Kind == event.Answer && ev.Body != "":
		r.turn("Answer", "good", ev.Time, ev.Body)
	}
}

func (r *Report) turn(who, tone string, at int64, text string) {
	if len(r.talk) == maxTurns {
		r.talkLost++
		return
	}
	text, cut := r.body(text)
	r.talk = append(r.talk, turn{who, tone, at, text, cut})
}

// problem collects errors and warnings.
func (r *Report) problem(ev *event.Event, run *run) {
	p := problem{time: ev.Time, step: ev.Step, expert: ev.Expert}
	if p.expert == "" && run != nil {
		p.expert = run.expert
	}
	switch {
	case ev.Kind == event.Failure:
		p.title, p.text = "The run was stopped by an error", ev.Error.String()
		if ev.Error != nil && ev.Error.Retryable != nil && *ev.Error.Retryable {
			p.text += "\n(Perstack says that a retry may help.)"
		}
	case ev.Type == "stopRunByExceededMaxSteps":
		p.title, p.text = "The run was stopped because it ran out of steps", "It had not completed. --max-steps limits the steps of a run."
	case ev.Kind == event.Retry:
		p.title, p.text, p.warning = "A call of the model failed and was retried", ev.Body, true
	case ev.Kind == event.Resolved:
		for _, result := range ev.Results {
			if result.Failed {
				p.title, p.text, p.warning = "The tool "+result.Name+" reported an error", result.Text, true
				r.report(p)
			}
		}
		return
	default:
		return
	}
	r.report(p)
}

func (r *Report) report(p problem) {
	if len(r.errors) == maxErrors {
		r.errorsLost++
		return
	}
	p.text, p.cut = r.body(p.text)
	r.errors = append(r.errors, p)
}

// body cuts a text to the bound for a single text, or to what is left of the bound for all of them.
func (r *Report) body(text string) (kept string, cut int) {
	room := min(maxBody, max(maxBodies-r.spent, 200))
	kept = start(text, room)
	r.spent += len(kept)
	return strings.Clone(kept), len(text) - len(kept)
}

// ends keeps the beginning and the end of the lines that are added to it.
type ends struct {
	head, tail []byte
	lost       int64 // bytes between head and tail that were dropped
	lines      int64
}

func (e *ends) add(line []byte) {
	e.lines++
	if len(e.head) < stderrHead {
		e.head = append(append(e.head, start(string(line), stderrHead)...), '\n')
		return
	}
	e.tail = append(append(e.tail, line...), '\n')
	if over := len(e.tail) - 2*stderrTail; over > 0 {
		e.trim()
	}
}

// trim shortens the tail to its bound, if possible at the beginning of a line.
func (e *ends) trim() {
	over := len(e.tail) - stderrTail
	if over <= 0 {
		return
	}
	for i := over; i < len(e.tail) && i < over+4096; i++ {
		if e.tail[i-1] == '\n' {
			over = i
			break
		}
	}
	e.lost += int64(over)
	e.tail = append(e.tail[:0], e.tail[over:]...)
}

// start returns at most the first n bytes of s, cut at a character boundary.
func start(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}
