package batch

// This file writes the messages of events. Their format is a public contract, docs/event-format.md.

import (
	"slices"
	"strconv"
)

// member is the beginning of a message. It is escaped for the request body while it is written, and
// counts its unescaped size.
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

// key appends the name of a member and a colon. In the name only the quotes need an escape.
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

// ShipperMembers are the names that the shipper member uses itself. No additional field may have
// one of them.
var ShipperMembers = []string{
	"input", "seq", "empty", "excluded", "part", "last", "text", "bom", "source", "added", "lossy", "redacted", "newline", "at",
	"record", // only in records
}

// extras is what the shipper member says about a line or a part, except for the input.
type extras struct {
	seq             int64
	empty, excluded int64 // empty lines and excluded lines since the latest event

	part           int
	last           bool
	text, lossy    bool
	redacted       int   // the number of matches taken out
	bom            bool  // the line began with a byte order mark
	newline        bool  // false: the line is the last of the input and has no newline
	addJob, addRun bool  // jobId, runId were added
	lineTime       int64 // from the line itself, or of its arrival, in milliseconds since 1970
	clamped        bool  // the event could not have lineTime
}

// writer writes the messages of an input's events.
type writer struct {
	most   int    // the largest event; MaxEventBytes, except in tests
	open   member // `{"shipper":{"input":"…","seq":`
	source []byte // a raw JSON string; nil: none
	fields member // `,"env":"prod"`

	lead   member // of the current event
	seq    counter
	quoted []byte // scratch: text or a part as JSON string content
}

func newWriter(shape *Shape) writer {
	w := writer{most: MaxEventBytes}
	w.open.plain(`{`).key("shipper").plain(`{`).key("input").value(quote(shape.Input)).plain(`,`).key("seq")
	for _, f := range shape.Fields {
		w.fields.plain(`,`).value(quote(f.Name)).plain(`:`).value(quote(f.Value))
	}
	if shape.Source != "" {
		w.source = quote(shape.Source)
	}
	return w
}

// shipper writes before, the opening brace and the shipper member to w.lead, without a comma after
// the member.
func (w *writer) shipper(before []byte, x *extras) *member {
	m := w.lead.reset().value(before).join(&w.open).value(w.seq.text(x.seq))
	if x.empty > 0 && x.part <= 1 {
		m.plain(`,`).key("empty").int(x.empty)
	}
	if x.excluded > 0 && x.part <= 1 {
		m.plain(`,`).key("excluded").int(x.excluded)
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
	if w.source != nil {
		m.plain(`,`).key("source").value(w.source)
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
		m.plain(`,`).key("at").int(x.lineTime)
	}
	return m.join(&w.fields).plain(`}`)
}

// object makes the event of a line that is a JSON object, which sc has scanned. The line stays
// unchanged except for what is inserted after its first brace: the shipper member and the ids that
// the line lacks. object reports false if the event is too large.
func (w *writer) object(ev *Event, line []byte, h *head, sc *scanner, ids *ids, x *extras) bool {
	if len(line) > w.most {
		return false // check first: there may be megabytes of white space before the brace
	}
	job, run := ids.added(h)
	x.addJob, x.addRun = job != "", run != ""
	m := w.shipper(line[:h.brace], x)
	if x.addJob {
		m.plain(`,`).key("jobId").value([]byte(job))
	}
	if x.addRun {
		m.plain(`,`).key("runId").value([]byte(run))
	}
	if h.members {
		m.plain(`,`)
	}
	ev.lead, ev.rest, ev.escaped, ev.tail = m.esc, sc.escaped(), true, ""
	ev.Size = m.size + len(line) - (h.brace + 1)
	if ev.Size > w.most && x.clamped {
		// The line states its time itself, so "at" is not needed. Whether it is cut into parts must
		// not depend on when it is shipped.
		y := *x
		y.clamped = false
		return w.object(ev, line, h, sc, ids, &y)
	}
	return ev.Size <= w.most
}

// text makes the event of a line that is not a JSON object, with the ids job and run. It reports
// false if the event is too large.
func (w *writer) text(ev *Event, line []byte, job, run string, x *extras) bool {
	if len(line) > w.most {
		return false
	}
	m := w.shipper(nil, x).plain(`,`).key("type").value([]byte(`"text"`)).plain(`,`).key("timestamp").int(x.lineTime)
	if job != "" {
		m.plain(`,`).key("jobId").value([]byte(job))
	}
	if run != "" {
		m.plain(`,`).key("runId").value([]byte(run))
	}
	m.plain(`,`).key("message").value([]byte{'"'})
	fits := w.quotedRest(ev, m, line, w.most) == len(line)
	if !fits && x.clamped { // as in object
		y := *x
		y.clamped = false
		return w.text(ev, line, job, run, &y)
	}
	return fits
}

// textTail ends the string and the object of a text event or a part.
const textTail = `\"}`

// quotedRest sets the rest of ev to as much of data, as JSON string content, as fits into limit
// after m. It returns how much of data that is.
func (w *writer) quotedRest(ev *Event, m *member, data []byte, limit int) int {
	limit -= m.size + len(`"}`)
	// Allocate for the largest result, so that growing does not copy it repeatedly.
	if len(data) >= longStep {
		w.quoted = slices.Grow(w.quoted[:0], limit)
	}
	var n int
	w.quoted, n = appendQuoted(w.quoted[:0], data, limit)
	ev.lead, ev.rest, ev.escaped, ev.tail = m.esc, w.quoted, false, textTail
	ev.Size = m.size + len(w.quoted) + len(`"}`)
	return n
}

// newSplit begins a line shipped in parts, and collects what each part repeats.
func newSplit(ev *Event, h *head, job, run string, x *extras) *Split {
	sp := &Split{Time: ev.Time, LineTime: x.lineTime, Clamped: x.clamped, Route: ev.Route, Text: x.text, Lossy: x.lossy}
	head := []byte(nil)
	put := func(name string, raw string) {
		if raw != "" {
			head = append(append(append(append(append(head, '"'), name...), `":`...), raw...), ',')
		}
	}
	if x.text {
		put("type", `"text"`)
	} else {
		put("type", small(h.typ))
		put("id", small(h.id))
	}
	if raw := small(h.timestamp); raw != "" && !x.text {
		put("timestamp", raw)
	} else {
		put("timestamp", strconv.FormatInt(x.lineTime, 10))
	}
	put("jobId", job)
	put("runId", run)
	sp.Head = string(head)
	return sp
}

// small returns a raw JSON value, or "" if it is too large to repeat in each part.
func small(raw []byte) string {
	if len(raw) > maxID {
		return ""
	}
	return string(raw)
}

// part makes a part from as much of text as fits, and returns how much that is.
func (w *writer) part(ev *Event, sp *Split, h *head, x *extras, text []byte) int {
	m := w.shipper(nil, x).plain(`,`).value([]byte(sp.Head))
	if x.part == 1 {
		// Metric filters look for these members, and must not miss an event because of its size.
		if raw := h.usage; raw != nil && len(raw) <= maxMember {
			m.key("usage").value(raw).plain(`,`)
		}
		if raw := h.err; raw != nil && len(raw) <= maxMember {
			m.key("error").value(raw).plain(`,`)
		}
	}
	m.key("data").value([]byte{'"'})
	limit := w.most
	if !x.clamped {
		// Leave room for "at", because the place of a cut must not depend on when the line is
		// shipped.
		limit -= len(`,"at":`) + len(strconv.FormatInt(x.lineTime, 10))
	}
	return w.quotedRest(ev, m, text, limit)
}
