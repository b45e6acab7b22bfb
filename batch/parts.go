package batch

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// Lines that go in parts: those too large for an event, and those too long to wait for their end,
// which are shipped a piece at a time as they are read.

// redactHold is which part of a piece of a long line the next piece begins with again, where what
// matches may go on behind the first: an eighth, 64 KiB.
const redactHold = 8

// remainder is what is to be made into parts yet.
type remainder struct {
	data    []byte
	lossy   bool // data is as it was read, and no UTF-8: each part repairs its own
	ends    bool // the line ends with data
	newline bool

	redacted int // matches that were taken out of it, which the next part says
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

// longPiece makes a part of a line that is too long to wait for its end. What was found at its
// beginning counts.
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
		return skipped // all of it belongs to a match whose place an earlier piece holds
	}
	s.rest = remainder{data: line, redacted: c.n}
	return s.part(ev)
}

// lastPiece makes the first part of the rest of a line whose beginning is shipped.
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

// beginPieces begins a long line, of which raw is the first piece. It reports false where that must
// wait for its job.
func (s *Shaper) beginPieces(ev *Event, raw []byte) bool {
	s.scan.object(bytes.TrimPrefix(raw, []byte(byteOrderMark)), &s.head)
	s.head.repair()
	out := s.exclude.excludes(s.head.typ)
	s.redact.head(&s.head)
	if out {
		s.state.Split = &Split{Excluded: true, LineTime: s.leaveOut(true)}
		s.beginLong()
		return true
	}
	if s.ids.lacks(&s.head) {
		return false
	}
	x := extras{}
	s.begin(ev, true, &x)
	s.split(ev, &x)
	if s.redact.on() {
		at := startOf(raw)
		s.state.Split.Redacting = &at
	}
	s.beginLong()
	return true
}

// split begins the parts of the line at hand.
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
	s.last = s.head.typ
}

// endLong counts a long line at its end, rest.
func (s *Shaper) endLong(rest []byte, terminated bool) {
	if sp := s.state.Split; sp.Long != nil && !s.ledger.countLong(sp, rest) {
		s.state.Cut = !terminated
	}
}

// redacting is the spot of a long line, to be moved: States share the one before.
func (s *Split) redacting() *spot {
	next := *s.Redacting
	next.Open = slices.Clone(next.Open)
	s.Redacting = &next
	return &next
}

// piece returns a piece of a long line, raw, as it is shipped, and whether it differs.
func (s *Shaper) piece(raw []byte, c *change) (line []byte, differs bool) {
	line = c.text
	if !utf8.Valid(raw) {
		if sp := s.state.Split; !sp.Lossy { // a line counts once
			sp.Lossy = true
			s.state.Counts.Lossy++
		}
		line, differs = s.repair.all(line), true
	}
	s.state.Counts.Redacted += int64(c.n)
	return line, differs || c.changed
}
