// Package report makes one HTML file of a job, for a person who was not there: whether all of it is
// there, who ran it, where and when, what it was asked and what it answered, what went wrong, what
// it cost, and every event. The file needs nothing but itself: no script, font or picture from
// elsewhere. What an agent wrote is text in it and never markup.
//
// A Report is built line by line and record by record, in bounded memory, and then written:
//
//	report.go     the Report, and what of a line goes where
//	runs.go       the runs, and which works for which
//	rows.go       the table of events, and what is left out of one that is too long
//	detail.go     an event's members, long values folded
//	timeline.go   the geometry of the timeline
//	page.go       what the page shows, and in which words
//	html.go       the page; page.css, page.js
package report

import (
	"bytes"
	"encoding/json"
	"strings"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/audit/event"
	"perstack-shipper/shipper/readback"
)

// Bounds on what a Report keeps, whatever a job holds.
const (
	maxRuns     = 500
	maxErrors   = 500
	maxTurns    = 100
	maxOrigins  = 20
	maxBody     = 64 << 10 // bytes of one question, answer or error
	maxBodies   = 2 << 20  // bytes of all of them
	stderrHead  = 16 << 10 // bytes of what was written to stderr: its beginning
	stderrTail  = 48 << 10 // and its end
	maxAwaiting = 4096     // calls of delegates and persons whose answer is remembered as theirs
)

// Report is a job as it is told to a person: a readback.View of its lines. It belongs to one
// goroutine.
type Report struct {
	readback.Ignore
	job   string
	runs  runs
	rows  rows
	spent int // bytes of bodies

	sealed  map[string]int64 // when the newest seal of each input was written, ms since 1970
	marker  batch.Marker     // of the input at hand
	receipt batch.Receipt
	large   bytes.Buffer // a line that the reader does not hold

	talk        []Turn
	talkLost    int64
	errors      []Problem
	errorsLost  int64
	origins     []Origin
	originsLost int64
	stderr      ends

	lines       int64
	first, last int64 // ms since 1970 of the events
	models      []string
	versions    []string // of Perstack's runtime
}

// New returns an empty Report of a job.
func New(job string) *Report {
	return &Report{job: job, sealed: map[string]int64{}, runs: newRuns(), rows: newRows()}
}

// Turn is something that was said between the people and the Expert that the job began with.
type Turn struct {
	Who  string // Question, Answer, …
	Tone string // a class of the page's style
	Time int64
	Text string
	Cut  int // bytes that were left out
}

// Problem is something that went wrong.
type Problem struct {
	Time        int64
	Expert      string
	Step        int64
	Title, Text string
	Cut         int  // bytes that were left out of Text
	Warning     bool // it did not stop a run
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
		mark.JobID = r.job // all lines are of the one job, whatever they call it
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

// among returns the first few different values, value included.
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

// converse keeps what people and the first Expert said to each other.
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
	r.talk = append(r.talk, Turn{who, tone, at, text, cut})
}

// problem keeps what went wrong.
func (r *Report) problem(ev *event.Event, run *run) {
	p := Problem{Time: ev.Time, Step: ev.Step, Expert: ev.Expert}
	if p.Expert == "" && run != nil {
		p.Expert = run.expert
	}
	switch {
	case ev.Kind == event.Failure:
		p.Title, p.Text = "The run was stopped by an error", ev.Error.String()
		if ev.Error != nil && ev.Error.Retryable != nil && *ev.Error.Retryable {
			p.Text += "\n(Perstack says that trying again may help.)"
		}
	case ev.Type == "stopRunByExceededMaxSteps":
		p.Title, p.Text = "The run was stopped because its steps ran out", "It had not completed; --max-steps bounds how many it may take."
	case ev.Kind == event.Retry:
		p.Title, p.Text, p.Warning = "A call of the model failed and was made again", ev.Body, true
	case ev.Kind == event.Resolved:
		for _, result := range ev.Results {
			if result.Failed {
				p.Title, p.Text, p.Warning = "The tool "+result.Name+" reported an error", result.Text, true
				r.report(p)
			}
		}
		return
	default:
		return
	}
	r.report(p)
}

func (r *Report) report(p Problem) {
	if len(r.errors) == maxErrors {
		r.errorsLost++
		return
	}
	p.Text, p.Cut = r.body(p.Text)
	r.errors = append(r.errors, p)
}

// body bounds a text that is shown in full, and counts it.
func (r *Report) body(text string) (kept string, cut int) {
	room := min(maxBody, max(maxBodies-r.spent, 200))
	kept = start(text, room)
	r.spent += len(kept)
	return strings.Clone(kept), len(text) - len(kept)
}

// Origin is a process that shipped lines of the job, as its open record names it.
type Origin struct {
	Version, Hostname, Source, Path string
	PID, Opened                     int64
	Target, ECS                     map[string]string
	Inputs                          []string
	Also                            []Pair // what later versions say besides
}

// Pair is a name and its value.
type Pair struct{ Name, Value string }

// open takes the open record of an input: the whole message.
func (r *Report) open(input string, record []byte) {
	var says struct {
		Timestamp int64             `json:"timestamp"`
		Version   string            `json:"version"`
		PID       int64             `json:"pid"`
		Hostname  string            `json:"hostname"`
		Source    string            `json:"source"`
		Path      string            `json:"path"`
		Target    map[string]string `json:"target"`
		ECS       map[string]string `json:"ecs"`
		Image     string            `json:"image"`
		Command   json.RawMessage   `json:"command"`
	}
	if json.Unmarshal(record, &says) != nil {
		return
	}
	for i := range r.origins {
		o := &r.origins[i]
		if o.Hostname == says.Hostname && o.PID == says.PID && o.ECS["taskArn"] == says.ECS["taskArn"] {
			o.Inputs = among(o.Inputs, input)
			if o.Opened == 0 || says.Timestamp < o.Opened {
				o.Opened = says.Timestamp
			}
			return
		}
	}
	if len(r.origins) == maxOrigins {
		r.originsLost++
		return
	}
	o := Origin{
		Version: says.Version, Hostname: says.Hostname, PID: says.PID, Opened: says.Timestamp,
		Source: says.Source, Path: says.Path, Target: says.Target, ECS: says.ECS, Inputs: []string{strings.Clone(input)},
	}
	if says.Image != "" {
		o.Also = append(o.Also, Pair{"image", says.Image})
	}
	if command := words(says.Command); command != "" {
		o.Also = append(o.Also, Pair{"command", command})
	}
	r.origins = append(r.origins, o)
}

// words returns a command line, given as text or as a list of its words.
func words(raw json.RawMessage) string {
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return strings.Join(list, " ")
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return ""
}

// ends keeps the beginning and the end of what is added to it, line by line.
type ends struct {
	head, tail []byte
	lost       int64 // bytes between them
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

// trim shortens the tail to its bound, at the beginning of a line where there is one.
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

// start returns as much of s as n bytes hold, cut on a character's boundary.
func start(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}
