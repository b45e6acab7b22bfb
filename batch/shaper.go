package batch

import (
	"fmt"
	"time"
)

const (
	// MaxLineBytes is how long a line may be to be understood as a whole; a longer one is shipped
	// in parts as it is read.
	MaxLineBytes = 8 << 20
	// longStep is how much of such a line is made into parts at a time: mostly one part.
	longStep = 512 << 10
	// MaxStreams is how many streams an input opens: their names come from the agent, and each
	// costs an API call and memory.
	MaxStreams = 100
	// maxID is the longest id, as raw JSON, that is given to lines that have none.
	maxID = 1024
	// maxMember is the largest usage or error member that part 1 of an event repeats.
	maxMember = 4096
	// maxOptions bounds what input, source, ids and fields of the options take of an event, so that
	// a part always has room for a piece of its line.
	maxOptions = 64 << 10
	// repairStep is how much of a line that is no UTF-8 is repaired at a time.
	repairStep = 64 << 10
	// maxScratch is how much scratch of a kind is kept from block to block; one line may take three
	// times that.
	maxScratch = 1 << 20
	// timeMargin is how far inside CloudWatch's bounds a time must be to be kept when the event is
	// made; the put checks again.
	timeMargin = 10 * time.Minute
)

// Shape is what turns the lines of one input into its events: the options, the same for its whole
// life.
type Shape struct {
	Input    string   `json:"input"`            // the input's id
	Source   string   `json:"source,omitempty"` // "stderr" where that is known
	JobID    string   `json:"jobId,omitempty"`  // for lines that name none; "" = as the input's latest
	RunID    string   `json:"runId,omitempty"`
	Fields   []Member `json:"fields,omitempty"` // put inside the shipper member, in this order
	Template string   `json:"logStream"`        // see ParseTemplate
	Hostname string   `json:"hostname"`
	Exclude  []string `json:"exclude,omitempty"` // globs of the types of lines that are left out
	Redact   []string `json:"redact,omitempty"`  // regular expressions of what is taken out of lines
}

// Member is a name and a value of --field.
type Member struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Shaper turns the lines of one input into events, in order. It belongs to one goroutine. Use:
// Begin a block's bytes, call Next until it says Done or Wait, then End.
type Shaper struct {
	cut     cutter
	scan    scanner
	exclude excluder
	redact  redactor
	repair  repairer
	ids     ids
	routes  routes
	write   writer
	ledger  ledger
	digest  digest

	state    State // without IDs, Counted, Streams and Digest, which those above keep
	now      int64
	arrivals func(offset int64) int64

	// The line at hand.
	head head
	rest remainder

	last    []byte // the type of the block's latest line of JSON; empty if it states none
	hasLast bool   // the block has such a line

	types *Types
}

// NewShaper returns a Shaper that goes on from state, which names streams that were opened before
// it. state is the zero State at the start of an input.
func NewShaper(shape Shape, state State, streams []string) (*Shaper, error) {
	t, err := ParseTemplate(shape.Template)
	if err != nil {
		return nil, fmt.Errorf("the log stream of input %s %w", shape.Input, err)
	}
	s := &Shaper{
		cut: cutter{long: MaxLineBytes, piece: longStep}, write: newWriter(&shape), ids: newIDs(&shape, state.IDs), state: state,
	}
	if state.Split != nil {
		split := *state.Split
		s.state.Split = &split
	}
	if s.digest, err = restoreDigest(state.Digest); err != nil {
		return nil, fmt.Errorf("the digest of input %s: %w", shape.Input, err)
	}
	if s.exclude, err = newExcluder(shape.Exclude); err != nil {
		return nil, fmt.Errorf("the options of input %s: %w", shape.Input, err)
	}
	if s.redact, err = newRedactor(shape.Redact, 2*MaxLineBytes); err != nil {
		return nil, fmt.Errorf("the options of input %s: %w", shape.Input, err)
	}
	if s.ledger, err = restoreLedger(state.Counted); err != nil {
		return nil, fmt.Errorf("the receipt of input %s: %w", shape.Input, err)
	}
	if n := s.write.open.size + s.write.fields.size + len(shape.Source) + len(s.ids.job) + len(s.ids.run); n > maxOptions {
		return nil, fmt.Errorf("the options of input %s take %d bytes of every event and %d are allowed: give it fewer or shorter fields", shape.Input, n, maxOptions)
	}
	s.routes.init(t, streams, shape.Hostname, shape.Input)
	return s, nil
}

// Streams returns the names of the streams that the input opened, in that order; an Event's Route
// is an index of it. The first state.Streams of a State are those opened up to it. The slice is the
// Shaper's.
func (s *Shaper) Streams() []string { return s.routes.names }

// Overflowed reports whether a line was sent to the first stream because the input had opened
// MaxStreams before.
func (s *Shaper) Overflowed() bool { return s.routes.overflowed }

// Job returns the input's latest job as a raw JSON string, or "" before there is one. Options
// count.
func (s *Shaper) Job() string { return s.ids.latest() }

// LineJob returns the job of the line at hand as a raw JSON string, or "" where neither that nor
// one before it names any. It is for the first event of a line.
func (s *Shaper) LineJob() string {
	if isText(s.head.jobID) {
		return string(s.head.jobID)
	}
	return s.Job()
}

// SetJob names the job of the lines that wait for one: a raw JSON string, as FirstJob finds it.
// isRun says that it is a run, whose lines name no job.
func (s *Shaper) SetJob(raw string, isRun bool) {
	s.ids.Job, s.ids.JobIsRun, s.ledger.named = raw, isRun, false
}

// StopWaiting lets lines that wait for a job go without one.
func (s *Shaper) StopWaiting() { s.ids.Unattended = true }

// Receipt returns the sums of the lines that were shaped so far.
func (s *Shaper) Receipt() *Receipt { return &s.ledger.receipt }

// State returns the state behind what was shaped so far.
func (s *Shaper) State() State {
	st := s.state
	st.IDs = s.ids.IDs
	st.Digest = s.digest.state()
	st.Counted = s.ledger.state()
	st.Streams = len(s.routes.names)
	if st.Split != nil {
		split := *st.Split
		st.Split = &split
	}
	return st
}

// Held is the scratch memory in use, in bytes: it depends on the longest line of late, and is a few
// MiB at most.
func (s *Shaper) Held() int {
	n := 0
	for _, scratch := range s.scratch() {
		n += cap(*scratch)
	}
	return n
}

// InLine reports whether the input stands in the middle of a line that is being shipped in parts.
func (s *Shaper) InLine() bool { return s.state.Split != nil }

// Begin starts on the bytes of the input from offset base. now is the time in milliseconds since
// 1970; arrivals says when the byte at an offset was read; final says that the input ends with
// data. data must stay unchanged until End.
func (s *Shaper) Begin(data []byte, base, now int64, arrivals func(offset int64) int64, final bool) {
	s.now, s.arrivals = now, arrivals
	s.cut.begin(data, base, final)
	s.digest.begin(data, s.cut.known())
}

// End finishes the block and returns how many bytes were shaped. The rest of data belongs to the
// next block.
func (s *Shaper) End() int {
	s.digest.end(s.cut.pos)
	s.state.Counts.Bytes += int64(s.cut.pos)
	if s.hasLast && string(s.last) != s.state.Last {
		s.state.Last = string(s.last)
	}
	s.hasLast = false
	s.keep(maxScratch)
	return s.cut.end()
}

// TrimScratch gives back all scratch memory, between two blocks. The next one makes what it needs
// anew.
func (s *Shaper) TrimScratch() { s.keep(0) }

// keep gives back scratch of more than most bytes.
func (s *Shaper) keep(most int) {
	for _, scratch := range s.scratch() {
		if cap(*scratch) > most {
			*scratch = nil
		}
	}
}

// scratch is what grows with the lines.
func (s *Shaper) scratch() [6]*[]byte {
	return [...]*[]byte{&s.repair.out, &s.write.quoted, &s.scan.out, &s.write.lead.esc, &s.redact.out, &s.redact.decoded}
}

// Step is what Next says.
type Step int

const (
	// Made: the event is there; call Next again.
	Made Step = iota
	// Done: what is left of the data is no whole line.
	Done
	// Wait: the next line names no job and no run, and neither did any before it. Find its job
	// (FirstJob), or call StopWaiting.
	Wait
	// skipped is for Next alone: what was there makes no event.
	skipped
)

// Next makes the next event.
func (s *Shaper) Next(ev *Event) Step {
	if s.rest.left() {
		return s.part(ev)
	}
	for {
		step := skipped
		switch raw, what := s.cut.next(s.state.Split != nil); what {
		case noCut:
			return Done
		case emptyLine:
			s.emptyLine()
		case longPiece:
			step = s.longPiece(ev, raw)
		default:
			step = s.line(ev, raw, what == wholeLine)
		}
		if step != skipped {
			return step
		}
	}
}
