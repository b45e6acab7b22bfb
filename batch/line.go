package batch

// This file decides whether a line is shipped as one event, in parts or not at all, and which of
// its bytes are hashed.

import (
	"bytes"
	"unicode/utf8"
)

// emptyLine counts an empty line, which makes no event.
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
	bom, object := s.scan.line(raw, &s.head)
	if s.exclude.on() && s.exclude.line(&s.head, object) {
		s.leaveOutLine(raw, bom, object, terminated)
		s.skip(lineLen(raw, terminated))
		return skipped
	}
	text, redacted := raw, 0 // raw with what must not leave the machine taken out
	if s.redact.on() {
		text, redacted, object = s.redactLine(raw, bom, object)
	}
	line, lossy := text, false
	if (!object || !s.scan.ascii()) && !utf8.Valid(text) {
		if lossy = true; len(text) > s.write.most {
			// The repaired line could be three times as large, so it is shipped in parts.
			line = nil
			s.head.repair()
		} else {
			line = s.repair.all(text)
			object = s.scan.object(line[bom:], &s.head)
		}
	}
	if s.ids.lacks(&s.head) {
		return Wait
	}
	var x extras
	x.text, x.newline = !object, terminated
	x.lossy = lossy || redacted > 0 && !utf8.Valid(raw)
	x.bom, x.redacted = object && bom > 0, redacted
	s.begin(ev, object, &x)
	s.types.add(object, s.head.typ)
	switch {
	case object:
		s.ledger.count(&s.head, text[bom:], &s.ids, x.lineTime)
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
		// At the top level, CloudWatch would make metrics of _aws, and readers could take a second
		// shipper member for ours. Inside the data of a part they are harmless.
		made = s.write.object(ev, line[bom:], &s.head, &s.scan, &s.ids, &x)
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

// lineLen returns the length of a line in the input, with its newline.
func lineLen(raw []byte, terminated bool) int {
	if terminated {
		return len(raw) + 1
	}
	return len(raw)
}

// shipped notes that the event of a line, or its last part, has reported the empty and excluded
// lines before it.
func (s *Shaper) shipped() { s.state.Empty, s.state.Excluded.Since = 0, 0 }

// redactLine removes from a line what must not leave the machine. Afterwards s.head and the escaped
// text of the scan belong to the redacted line.
func (s *Shaper) redactLine(raw []byte, bom int, object bool) (text []byte, n int, isObject bool) {
	if !object {
		text, n = s.redact.text(raw)
		s.redact.head(&s.head)
		return text, n, false
	}
	if text, n = s.redact.object(raw); n > 0 {
		object = s.scan.object(text[bom:], &s.head)
	}
	return text, n, object
}

// leaveOutLine counts a line that is left out. Such a line opens no stream and waits for no job.
func (s *Shaper) leaveOutLine(raw []byte, bom int, object, terminated bool) {
	line := raw[bom:]
	// What the line counts goes into the seal, so it is counted without its secrets.
	if object && s.head.marks() && s.redact.on() {
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

// keepType keeps the type of the current line for the State. It makes a copy because the line may
// be in scratch memory that the next line overwrites.
func (s *Shaper) keepType() {
	s.hasLast = true
	if s.last = s.last[:0]; len(s.head.typ) <= maxID {
		s.last = append(s.last, s.head.typ...)
	}
}

// leaveOut counts the current line as left out, and returns its time.
func (s *Shaper) leaveOut(object bool) (lineTime int64) {
	s.state.Seq++
	s.state.Cut = false // as in begin
	s.state.Excluded.add(s.state.Seq)
	s.learn()
	return s.lineTime(object)
}

// begin counts a line and sets the time and the stream of its event. If CloudWatch would refuse the
// line's time, the event gets the current time.
func (s *Shaper) begin(ev *Event, object bool, x *extras) {
	s.state.Seq++
	s.state.Cut = false // a followed file may continue after it was cut
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

// extras returns the extras that are the same for every kind of event of the current line.
func (s *Shaper) extras() extras {
	return extras{seq: s.state.Seq, empty: s.state.Empty, excluded: s.state.Excluded.Since}
}

// learn remembers the ids of the current line.
func (s *Shaper) learn() {
	if s.ids.learn(&s.head) {
		s.ledger.named = false
	}
}

// lineTime returns the time that the current line states or, if it states none, the time of its
// arrival.
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
// U+FFFD for each byte that is not UTF-8. differs says that this is not the same as raw.
func (s *Shaper) took(raw, text, line []byte, terminated, differs bool) {
	next := s.cut.pos + lineLen(raw, terminated)
	if differs || !terminated {
		s.digest.differ(s.cut.pos, next)
		s.digest.lines.Write(line)
		// Repair step by step, because the repaired text may be much larger.
		for line == nil && len(text) > 0 {
			some, _ := s.repair.some(text, s.write.most)
			s.digest.lines.Write(some)
			text = text[unrepairedLen(text, len(some)):]
		}
		s.digest.lines.Write(newline)
	}
	s.cut.pos = next
}

var newline = []byte{'\n'}

// FirstJob calls the function FirstJob and redacts the job that it finds.
func (s *Shaper) FirstJob(data []byte, final bool) (job string, isRun bool, looked int) {
	job, isRun, looked = FirstJob(data, final)
	return string(s.redact.value([]byte(job))), isRun, looked
}

// FirstJob looks for the first line in data that names a job, or else a run, which then counts as
// its job. It returns the id as a raw JSON string, and whether that is the run. If no line names
// one, looked is how much of data need not be examined again.
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
		if isID(raw) { // repair it, as the event of its line does
			if id := appendRepaired(nil, raw); isID(id) {
				return string(id), isRun, looked
			}
		}
		looked = min(looked+end+1, len(data))
	}
	return "", false, looked
}
