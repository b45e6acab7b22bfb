package batch

// This file is the Shaper's side of the receipt: what it counts while it shapes, and how the cursor
// stores the counts, so that neither a crash nor a restart changes a number.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// Counted is the state of a receipt. It is immutable, and all States between two changes share it.
// Its parts are kept as JSON because the cursor is written far more often than a call of the model
// ends.
type Counted struct {
	Jobs    []json.RawMessage `json:"jobs,omitempty"`
	Further *furtherJob       `json:"further,omitempty"`
	Runs    json.RawMessage   `json:"runs,omitempty"`
}

// furtherJob is what a Receipt knows about the jobs beyond its limit.
type furtherJob struct {
	JobID  string `json:"jobId"`
	Root   string `json:"root,omitempty"`
	Before Tally  `json:"before"`
}

// ledger is the Shaper's receipt.
type ledger struct {
	marker  Marker
	receipt Receipt
	kept    *Counted // the latest state that was stored; nil if nothing was counted before
	changed bool     // something has changed since kept was made
	named   bool     // the receipt has the latest job named by a line
}

// count adds a line to the receipt. at is the time of the line.
func (l *ledger) count(h *head, line []byte, ids *ids, at int64) {
	if !l.named {
		l.nameJob(ids.named(h), at)
	}
	if h.marks() {
		job, run := ids.of(h)
		l.mark(h, line, job, run, at)
	}
}

// mark adds the mark of a line to the receipt.
func (l *ledger) mark(h *head, line []byte, job, run string, at int64) {
	mark := l.marker.mark(h, line, text([]byte(job)), text([]byte(run)), at)
	l.receipt.Add(&mark)
	l.changed = true
}

// nameJob adds the job that a line names to the receipt.
func (l *ledger) nameJob(job []byte, at int64) {
	if isID(job) {
		l.receipt.Name(text(job), at)
		l.named, l.changed = true, true
	}
}

// longTail is how much of the end of a long line is examined.
const longTail = 2 * maxMember

// beginLong keeps what the first piece of a long line says.
func (s *Split) beginLong(h *head, job, run string) {
	s.Long = &LongLine{
		Type: small(h.typ), Expert: small(h.expertKey), Step: small(h.stepNumber), Job: job, Run: run,
		Usage: small(h.usage), Error: small(h.err),
	}
}

// goOnLong keeps the latest bytes of a long line.
func (s *Split) goOnLong(piece []byte) {
	long := *s.Long
	tail := slices.Concat(long.Tail, piece[max(0, len(piece)-longTail):])
	long.Tail = tail[max(0, len(tail)-longTail):]
	s.Long = &long
}

// countLong counts a long line, given its last piece. It reports false if the line does not end
// like an object. In the events of every version of Perstack usage and error come last, and the end
// of a line is enough to tell whether a member is the last one.
func (l *ledger) countLong(s *Split, rest []byte) (object bool) {
	long := s.Long
	end := slices.Concat(long.Tail, rest[max(0, len(rest)-longTail):])
	end = bytes.TrimRight(end, jsonSpace)
	if len(end) == 0 || end[len(end)-1] != '}' {
		return false
	}
	h := head{typ: raw(long.Type), expertKey: raw(long.Expert), stepNumber: raw(long.Step), usage: raw(long.Usage), err: raw(long.Error)}
	if last := lastMember(end, "usage"); last != nil {
		h.usage = last
	}
	if last := lastMember(end, "error"); last != nil {
		h.err = last
	}
	if h.marks() {
		l.mark(&h, nil, long.Job, long.Run, s.LineTime)
	}
	return true
}

// raw returns a raw JSON value that was kept as a string, or nil if there was none.
func raw(kept string) []byte {
	if kept == "" {
		return nil
	}
	return []byte(kept)
}

// lastMember returns the value of an object's last member, given the end of the object, if that
// member is called name.
func lastMember(end []byte, name string) []byte {
	i := bytes.LastIndex(end, []byte(`"`+name+`":`))
	if i < 0 {
		return nil
	}
	s := unsplice{b: end, i: i + len(name) + 3}
	s.space()
	value, ok := s.value()
	s.space()
	if !ok || !s.take("}") || s.i != len(end) {
		return nil
	}
	return value
}

// begunJSON reports whether a line that is not a JSON object starts like one.
func begunJSON(line []byte) bool {
	s := unsplice{b: bytes.TrimPrefix(line, []byte(byteOrderMark))}
	s.space()
	if !s.take("{") {
		return false
	}
	s.space()
	return s.peek() == '"'
}

// surelyText reports whether a line that starts with beginning cannot be a JSON object.
func surelyText(beginning []byte) bool {
	s := unsplice{b: bytes.TrimPrefix(beginning, []byte(byteOrderMark))}
	s.space()
	if s.i == len(s.b) {
		return false // only white space so far
	}
	if !s.take("{") {
		return true
	}
	s.space()
	return s.i < len(s.b) && s.peek() != '"' && s.peek() != '}'
}

// touch records that j has changed.
func (r *Receipt) touch(j *Job) {
	for len(r.changed) < len(r.jobs) {
		r.changed = append(r.changed, true)
	}
	if n := len(r.jobs) - 1; r.jobs[n] == j { // usually the last one
		r.changed[n] = true
	} else if i := slices.Index(r.jobs, j); i >= 0 {
		r.changed[i] = true
	}
}

// state returns the part of a State that restores l.
func (l *ledger) state() *Counted {
	if !l.changed {
		return l.kept
	}
	next := &Counted{Jobs: make([]json.RawMessage, len(l.receipt.jobs)), Runs: encode(l.marker.runs)}
	if l.kept != nil {
		copy(next.Jobs, l.kept.Jobs)
	}
	for i, j := range l.receipt.jobs {
		if l.receipt.changed[i] {
			next.Jobs[i] = encode(j)
			l.receipt.changed[i] = false
		}
	}
	if len(l.receipt.jobs) > maxJobs {
		next.Further = &furtherJob{l.receipt.further, l.receipt.furtherRoot, l.receipt.before}
	}
	l.kept, l.changed = next, false
	return next
}

func encode(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil { // impossible: v holds only texts and numbers
		panic(err)
	}
	return data
}

// restoreLedger returns a ledger that continues from what a State kept.
func restoreLedger(kept *Counted) (l ledger, err error) {
	l.kept = kept
	if kept == nil {
		return l, nil
	}
	if len(kept.Runs) > 0 {
		if err := json.Unmarshal(kept.Runs, &l.marker.runs); err != nil {
			return ledger{}, fmt.Errorf("open runs: %w", err)
		}
	}
	for _, raw := range kept.Jobs {
		j := &Job{}
		if err := json.Unmarshal(raw, j); err != nil {
			return ledger{}, fmt.Errorf("a job: %w", err)
		}
		l.receipt.jobs = append(l.receipt.jobs, j)
		l.receipt.experts += len(j.Experts)
	}
	l.receipt.changed = make([]bool, len(l.receipt.jobs))
	if f := kept.Further; f != nil {
		l.receipt.further, l.receipt.furtherRoot, l.receipt.before = f.JobID, f.Root, f.Before
	}
	return l, nil
}
