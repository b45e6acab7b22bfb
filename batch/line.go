package batch

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// What becomes of one line: what it says of itself, whether it is an event as it is or goes in parts, and what of it is hashed.

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
		s.endLong(raw, terminated)
		s.took(raw, line, terminated, lossy)
		s.rest = remainder{data: line, ends: true, newline: terminated}
		return s.part(ev)
	}
	line, lossy, object := raw, false, s.scan.object(raw, &s.head)
	mark := 0 // so long is the byte order mark in front of the object
	if !object {
		mark, object = s.behindMark(raw)
	}
	if (!object || !s.scan.ascii()) && !utf8.Valid(raw) {
		if lossy = true; len(raw) > s.bounds.event {
			line = nil // it goes in parts, and repaired it could come to three times its size
			s.head.repair()
		} else {
			line = s.repair(raw)
			object = s.scan.object(line[mark:], &s.head)
		}
	}
	if s.mustWait() {
		return Wait
	}
	x := extras{text: !object, lossy: lossy, bom: object && mark > 0, newline: terminated}
	s.begin(ev, object, &x)
	switch {
	case object:
		s.count(raw[mark:], &x)
		if !lossy {
			s.last = s.head.typ
		}
	case !terminated && begunJSON(raw):
		s.state.Cut, s.last = true, s.head.typ
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
	case !s.head.foreign:
		// CloudWatch would take _aws for metrics, wherever it stands at the top level, and readers could take a second shipper member for ours: as a
		// part's data they are neither.
		made = s.objectEvent(ev, line[mark:], &x)
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

// byteOrderMark is what programs on Windows put in front of a file's first line. JSON does not allow it.
const byteOrderMark = "\ufeff"

// behindMark looks for an object behind a byte order mark, and returns the mark's length; 0 where there is none, or no object behind it.
func (s *Shaper) behindMark(raw []byte) (mark int, object bool) {
	rest, found := bytes.CutPrefix(raw, []byte(byteOrderMark))
	if !found || !s.scan.object(rest, &s.head) {
		return 0, false
	}
	return len(byteOrderMark), true
}

// longPiece makes a part of a line that is too long to wait for its end. What was found at its beginning counts.
func (s *Shaper) longPiece(ev *Event, raw []byte) Step {
	if s.state.Split == nil {
		s.scan.object(bytes.TrimPrefix(raw, []byte(byteOrderMark)), &s.head)
		s.head.repair()
		if s.mustWait() {
			return Wait
		}
		var x extras
		s.begin(ev, true, &x)
		s.split(ev, &x)
		s.beginLong(&x)
	}
	s.goOnLong(raw)
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

// mustWait reports whether the line at hand has no job and may get one.
func (s *Shaper) mustWait() bool {
	return s.head.jobID == nil && s.Job() == "" && !s.state.Unattended && !isID(s.head.runID)
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
	switch run := s.head.runID; {
	case isID(s.head.jobID):
		s.state.JobIsRun = false
	case s.head.jobID == nil && isID(run) && (s.state.Job == "" || s.state.JobIsRun) && string(run) != s.state.Job:
		s.state.Job, s.state.JobIsRun = string(run), true // as long as no line has named a job, its run is the job
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

// FirstJob looks for the first line in data that names a job, or a run, which is its job then, and returns that as a raw JSON string and whether it is
// the run; else how much of data need not be looked at again.
func FirstJob(data []byte, final bool) (job string, isRun bool, looked int) {
	var sc scanner
	var h head
	for looked < len(data) {
		end := bytes.IndexByte(data[looked:], '\n')
		if end < 0 {
			if !final && len(data)-looked < MaxLineBytes {
				return "", false, looked
			}
			end = len(data) - looked
		}
		sc.object(bytes.TrimPrefix(data[looked:looked+end], []byte(byteOrderMark)), &h)
		raw := h.jobID
		if isRun = raw == nil; isRun {
			raw = h.runID
		}
		if isID(raw) { // repaired, as its own line's event says it
			if id := appendRepaired(nil, raw); isID(id) {
				return string(id), isRun, looked
			}
		}
		looked = min(looked+end+1, len(data))
	}
	return "", false, looked
}
