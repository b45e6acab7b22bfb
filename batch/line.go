package batch

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// What becomes of one line: what it says of itself, whether it is an event as it is or goes in
// parts, and what of it is hashed.

func (s *Shaper) emptyLine() {
	s.parted(s.pos + 1)
	s.pos++
	s.state.Empty++
	s.state.Counts.EmptyLines++
}

// line makes the event, or the first part, of the line raw, or of the rest of one whose beginning
// is shipped.
func (s *Shaper) line(ev *Event, raw []byte, terminated bool) Step {
	if s.state.Split != nil {
		return s.lastPiece(ev, raw, terminated)
	}
	object := s.scan.object(raw, &s.head)
	mark := 0 // so long is the byte order mark in front of the object
	if !object {
		mark, object = s.behindMark(raw)
	}
	if len(s.exclude.globs) > 0 && s.excluded(object) {
		s.leaveOutLine(raw[mark:], object)
		s.skip(len(raw), terminated)
		return skipped
	}
	text, redacted := raw, 0 // what of raw may leave the machine
	if s.redact.on() {
		text, redacted, object = s.redactLine(raw, mark, object)
	}
	line, lossy := text, false
	if (!object || !s.scan.ascii()) && !utf8.Valid(text) {
		if lossy = true; len(text) > s.bounds.event {
			line = nil // it goes in parts, and repaired it could come to three times its size
			s.head.repair()
		} else {
			line = s.repair(text)
			object = s.scan.object(line[mark:], &s.head)
		}
	}
	if s.mustWait() {
		return Wait
	}
	var x extras
	x.text, x.newline = !object, terminated
	x.lossy = lossy || redacted > 0 && !utf8.Valid(raw)
	x.bom, x.redacted = object && mark > 0, redacted
	s.begin(ev, object, &x)
	switch {
	case object:
		s.count(text[mark:], &x)
		if !lossy {
			s.last = s.head.typ
		}
	case !terminated && begunJSON(raw):
		s.state.Cut, s.last = true, s.head.typ
	}
	s.took(len(raw), text, line, terminated, lossy || redacted > 0)
	s.state.Counts.Redacted += int64(redacted)
	if x.lossy {
		s.state.Counts.Lossy++
	}
	made := false
	switch {
	case line == nil:
	case !object:
		made = s.textEvent(ev, line, &x)
	case !s.head.foreign:
		// CloudWatch would take _aws for metrics, wherever it stands at the top level, and readers
		// could take a second shipper member for ours: as a part's data they are neither.
		made = s.objectEvent(ev, line[mark:], &x)
	}
	if !made {
		s.split(ev, &x)
		s.rest = remainder{data: line, ends: true, newline: terminated, redacted: redacted}
		if line == nil {
			s.rest.data, s.rest.lossy = text, true
		}
		return s.part(ev)
	}
	s.shipped()
	s.state.Counts.Events++
	return Made
}

// shipped notes that an event, or the last part of one, has said what came before it.
func (s *Shaper) shipped() { s.state.Empty, s.state.Excluded.Since = 0, 0 }

// redactLine returns what of the line raw may leave the machine. What was found in it, and what a
// scan had escaped, is from that.
func (s *Shaper) redactLine(raw []byte, mark int, object bool) (text []byte, n int, isObject bool) {
	if !object {
		text, n = s.redact.text(raw)
		s.redact.head(&s.head)
		return text, n, false
	}
	if text, n = s.redact.object(raw); n > 0 {
		object = s.scan.object(text[mark:], &s.head)
	}
	return text, n, object
}

// skip moves past a line of so many bytes, or a piece of one, of which nothing is shipped.
func (s *Shaper) skip(length int, terminated bool) {
	if terminated {
		length++
	}
	s.parted(s.pos + length)
	s.pos += length
}

// byteOrderMark is what programs on Windows put in front of a file's first line. JSON does not
// allow it.
const byteOrderMark = "\ufeff"

// behindMark looks for an object behind a byte order mark, and returns the mark's length; 0 where
// there is none, or no object behind it.
func (s *Shaper) behindMark(raw []byte) (mark int, object bool) {
	rest, found := bytes.CutPrefix(raw, []byte(byteOrderMark))
	if !found || !s.scan.object(rest, &s.head) {
		return 0, false
	}
	return len(byteOrderMark), true
}

// redactHold is which part of a piece of a long line the next piece begins with again, where what
// matches may go on behind the first: an eighth, 64 KiB.
const redactHold = 8

// longPiece makes a part of a line that is too long to wait for its end. What was found at its
// beginning counts.
func (s *Shaper) longPiece(ev *Event, raw []byte) Step {
	if s.state.Split == nil && !s.beginPieces(ev, raw) {
		return Wait
	}
	if s.state.Split.Excluded {
		s.goOnLong(raw)
		s.skip(len(raw), false)
		return skipped
	}
	var c change
	if s.redact.on() {
		c = s.redact.piece(raw, s.redacting(), false, len(raw)/redactHold)
	} else {
		c.used = wholeRunes(raw)
		c.text = raw[:c.used]
	}
	line, differs := s.piece(raw[:c.used], &c)
	if differs {
		s.parted(s.pos + c.used)
		s.digest.lines.Write(line)
	}
	s.goOnLong(line)
	s.pos += c.used
	if len(line) == 0 {
		return skipped // all of it belongs to a match whose place an earlier piece holds
	}
	s.rest = remainder{data: line, redacted: c.n}
	return s.part(ev)
}

// lastPiece makes the first part of the rest of a line whose beginning is shipped.
func (s *Shaper) lastPiece(ev *Event, raw []byte, terminated bool) Step {
	if s.state.Split.Excluded {
		s.endLong(raw, terminated)
		s.skip(len(raw), terminated)
		s.state.Split = nil
		return skipped
	}
	c := change{text: raw, used: len(raw)}
	if s.redact.on() {
		c = s.redact.piece(raw, s.redacting(), true, 0)
	}
	line, differs := s.piece(raw, &c)
	s.endLong(line, terminated)
	s.took(len(raw), c.text, line, terminated, differs)
	s.rest = remainder{data: line, ends: true, newline: terminated, redacted: c.n}
	return s.part(ev)
}

// beginPieces begins a long line, of which raw is the first piece. It reports false where that must
// wait for its job.
func (s *Shaper) beginPieces(ev *Event, raw []byte) bool {
	s.scan.object(bytes.TrimPrefix(raw, []byte(byteOrderMark)), &s.head)
	s.head.repair()
	out := s.exclude.excludes(s.head.typ)
	s.redact.head(&s.head)
	if out {
		var x extras
		s.leaveOut(true, &x)
		s.state.Split = &Split{Excluded: true, Own: x.own}
		s.beginLong(&x)
		return true
	}
	if s.mustWait() {
		return false
	}
	var x extras
	s.begin(ev, true, &x)
	s.split(ev, &x)
	if s.redact.on() {
		at := startOf(raw)
		s.state.Split.Redacting = &at
	}
	s.beginLong(&x)
	return true
}

// redacting is the spot of the long line at hand, to be moved: States share the one before.
func (s *Shaper) redacting() *spot {
	next := *s.state.Split.Redacting
	next.Open = slices.Clone(next.Open)
	s.state.Split.Redacting = &next
	return &next
}

// piece returns a piece of a long line, raw, as it is shipped, and whether it differs.
func (s *Shaper) piece(raw []byte, c *change) (line []byte, differs bool) {
	line = c.text
	if !utf8.Valid(raw) {
		s.lossyPiece()
		line, differs = s.repair(line), true
	}
	s.state.Counts.Redacted += int64(c.n)
	return line, differs || c.changed
}

// lossyPiece marks and counts a line in parts, once.
func (s *Shaper) lossyPiece() {
	if sp := s.state.Split; !sp.Lossy {
		sp.Lossy = true
		s.state.Counts.Lossy++
	}
}

// wholeRunes is how much of b does not end inside a UTF-8 sequence that the bytes to come may
// finish.
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
	s.state.Cut = false // a followed file may go on after it was cut
	s.learn()
	s.time(ev, object, x)
	ev.Route = s.routes.find(s)
}

// repair returns raw, which is no UTF-8, as valid UTF-8. It is scratch.
func (s *Shaper) repair(raw []byte) []byte {
	s.repaired = appendRepaired(slices.Grow(s.repaired[:0], repairedLen(raw)), raw)
	return s.repaired
}

// repairSome is repair for as much of raw as is more than a part takes; all says that it is all of
// it.
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

// took moves past a line of so many bytes, of which text was shipped as line or, with nil,
// repaired, and keeps the digest. Bytes that were shipped as they were read wait in a run, to be
// hashed at once; with differs these were not.
func (s *Shaper) took(length int, text, line []byte, terminated, differs bool) {
	next := s.pos + length
	if terminated {
		next++
	}
	if differs || !terminated {
		s.parted(next)
		s.digest.lines.Write(line)
		for line == nil && len(text) > 0 { // by and by, for it grows
			some, _ := s.repairSome(text)
			s.digest.lines.Write(some)
			text = text[unrepairedLen(text, len(some)):]
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
		s.ledger.named = false
	}
	switch run := s.head.runID; {
	case isID(s.head.jobID):
		s.state.JobIsRun = false
	case s.head.jobID == nil && isID(run) && (s.state.Job == "" || s.state.JobIsRun) && string(run) != s.state.Job:
		s.state.Job, s.state.JobIsRun, s.ledger.named = string(run), true, false // as long as no line has named a job, its run is the job
	}
	if run := s.head.runID; isID(run) && !s.state.ManyRuns && string(run) != s.state.Run {
		if s.state.Run == "" {
			s.state.Run = string(run)
		} else {
			s.state.ManyRuns = true
		}
	}
}

// isID reports whether a raw JSON value can stand for a job or a run: a string that is not empty
// and not of a size that is an attack.
func isID(raw []byte) bool {
	return len(raw) > 2 && len(raw) <= maxID && raw[0] == '"'
}

// time gives the event the line's own time or, where CloudWatch would refuse it, the time now.
func (s *Shaper) time(ev *Event, object bool, x *extras) {
	s.ownTime(object, x)
	ev.Time = x.own
	if Refused(x.own, s.now, timeMargin) {
		ev.Time, x.clamped = s.now, true
		s.state.Counts.Clamped++
	}
}

// ownTime finds the line's own time.
func (s *Shaper) ownTime(object bool, x *extras) {
	var ok bool
	if object {
		x.own, ok = eventTime(s.head.timestamp)
	}
	if !ok {
		x.own = s.arrivals(s.base + int64(s.pos))
	}
}

// FirstJob is the function of that name, without what must not leave the machine.
func (s *Shaper) FirstJob(data []byte, final bool) (job string, isRun bool, looked int) {
	job, isRun, looked = FirstJob(data, final)
	return string(s.redact.value([]byte(job))), isRun, looked
}

// FirstJob looks for the first line in data that names a job, or a run, which is its job then, and
// returns that as a raw JSON string and whether it is the run; else how much of data need not be
// looked at again.
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
