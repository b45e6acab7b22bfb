package batch

import (
	"bytes"
	"unicode/utf8"
)

// This file decides what becomes of a line: whether it is shipped as one event, in parts or not at
// all, and which bytes of it are hashed.

// emptyLine counts a line without a byte, which makes no event.
func (s *Shaper) emptyLine() {
	s.skip(1)
	s.state.Empty++
	s.state.Counts.EmptyLines++
}

// line makes the event, or the first part, of a line or of the last piece of a long one.
func (s *Shaper) line(ev *Event, raw []byte, terminated bool) Step {
	if s.state.Split != nil {
		return s.lastPiece(ev, raw, terminated)
	}
	mark, object := s.scan.line(raw, &s.head)
	if len(s.exclude.globs) > 0 && s.exclude.line(&s.head, object) {
		s.leaveOutLine(raw, mark, object, terminated)
		s.skip(lineLen(raw, terminated))
		return skipped
	}
	text, redacted := raw, 0 // raw without what must not leave the machine
	if s.redact.on() {
		text, redacted, object = s.redactLine(raw, mark, object)
	}
	line, lossy := text, false
	if (!object || !s.scan.ascii()) && !utf8.Valid(text) {
		if lossy = true; len(text) > s.write.most {
			line = nil // it goes in parts, and repaired it could come to three times its size
			s.head.repair()
		} else {
			line = s.repair.all(text)
			object = s.scan.object(line[mark:], &s.head)
		}
	}
	if s.ids.lacks(&s.head) {
		return Wait
	}
	var x extras
	x.text, x.newline = !object, terminated
	x.lossy = lossy || redacted > 0 && !utf8.Valid(raw)
	x.bom, x.redacted = object && mark > 0, redacted
	s.begin(ev, object, &x)
	s.types.add(object, s.head.typ)
	switch {
	case object:
		s.ledger.count(&s.head, text[mark:], &s.ids, x.lineTime)
		s.keepType()
	case !terminated && begunJSON(raw):
		s.state.Cut = true
		s.keepType()
	}
	s.took(raw, text, line, terminated, lossy || redacted > 0)
	s.state.Counts.Redacted += int64(redacted)
	if x.lossy {
		s.state.Counts.Lossy++
	}
	made := false
	switch {
	case line == nil:
	case !object:
		job, run := s.ids.of(&s.head)
		made = s.write.text(ev, line, job, run, &x)
	case !s.head.foreign:
		// CloudWatch would take _aws for metrics, wherever it stands at the top level, and readers
		// could take a second shipper member for ours: as a part's data they are neither.
		made = s.write.object(ev, line[mark:], &s.head, &s.scan, &s.ids, &x)
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

// lineLen returns the length of a line in the input.
func lineLen(raw []byte, terminated bool) int {
	if terminated {
		return len(raw) + 1
	}
	return len(raw)
}

// shipped notes that the event of a line, or its last part, said how many lines before it make
// none.
func (s *Shaper) shipped() { s.state.Empty, s.state.Excluded.Since = 0, 0 }

// redactLine removes from a line what must not leave the machine. Afterwards s.head and what the
// scan escaped are those of the redacted line.
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

// leaveOutLine counts a line that is left out. It opens no stream and waits for no job.
func (s *Shaper) leaveOutLine(raw []byte, mark int, object, terminated bool) {
	line := raw[mark:]
	if object && s.head.marks() && s.redact.on() { // what it counts goes into the seal
		line, _ = s.redact.object(line)
		s.scan.object(line, &s.head)
	} else {
		s.redact.head(&s.head)
	}
	s.head.repair()
	lineTime := s.leaveOut(object)
	switch {
	case object:
		s.ledger.count(&s.head, line, &s.ids, lineTime)
		s.keepType()
	case !terminated && begunJSON(raw):
		s.state.Cut = true
		s.keepType()
	}
}

// keepType keeps the type of the line at hand for the State. It copies it, because the line may be
// in scratch memory that the next line overwrites.
func (s *Shaper) keepType() {
	s.hasLast = true
	if s.last = s.last[:0]; len(s.head.typ) <= maxID {
		s.last = append(s.last, s.head.typ...)
	}
}

// leaveOut counts the line at hand, and returns its time.
func (s *Shaper) leaveOut(object bool) (lineTime int64) {
	s.state.Seq++
	s.state.Cut = false // as in begin
	s.state.Excluded.add(s.state.Seq)
	s.learn()
	return s.lineTime(object)
}

// begin counts a line and finds the time and the stream of its event. If CloudWatch would refuse
// the line's time, the event gets the present time.
func (s *Shaper) begin(ev *Event, object bool, x *extras) {
	s.state.Seq++
	s.state.Cut = false // a followed file may go on after it was cut
	s.learn()
	x.seq, x.empty, x.excluded = s.state.Seq, s.state.Empty, s.state.Excluded.Since
	x.lineTime = s.lineTime(object)
	ev.Time = x.lineTime
	if Refused(x.lineTime, s.now, timeMargin) {
		ev.Time, x.clamped = s.now, true
		s.state.Counts.Clamped++
	}
	ev.Route = s.routes.find(&s.head, &s.ids)
}

// extras returns what the shipper member says of the line at hand in any case.
func (s *Shaper) extras() extras {
	return extras{seq: s.state.Seq, empty: s.state.Empty, excluded: s.state.Excluded.Since}
}

// learn keeps the ids of the line at hand.
func (s *Shaper) learn() {
	if s.ids.learn(&s.head) {
		s.ledger.named = false
	}
}

// lineTime returns the time that the line at hand states or, if it states none, when it arrived.
func (s *Shaper) lineTime(object bool) int64 {
	if object {
		if t, ok := eventTime(s.head.timestamp); ok {
			return t
		}
	}
	return s.arrivals(s.cut.offset())
}

// skip moves past bytes that are not shipped.
func (s *Shaper) skip(length int) {
	s.digest.differ(s.cut.pos, s.cut.pos+length)
	s.cut.pos += length
}

// took moves past a line and updates the digest. line is what was shipped; nil means text with
// U+FFFD in the place of what is no UTF-8. differs says that what was shipped is not raw.
func (s *Shaper) took(raw, text, line []byte, terminated, differs bool) {
	next := s.cut.pos + lineLen(raw, terminated)
	if differs || !terminated {
		s.digest.differ(s.cut.pos, next)
		s.digest.lines.Write(line)
		for line == nil && len(text) > 0 { // by and by, for it grows
			some, _ := s.repair.some(text, s.write.most)
			s.digest.lines.Write(some)
			text = text[unrepairedLen(text, len(some)):]
		}
		s.digest.lines.Write(newline)
	}
	s.cut.pos = next
}

var newline = []byte{'\n'}

// FirstJob calls the function of that name and redacts the job that it finds.
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
