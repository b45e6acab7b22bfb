package batch

import (
	"fmt"
	"time"
)

const (
	// MaxLineBytes is the length up to which a line is processed as a whole. A longer line is
	// shipped in parts as it is read.
	MaxLineBytes = 8 << 20
	// longStep is how much of such a line becomes parts at a time. Usually that is one part.
	longStep = 512 << 10
	// MaxStreams is how many streams an input opens at most, because their names come from the
	// agent and each costs an API call and memory.
	MaxStreams = 100
	// maxID is the longest id, as raw JSON, that is added to lines without one.
	maxID = 1024
	// maxMember is the largest usage or error member that part 1 of an event repeats.
	maxMember = 4096
	// maxOptions bounds the room that the input, source, ids and fields of a Shape take in an
	// event, so that a part always has room for a piece of its line.
	maxOptions = 64 << 10
	// repairStep is how much of a line that is not UTF-8 is repaired at a time.
	repairStep = 64 << 10
	// maxScratch is the largest scratch buffer that is kept from block to block. One line may need
	// three times that.
	maxScratch = 1 << 20
	// timeMargin is how far inside CloudWatch's bounds an event's time must be when the event is
	// made. The put checks again.
	timeMargin = 10 * time.Minute
)

// Shape holds the options by which the lines of one input become events. They do not change during
// the life of the input.
type Shape struct {
	Input        string   `json:"input"`            // the input's id
	Source       string   `json:"source,omitempty"` // "stderr" if that is known
	JobID        string   `json:"jobId,omitempty"`  // of lines without one; "": the latest
	RunID        string   `json:"runId,omitempty"`
	Fields       []Member `json:"fields,omitempty"` // added to the shipper member, in this order
	Template     string   `json:"logStream"`        // see ParseTemplate
	Hostname     string   `json:"hostname"`
	ExcludeTypes []string `json:"exclude,omitempty"` // globs; lines of a matching type are left out
	Redact       []string `json:"redact,omitempty"`  // regular expressions of what to remove
}

// Member is the name and the value of a --field option.
type Member struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Shaper turns the lines of one input into events, in order. It belongs to one goroutine. For each
// block of the input, call Begin, then Next until it returns Done or Wait, then End.
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

	state    State // without IDs, Counted, Streams and Digest, which the fields above keep
	now      int64
	arrivals func(offset int64) int64

	// The current line.
	head head
	rest remainder

	last    []byte // the type of the block's latest line of JSON; empty if it states none
	hasLast bool   // the block has such a line

	types *Types
}

// NewShaper returns a Shaper that continues from state. streams are the streams opened up to that
// state. At the start of an input, state is the zero State.
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
	if s.exclude, err = newExcluder(shape.ExcludeTypes); err != nil {
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

// Streams returns the names of the streams that the input opened, in that order. An Event's Route
// is an index into it. The first State.Streams of them were open at that State. The slice belongs
// to the Shaper.
func (s *Shaper) Streams() []string { return s.routes.names }

// Overflowed reports whether a line was sent to the first stream because the input had already
// opened MaxStreams.
func (s *Shaper) Overflowed() bool { return s.routes.overflowed }

// Job returns the input's latest job as a raw JSON string, or "" if there is none yet. A job in the
// Shape comes first.
func (s *Shaper) Job() string { return s.ids.latest() }

// LineJob returns the job of the current line as a raw JSON string, or "" if neither that line nor
// an earlier one names a job. Call it after the first event of a line.
func (s *Shaper) LineJob() string {
	if isText(s.head.jobID) {
		return string(s.head.jobID)
	}
	return s.Job()
}

// SetJob sets the job of the lines that wait for one, as a raw JSON string from FirstJob. isRun
// says that it is the id of a run whose lines name no job.
func (s *Shaper) SetJob(raw string, isRun bool) {
	s.ids.Job, s.ids.JobIsRun, s.ledger.named = raw, isRun, false
}

// StopWaiting ships lines without a job instead of waiting for one.
func (s *Shaper) StopWaiting() { s.ids.Unattended = true }

// Receipt returns the sums over the lines shaped so far.
func (s *Shaper) Receipt() *Receipt { return &s.ledger.receipt }

// State returns the state after the lines shaped so far.
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

// Held returns the number of bytes of scratch memory in use. It depends on the longest recent line,
// and is a few MiB at most.
func (s *Shaper) Held() int {
	n := 0
	for _, scratch := range s.scratch() {
		n += cap(*scratch)
	}
	return n
}

// InLine reports whether the Shaper is in the middle of a line that is being shipped in parts.
func (s *Shaper) InLine() bool { return s.state.Split != nil }

// Begin starts a block: the bytes of the input from offset base. now is the time in milliseconds
// since 1970. arrivals returns when the byte at an offset was read. final says that the input ends
// after data. data must not change until End.
func (s *Shaper) Begin(data []byte, base, now int64, arrivals func(offset int64) int64, final bool) {
	s.now, s.arrivals = now, arrivals
	s.cut.begin(data, base, final)
	s.digest.begin(data, s.cut.known())
}

// End finishes the block and returns how many bytes were shaped. The remaining bytes belong to the
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

// TrimScratch frees all scratch memory. Call it between two blocks; the next block allocates what
// it needs.
func (s *Shaper) TrimScratch() { s.keep(0) }

// keep frees the scratch buffers of more than most bytes.
func (s *Shaper) keep(most int) {
	for _, scratch := range s.scratch() {
		if cap(*scratch) > most {
			*scratch = nil
		}
	}
}

// scratch returns the buffers that grow with the length of lines.
func (s *Shaper) scratch() [6]*[]byte {
	return [...]*[]byte{&s.repair.out, &s.write.quoted, &s.scan.out, &s.write.lead.esc, &s.redact.out, &s.redact.decoded}
}

// Step is the result of Next.
type Step int

const (
	// Made: the event is ready. Call Next again.
	Made Step = iota
	// Done: the rest of the block is not a complete line.
	Done
	// Wait: neither the next line nor any before it names a job or a run. Find its job with
	// FirstJob, or call StopWaiting.
	Wait
	// skipped, internal to Next: a line or piece made no event.
	skipped
)

// Next makes the next event, in ev.
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
