package batch

// This file ships lines in parts: lines that are too large for one event, and lines that are too
// long to wait for their end. The latter are shipped piece by piece as they are read.

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// redactHold is the share of a piece that is held back for the next piece, because a match could
// continue there: an eighth, which is 64 KiB.
const redactHold = 8

// remainder is the rest of a line or piece that has yet to become parts.
type remainder struct {
	data    []byte
	lossy   bool // data is not valid UTF-8, and each part repairs its own share
	ends    bool // the line ends with data
	newline bool

	redacted int // matches taken out, which the next part reports
}

func (r *remainder) left() bool { return r.data != nil }

// part makes the next part of the line in s.state.Split from s.rest.
func (s *Shaper) part(ev *Event) Step {
	sp, rest := s.state.Split, &s.rest
	sp.Parts++
	x := s.extras()
	x.part, x.last, x.newline, x.redacted = sp.Parts, rest.ends, rest.newline || !rest.ends, rest.redacted
	x.text, x.lossy, x.lineTime, x.clamped = sp.Text, sp.Lossy, sp.LineTime, sp.Clamped
	text := rest.data
	if rest.lossy {
		var all bool
		text, all = s.repair.some(text, s.write.most)
		x.last = x.last && all
		x.newline = x.newline || !x.last
	}
	n := s.write.part(ev, sp, &s.head, &x, text)
	if x.last && n < len(text) {
		x.last, x.newline = false, true
		n = s.write.part(ev, sp, &s.head, &x, text)
	}
	if rest.lossy {
		n = unrepairedLen(rest.data, n)
	}
	ev.Time, ev.Route = sp.Time, sp.Route
	s.state.Counts.Parts++
	s.state.Counts.Events++
	rest.data, rest.redacted = rest.data[n:], 0
	switch {
	case x.last:
		*rest = remainder{}
		s.state.Split = nil
		s.shipped()
	case len(rest.data) == 0 && !rest.ends:
		*rest = remainder{}
	}
	return Made
}

// longPiece makes a part of a line that is too long to wait for its end. The first piece supplies
// the type, ids and time of the line. It also decides whether the line is text: a line that starts
// like a JSON object counts as one, because its end is not known yet.
func (s *Shaper) longPiece(ev *Event, raw []byte) Step {
	if s.state.Split == nil && !s.beginPieces(ev, raw) {
		return Wait
	}
	sp := s.state.Split
	if sp.Excluded {
		sp.goOnLong(raw)
		s.skip(len(raw))
		return skipped
	}
	var c change
	if s.redact.on() {
		c = s.redact.piece(raw, sp.redacting(), false, len(raw)/redactHold)
	} else {
		c.used = wholeRunes(raw)
		c.text = raw[:c.used]
	}
	line, differs := s.piece(raw[:c.used], &c)
	if differs {
		s.digest.differ(s.cut.pos, s.cut.pos+c.used)
		s.digest.lines.Write(line)
	}
	sp.goOnLong(line)
	s.cut.pos += c.used
	if len(line) == 0 {
		return skipped // the whole piece belongs to a match that an earlier piece has replaced
	}
	s.rest = remainder{data: line, redacted: c.n}
	return s.part(ev)
}

// lastPiece makes the first part of the last piece of a long line.
func (s *Shaper) lastPiece(ev *Event, raw []byte, terminated bool) Step {
	sp := s.state.Split
	if sp.Excluded {
		s.endLong(raw, terminated)
		s.skip(lineLen(raw, terminated))
		s.state.Split = nil
		return skipped
	}
	c := change{text: raw, used: len(raw)}
	if s.redact.on() {
		c = s.redact.piece(raw, sp.redacting(), true, 0)
	}
	line, differs := s.piece(raw, &c)
	s.endLong(line, terminated)
	s.took(raw, c.text, line, terminated, differs)
	s.rest = remainder{data: line, ends: true, newline: terminated, redacted: c.n}
	return s.part(ev)
}

// beginPieces begins a long line, given its first piece. It reports false if the line must wait for
// a job.
func (s *Shaper) beginPieces(ev *Event, raw []byte) bool {
	s.scan.object(bytes.TrimPrefix(raw, []byte(byteOrderMark)), &s.head)
	object := !surelyText(raw)
	s.head.repair()
	out := s.exclude.on() && s.exclude.line(&s.head, object)
	s.redact.head(&s.head)
	if out {
		s.state.Split = &Split{Excluded: true, Text: !object, LineTime: s.leaveOut(object)}
		s.beginLong()
		return true
	}
	if s.ids.lacks(&s.head) {
		return false
	}
	x := extras{text: !object}
	s.begin(ev, object, &x)
	s.types.add(object, s.head.typ)
	s.split(ev, &x)
	if s.redact.on() {
		at := startOf(raw)
		s.state.Split.Redacting = &at
	}
	s.beginLong()
	return true
}

// split begins the parts of the current line.
func (s *Shaper) split(ev *Event, x *extras) {
	job, run := s.ids.of(&s.head)
	s.state.Split = newSplit(ev, &s.head, job, run, x)
}

// beginLong counts the beginning of a long line.
func (s *Shaper) beginLong() {
	sp := s.state.Split
	s.ledger.nameJob(s.ids.named(&s.head), sp.LineTime)
	job, run := s.ids.of(&s.head)
	sp.beginLong(&s.head, job, run)
	if !sp.Text {
		s.keepType()
	}
}

// endLong counts a long line at its end. rest is its last piece.
func (s *Shaper) endLong(rest []byte, terminated bool) {
	if sp := s.state.Split; sp.Long != nil && !sp.Text && !s.ledger.countLong(sp, rest) {
		s.state.Cut = !terminated
	}
}

// redacting replaces the redactor's position in a long line with a copy and returns the copy,
// because States share the old one.
func (s *Split) redacting() *spot {
	next := *s.Redacting
	next.Open = slices.Clone(next.Open)
	s.Redacting = &next
	return &next
}

// piece returns a piece of a long line in the form that is shipped, and whether that differs from
// raw.
func (s *Shaper) piece(raw []byte, c *change) (line []byte, differs bool) {
	line = c.text
	if !utf8.Valid(raw) {
		if sp := s.state.Split; !sp.Lossy { // a line counts only once
			sp.Lossy = true
			s.state.Counts.Lossy++
		}
		line, differs = s.repair.all(line), true
	}
	s.state.Counts.Redacted += int64(c.n)
	return line, differs || c.changed
}
