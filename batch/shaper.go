package batch

import (
	"bytes"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

const (
	// MaxLineBytes is how long a line may be to be understood as a whole; a longer one is shipped in parts as it is read.
	MaxLineBytes = 8 << 20
	// longStep is how much of such a line is made into parts at a time: mostly one part.
	longStep = 512 << 10
	// MaxStreams is how many streams an input opens: their names come from the agent, and each costs an API call and memory.
	MaxStreams = 100
	// maxID is the longest id, as raw JSON, that is given to lines that have none.
	maxID = 1024
	// maxMember is the largest usage or error member that part 1 of an event repeats.
	maxMember = 4096
	// maxOptions bounds what input, source, ids and fields of the options take of an event, so that a part always has room for a piece of its line.
	maxOptions = 64 << 10
	// repairStep is how much of a line that is no UTF-8 is repaired at a time.
	repairStep = 64 << 10
	// maxScratch is how much scratch of a kind is kept from block to block; one line may take three times that.
	maxScratch = 1 << 20
	// timeMargin is how far inside CloudWatch's bounds a time must be to be kept when the event is made; the put checks again.
	timeMargin = 10 * time.Minute
)

// Shape is what turns the lines of one input into its events: the options, the same for its whole life.
type Shape struct {
	Input    string   `json:"input"`            // the input's id
	Source   string   `json:"source,omitempty"` // "stderr" where that is known
	JobID    string   `json:"jobId,omitempty"`  // for lines that name none; "" = as the input's latest
	RunID    string   `json:"runId,omitempty"`
	Fields   []Member `json:"fields,omitempty"` // put inside the shipper member, in this order
	Template string   `json:"logStream"`        // see ParseTemplate
	Hostname string   `json:"hostname"`
}

// Member is a name and a value of --field.
type Member struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Shaper turns the lines of one input into events, in order. It belongs to one goroutine. Use: Begin a block's bytes, call Next until it says Done
// or Wait, then End.
type Shaper struct {
	shape    Shape
	template Template
	bounds   bounds
	job, run string // of the options, raw JSON strings
	open     member // `{"shipper":{"input":"…","seq":`
	fields   member // `,"env":"prod"`

	state  State
	digest digest
	routes routes
	scan   scanner

	verdict verdict

	// The block at hand.
	data     []byte
	pos      int // what of data is done
	run0     int // where the bytes that the digest still waits for begin
	base     int64
	final    bool // the input ends with data
	now      int64
	arrivals func(offset int64) int64
	sought   int64 // offset in the input: there is no newline between pos and this

	// The line at hand.
	head     head
	lead     member
	repaired []byte // scratch: the line with U+FFFD for what is no UTF-8
	quoted   []byte // scratch: text or a part as JSON string content
	rest     remainder
}

// bounds are what a line is cut by, in bytes: constants, but for tests that cut a great many.
type bounds struct {
	event int // MaxEventBytes
	line  int // MaxLineBytes
	step  int // longStep
}

// NewShaper returns a Shaper that goes on from state, which names streams that were opened before it. state is the zero State at
// the start of an input.
func NewShaper(shape Shape, state State, streams []string) (*Shaper, error) {
	t, err := ParseTemplate(shape.Template)
	if err != nil {
		return nil, err
	}
	s := &Shaper{shape: shape, template: t, bounds: bounds{MaxEventBytes, MaxLineBytes, longStep}, state: state}
	if state.Split != nil {
		split := *state.Split
		s.state.Split = &split
	}
	if s.digest, err = restoreDigest(state.Digest); err != nil {
		return nil, fmt.Errorf("the digest of input %s: %w", shape.Input, err)
	}
	if shape.JobID != "" {
		s.job = string(quote(shape.JobID))
	}
	if shape.RunID != "" {
		s.run = string(quote(shape.RunID))
	}
	s.open.plain(`{`).key("shipper").plain(`{`).key("input").value(quote(shape.Input)).plain(`,`).key("seq")
	for _, f := range shape.Fields {
		s.fields.plain(`,`).value(quote(f.Name)).plain(`:`).value(quote(f.Value))
	}
	if n := s.open.size + s.fields.size + len(shape.Source) + len(s.job) + len(s.run); n > maxOptions {
		return nil, fmt.Errorf("the options of input %s take %d bytes of every event and %d are allowed: give it fewer or shorter fields", shape.Input, n, maxOptions)
	}
	s.routes.init(&s.template, streams, shape.Hostname, shape.Input)
	return s, nil
}

// Streams returns the names of the streams that the input opened, in that order; an Event's Route is an index of it. The first state.Streams of
// a State are those opened up to it. The slice is the Shaper's.
func (s *Shaper) Streams() []string { return s.routes.names }

// Overflowed reports whether a line was sent to the first stream because the input had opened MaxStreams before.
func (s *Shaper) Overflowed() bool { return s.routes.overflowed }

// Job returns the input's latest job as a raw JSON string, or "" before there is one. Options count.
func (s *Shaper) Job() string {
	if s.job != "" {
		return s.job
	}
	return s.state.Job
}

// SetJob names the job of the lines that wait for one: a raw JSON string, as FirstJob finds it.
func (s *Shaper) SetJob(raw string) { s.state.Job = raw }

// StopWaiting lets lines that wait for a job go without one.
func (s *Shaper) StopWaiting() { s.state.Unattended = true }

// State returns the state behind what was shaped so far.
func (s *Shaper) State() State {
	st := s.state
	st.Digest = s.digest.state()
	st.Streams = len(s.routes.names)
	if st.Split != nil {
		split := *st.Split
		st.Split = &split
	}
	return st
}

// Held is the scratch memory in use, in bytes: it depends on the longest line of late, and is a few MiB at most.
func (s *Shaper) Held() int {
	n := 0
	for _, scratch := range s.scratch() {
		n += cap(*scratch)
	}
	return n
}

// InLine reports whether the input stands in the middle of a line that is being shipped in parts.
func (s *Shaper) InLine() bool { return s.state.Split != nil }

// Begin starts on the bytes of the input from offset base. now is the time in milliseconds since 1970; arrivals says when the byte at an offset
// was read; final says that the input ends with data. data must stay unchanged until End.
func (s *Shaper) Begin(data []byte, base, now int64, arrivals func(offset int64) int64, final bool) {
	if base != s.base {
		s.sought = base // it does not go on where the block before ended
	}
	s.data, s.base, s.now, s.arrivals, s.final = data, base, now, arrivals, final
	s.pos, s.run0 = 0, 0
	s.digest.begin(data, s.known(data))
}

// End finishes the block and returns how many bytes were shaped. The rest of data belongs to the next block.
func (s *Shaper) End() int {
	s.digest.end(s.data[s.run0:s.pos], s.run0 == 0)
	s.state.Counts.Bytes += int64(s.pos)
	s.base += int64(s.pos)
	s.data = nil
	s.keep(maxScratch)
	return s.pos
}

// Spend gives back all scratch memory, between two blocks. The next one makes what it needs anew.
func (s *Shaper) Spend() { s.keep(0) }

// keep gives back scratch of more than most bytes.
func (s *Shaper) keep(most int) {
	for _, scratch := range s.scratch() {
		if cap(*scratch) > most {
			*scratch = nil
		}
	}
}

// scratch is what grows with the lines.
func (s *Shaper) scratch() [4]*[]byte {
	return [...]*[]byte{&s.repaired, &s.quoted, &s.scan.out, &s.lead.esc}
}

// Step is what Next says.
type Step int

const (
	// Made: the event is there; call Next again.
	Made Step = iota
	// Done: what is left of the data is no whole line.
	Done
	// Wait: the next line names no job, and neither did any before it. Find its job (FirstJob), or call StopWaiting.
	Wait
)

// Next makes the next event.
func (s *Shaper) Next(ev *Event) Step {
	if s.rest.left() {
		return s.part(ev)
	}
	for {
		rest := s.data[s.pos:]
		if len(rest) == 0 && (s.state.Split == nil || !s.final) {
			return Done
		}
		end := s.newline(rest)
		length := end // of the line, as far as it is there
		if end < 0 {
			length = len(rest)
		}
		// Where a line is cut must not depend on how much of it was there: after a crash it is cut again, and the parts must be the same.
		switch {
		case s.state.Split != nil && length >= s.bounds.step, s.state.Split == nil && length >= s.bounds.line:
			return s.longPiece(ev, rest[:s.bounds.step])
		case end == 0 && s.state.Split == nil:
			s.emptyLine()
		case end >= 0:
			return s.line(ev, rest[:end], true)
		case s.final:
			return s.line(ev, rest, false)
		default:
			return Done
		}
	}
}

// newline returns the index of the first newline in rest, what is left of the block, or -1. It looks at no byte twice, for a long line may come in a great
// many small pieces.
func (s *Shaper) newline(rest []byte) int {
	from := s.base + int64(s.pos)
	known := s.known(rest)
	end := bytes.IndexByte(rest[known:], '\n')
	if end < 0 {
		s.sought = from + int64(len(rest))
		return -1
	}
	s.sought = from + int64(known+end)
	return known + end
}

// known is how much of rest, what is left of the block, is known to hold no newline.
func (s *Shaper) known(rest []byte) int {
	return int(min(max(s.sought-s.base-int64(s.pos), 0), int64(len(rest))))
}

func (s *Shaper) emptyLine() {
	s.parted(s.pos + 1)
	s.pos++
	s.state.Empty++
	s.state.Counts.EmptyLines++
}

// line makes the event, or the first part, of the line raw, or of the rest of one whose beginning is shipped.
func (s *Shaper) line(ev *Event, raw []byte, terminated bool) Step {
	if s.state.Split != nil {
		line, lossy := raw, !utf8.Valid(raw)
		if lossy {
			line = s.repair(raw)
			s.lossyPiece()
		}
		s.took(raw, line, terminated, lossy)
		s.rest = remainder{data: line, ends: true, newline: terminated}
		return s.part(ev)
	}
	line, lossy, object := raw, false, s.scan.object(raw, &s.head)
	if (!object || !s.scan.ascii()) && !utf8.Valid(raw) {
		if lossy = true; len(raw) > s.bounds.event {
			line = nil // it goes in parts, and repaired it could come to three times its size
			s.head.repair()
		} else {
			line = s.repair(raw)
			object = s.scan.object(line, &s.head)
		}
	}
	if s.mustWait() {
		return Wait
	}
	x := extras{text: !object, lossy: lossy, newline: terminated}
	s.begin(ev, object, &x)
	if object {
		s.verdict.note(&s.head, raw)
	}
	s.took(raw, line, terminated, lossy)
	if lossy {
		s.state.Counts.Lossy++
	}
	made := false
	switch {
	case line == nil:
	case !object:
		made = s.textEvent(ev, line, &x)
	case !s.head.aws: // CloudWatch would take _aws for metrics, wherever it stands at the top level: as a part's data it is none
		made = s.objectEvent(ev, line, &x)
	}
	if !made {
		s.split(ev, &x)
		s.rest = remainder{data: line, ends: true, newline: terminated}
		if line == nil {
			s.rest.data, s.rest.lossy = raw, true
		}
		return s.part(ev)
	}
	s.state.Empty = 0
	s.state.Counts.Events++
	return Made
}

// longPiece makes a part of a line that is too long to wait for its end. What was found at its beginning counts.
func (s *Shaper) longPiece(ev *Event, raw []byte) Step {
	if s.state.Split == nil {
		s.scan.object(raw, &s.head)
		s.head.repair()
		if s.mustWait() {
			return Wait
		}
		var x extras
		s.begin(ev, true, &x)
		s.verdict.note(&s.head, nil)
		s.split(ev, &x)
	}
	raw = raw[:wholeRunes(raw)]
	line := raw
	if !utf8.Valid(raw) {
		s.parted(s.pos + len(raw))
		line = s.repair(raw)
		s.digest.lines.Write(line)
		s.lossyPiece()
	}
	s.pos += len(raw)
	s.rest = remainder{data: line}
	return s.part(ev)
}

// lossyPiece marks and counts a line in parts, once.
func (s *Shaper) lossyPiece() {
	if sp := s.state.Split; !sp.Lossy {
		sp.Lossy = true
		s.state.Counts.Lossy++
	}
}

// wholeRunes is how much of b does not end inside a UTF-8 sequence that the bytes to come may finish.
func wholeRunes(b []byte) int {
	for back := 1; back < utf8.UTFMax && back <= len(b); back++ {
		if c := b[len(b)-back]; utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-back:]) {
				return len(b) - back
			}
			break
		}
	}
	return len(b)
}

func (s *Shaper) mustWait() bool {
	return s.head.jobID == nil && s.Job() == "" && !s.state.Unattended
}

// begin counts a line and finds its event's time and stream.
func (s *Shaper) begin(ev *Event, object bool, x *extras) {
	s.state.Seq++
	s.learn()
	s.time(ev, object, x)
	ev.Route = s.routes.find(s)
}

// repair returns raw, which is no UTF-8, as valid UTF-8. It is scratch.
func (s *Shaper) repair(raw []byte) []byte {
	s.repaired = appendRepaired(slices.Grow(s.repaired[:0], repairedLen(raw)), raw)
	return s.repaired
}

// repairSome is repair for as much of raw as is more than a part takes; all says that it is all of it.
func (s *Shaper) repairSome(raw []byte) (text []byte, all bool) {
	text = slices.Grow(s.repaired[:0], min(3*len(raw), s.bounds.event+3*repairStep))
	for len(raw) > 0 && len(text) <= s.bounds.event {
		n := min(len(raw), repairStep)
		if n < len(raw) {
			n = wholeRunes(raw[:n])
		}
		text = appendRepaired(text, raw[:n])
		raw = raw[n:]
	}
	s.repaired = text
	return text, len(raw) == 0
}

// took moves past a line that was shipped as line, or, with nil, as raw repaired, and keeps the digest. Bytes that were shipped as they were read wait
// in a run, to be hashed at once.
func (s *Shaper) took(raw, line []byte, terminated, lossy bool) {
	next := s.pos + len(raw)
	if terminated {
		next++
	}
	if lossy || !terminated {
		s.parted(next)
		s.digest.lines.Write(line)
		for line == nil && len(raw) > 0 { // by and by, for it grows
			text, _ := s.repairSome(raw)
			s.digest.lines.Write(text)
			raw = raw[unrepairedLen(raw, len(text)):]
		}
		s.digest.lines.Write(newline)
	}
	s.pos = next
}

var newline = []byte{'\n'}

// parted hashes the run up to here, and the bytes up to next as raw bytes only.
func (s *Shaper) parted(next int) {
	s.digest.same(s.data[s.run0:s.pos])
	s.digest.differ()
	s.digest.raw.Write(s.data[s.pos:next])
	s.run0 = next
}

// learn keeps the ids that lines without them will be given.
func (s *Shaper) learn() {
	if isID(s.head.jobID) && string(s.head.jobID) != s.state.Job {
		if s.state.Job != "" && s.state.Run != "" {
			s.state.ManyRuns = true // the run known was the other job's
		}
		s.state.Job = string(s.head.jobID)
	}
	if run := s.head.runID; isID(run) && !s.state.ManyRuns && string(run) != s.state.Run {
		if s.state.Run == "" {
			s.state.Run = string(run)
		} else {
			s.state.ManyRuns = true
		}
	}
}

// isID reports whether a raw JSON value can stand for a job or a run: a string that is not empty and not of a size that is an attack.
func isID(raw []byte) bool {
	return len(raw) > 2 && len(raw) <= maxID && raw[0] == '"'
}

// time finds the line's own time, and gives the event that or, where CloudWatch would refuse it, the time now.
func (s *Shaper) time(ev *Event, object bool, x *extras) {
	var ok bool
	if object {
		x.own, ok = eventTime(s.head.timestamp)
	}
	if !ok {
		x.own = s.arrivals(s.base + int64(s.pos))
	}
	ev.Time = x.own
	if Refused(x.own, s.now, timeMargin) {
		ev.Time, x.clamped = s.now, true
		s.state.Counts.Clamped++
	}
}

// FirstJob looks for the first line in data that names a job, and returns that as a raw JSON string; else how much of data need not be looked at
// again.
func FirstJob(data []byte, final bool) (job string, looked int) {
	var sc scanner
	var h head
	for looked < len(data) {
		end := bytes.IndexByte(data[looked:], '\n')
		if end < 0 {
			if !final && len(data)-looked < MaxLineBytes {
				return "", looked
			}
			end = len(data) - looked
		}
		sc.object(data[looked:looked+end], &h)
		if isID(h.jobID) { // repaired, as its own line's event says it
			if id := appendRepaired(nil, h.jobID); isID(id) {
				return string(id), looked
			}
		}
		looked = min(looked+end+1, len(data))
	}
	return "", looked
}
