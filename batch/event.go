package batch

import (
	"slices"
	"strconv"
)

// This file gives events their form. See docs/event-format.md: it is a public contract.

// member is the beginning of a message, escaped for the request body as it is written, with the
// size it has unescaped.
type member struct {
	esc  []byte
	size int
}

func (m *member) reset() *member {
	m.esc, m.size = m.esc[:0], 0
	return m
}

// plain appends text that needs no escape.
func (m *member) plain(s string) *member {
	m.esc = append(m.esc, s...)
	m.size += len(s)
	return m
}

// key appends a member's name, which needs no escape but for its quotes, and a colon.
func (m *member) key(name string) *member {
	m.esc = append(append(append(m.esc, `\"`...), name...), `\":`...)
	m.size += len(name) + 3
	return m
}

func (m *member) int(n int64) *member {
	before := len(m.esc)
	m.esc = strconv.AppendInt(m.esc, n, 10)
	m.size += len(m.esc) - before
	return m
}

// value appends raw JSON.
func (m *member) value(raw []byte) *member {
	for _, c := range raw {
		if c >= 0x20 && c != '"' && c != '\\' {
			m.esc = append(m.esc, c)
		} else {
			m.esc = appendEscape(m.esc, c)
		}
	}
	m.size += len(raw)
	return m
}

func (m *member) join(other *member) *member {
	m.esc = append(m.esc, other.esc...)
	m.size += other.size
	return m
}

// ShipperMembers are the names that the shipper member uses itself: no field that is added to it
// may have one of them.
var ShipperMembers = []string{
	"input", "seq", "empty", "excluded", "part", "last", "text", "bom", "source", "added", "lossy", "redacted", "newline", "at",
	"record", // of a record alone
}

// extras is what the shipper member says beside input and seq.
type extras struct {
	part           int
	last           bool
	text, lossy    bool
	redacted       int   // so many matches were taken out
	bom            bool  // a byte order mark stood in front of the object
	newline        bool  // false: the line is the input's last and has none
	addJob, addRun bool  // jobId, runId were added
	own            int64 // the line's own time, milliseconds since 1970
	clamped        bool  // which the event could not have
}

// shipper writes the shipper member, its braces and what stands before it to s.lead, without a
// comma behind it.
func (s *Shaper) shipper(before []byte, x *extras) *member {
	m := s.lead.reset().value(before).join(&s.open).value(s.seq.text(s.state.Seq))
	if s.state.Empty > 0 && x.part <= 1 {
		m.plain(`,`).key("empty").int(s.state.Empty)
	}
	if s.state.Excluded.Since > 0 && x.part <= 1 {
		m.plain(`,`).key("excluded").int(s.state.Excluded.Since)
	}
	if x.part > 0 {
		m.plain(`,`).key("part").int(int64(x.part))
		if x.last {
			m.plain(`,`).key("last").plain(`true`)
		}
	}
	if x.text {
		m.plain(`,`).key("text").plain(`true`)
	}
	if x.bom && x.part == 0 {
		m.plain(`,`).key("bom").plain(`true`)
	}
	if s.shape.Source != "" {
		m.plain(`,`).key("source").value(quote(s.shape.Source))
	}
	switch {
	case x.addJob && x.addRun:
		m.plain(`,`).key("added").value([]byte(`["jobId","runId"]`))
	case x.addJob:
		m.plain(`,`).key("added").value([]byte(`["jobId"]`))
	case x.addRun:
		m.plain(`,`).key("added").value([]byte(`["runId"]`))
	}
	if x.lossy {
		m.plain(`,`).key("lossy").plain(`true`)
	}
	if x.redacted > 0 {
		m.plain(`,`).key("redacted").int(int64(x.redacted))
	}
	if !x.newline && (x.part == 0 || x.last) {
		m.plain(`,`).key("newline").plain(`false`)
	}
	if x.clamped {
		m.plain(`,`).key("at").int(x.own)
	}
	return m.join(&s.fields).plain(`}`)
}

// ids returns the ids that the line lacks and is given, as raw JSON strings; "" for those it has or
// that are not known.
func (s *Shaper) ids() (job, run string) {
	if s.head.jobID == nil {
		job = s.Job()
	}
	if s.head.runID == nil {
		switch {
		case s.run != "":
			run = s.run
		case !s.state.ManyRuns && (s.head.jobID == nil || string(s.head.jobID) == s.state.Job):
			run = s.state.Run // with parallel runs a guess would blame the wrong Expert
		}
	}
	return job, run
}

// objectEvent makes the event of a line that is a JSON object, untouched but for what is put in
// behind its first brace. It reports false when that is too large.
func (s *Shaper) objectEvent(ev *Event, line []byte, x *extras) bool {
	if len(line) > s.bounds.event {
		return false // at once: what stands before the brace may be megabytes of white space
	}
	job, run := s.ids()
	x.addJob, x.addRun = job != "", run != ""
	m := s.shipper(line[:s.head.brace], x)
	if x.addJob {
		m.plain(`,`).key("jobId").value([]byte(job))
	}
	if x.addRun {
		m.plain(`,`).key("runId").value([]byte(run))
	}
	if s.head.members {
		m.plain(`,`)
	}
	ev.lead, ev.rest, ev.escaped, ev.tail = m.esc, s.scan.escaped(), true, ""
	ev.Size = m.size + len(line) - (s.head.brace + 1)
	if ev.Size > s.bounds.event && x.clamped {
		// The line says its time itself. Whether it is cut into parts must not depend on when it is
		// shipped.
		y := *x
		y.clamped = false
		return s.objectEvent(ev, line, &y)
	}
	return ev.Size <= s.bounds.event
}

// textEvent makes the event of a line that is no JSON object. It reports false when that is too
// large.
func (s *Shaper) textEvent(ev *Event, line []byte, x *extras) bool {
	if len(line) > s.bounds.event {
		return false
	}
	job, run := s.lineIDs()
	m := s.shipper(nil, x).plain(`,`).key("type").value([]byte(`"text"`)).plain(`,`).key("timestamp").int(x.own)
	if job != "" {
		m.plain(`,`).key("jobId").value([]byte(job))
	}
	if run != "" {
		m.plain(`,`).key("runId").value([]byte(run))
	}
	m.plain(`,`).key("message").value([]byte{'"'})
	fits := s.quotedRest(ev, m, line, s.bounds.event) == len(line)
	if !fits && x.clamped { // as in objectEvent
		y := *x
		y.clamped = false
		return s.textEvent(ev, line, &y)
	}
	return fits
}

// lineIDs returns the ids of an event that has members of its own making: the line's, else those it
// is given.
func (s *Shaper) lineIDs() (job, run string) {
	job, run = s.ids()
	if isID(s.head.jobID) {
		job = string(s.head.jobID)
	}
	if isID(s.head.runID) {
		run = string(s.head.runID)
	}
	return job, run
}

// textTail closes the string and the object of a text event or a part.
const textTail = `\"}`

// quotedRest makes as much of data as fits limit behind m, as JSON string content, the rest of ev,
// and returns how much that is.
func (s *Shaper) quotedRest(ev *Event, m *member, data []byte, limit int) int {
	limit -= m.size + len(`"}`)
	if len(data) >= longStep { // all that it may come to at once, not copied again and again as it grows
		s.quoted = slices.Grow(s.quoted[:0], limit)
	}
	var n int
	s.quoted, n = appendQuoted(s.quoted[:0], data, limit)
	ev.lead, ev.rest, ev.escaped, ev.tail = m.esc, s.quoted, false, textTail
	ev.Size = m.size + len(s.quoted) + len(`"}`)
	return n
}

// remainder is what is to be made into parts yet.
type remainder struct {
	data    []byte
	lossy   bool // data is as it was read, and no UTF-8: each part repairs its own
	ends    bool // the line ends with data
	newline bool

	redacted int // matches that were taken out of it, which the next part says
}

func (r *remainder) left() bool { return r.data != nil }

// split begins a line in parts: what each of them says of it.
func (s *Shaper) split(ev *Event, x *extras) {
	sp := &Split{Time: ev.Time, Own: x.own, Clamped: x.clamped, Route: ev.Route, Text: x.text, Lossy: x.lossy}
	head := []byte(nil)
	put := func(name string, raw string) {
		if raw != "" {
			head = append(append(append(append(append(head, '"'), name...), `":`...), raw...), ',')
		}
	}
	if x.text {
		put("type", `"text"`)
	} else {
		put("type", small(s.head.typ))
		put("id", small(s.head.id))
	}
	if raw := small(s.head.timestamp); raw != "" && !x.text {
		put("timestamp", raw)
	} else {
		put("timestamp", strconv.FormatInt(x.own, 10))
	}
	job, run := s.lineIDs()
	put("jobId", job)
	put("runId", run)
	sp.Head = string(head)
	s.state.Split = sp
}

// small returns a raw JSON value that is not too large to stand in each part, or "".
func small(raw []byte) string {
	if len(raw) > maxID {
		return ""
	}
	return string(raw)
}

// part makes the next part of the line in s.state.Split from s.rest.
func (s *Shaper) part(ev *Event) Step {
	sp := s.state.Split
	sp.Parts++
	x := extras{part: sp.Parts, redacted: s.rest.redacted, last: s.rest.ends, text: sp.Text, lossy: sp.Lossy, newline: s.rest.newline || !s.rest.ends, own: sp.Own, clamped: sp.Clamped}
	text := s.rest.data
	if s.rest.lossy {
		var all bool
		text, all = s.repairSome(text)
		x.last = x.last && all
		x.newline = x.newline || !x.last
	}
	n := s.partEvent(ev, &x, text)
	if x.last && n < len(text) {
		x.last, x.newline = false, true
		n = s.partEvent(ev, &x, text)
	}
	if s.rest.lossy {
		n = unrepairedLen(s.rest.data, n)
	}
	ev.Time, ev.Route = sp.Time, sp.Route
	s.state.Counts.Parts++
	s.state.Counts.Events++
	s.rest.data, s.rest.redacted = s.rest.data[n:], 0
	switch {
	case x.last:
		s.rest = remainder{}
		s.state.Split = nil
		s.shipped()
	case len(s.rest.data) == 0 && !s.rest.ends:
		s.rest = remainder{}
	}
	return Made
}

// partEvent makes a part of as much of text as fits and returns how much that is.
func (s *Shaper) partEvent(ev *Event, x *extras, text []byte) int {
	sp := s.state.Split
	m := s.shipper(nil, x).plain(`,`).value([]byte(sp.Head))
	if x.part == 1 {
		// Metric filters look for these; they must not miss an event for its size.
		if raw := s.head.usage; raw != nil && len(raw) <= maxMember {
			m.key("usage").value(raw).plain(`,`)
		}
		if raw := s.head.err; raw != nil && len(raw) <= maxMember {
			m.key("error").value(raw).plain(`,`)
		}
	}
	m.key("data").value([]byte{'"'})
	limit := s.bounds.event
	if !x.clamped {
		// Room for "at": where a line is cut must not depend on when it is shipped.
		limit -= len(`,"at":`) + len(strconv.FormatInt(x.own, 10))
	}
	return s.quotedRest(ev, m, text, limit)
}
