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

// extras is what the shipper member says of a line or of a part, apart from its input.
type extras struct {
	seq             int64
	empty, excluded int64 // lines without a byte, and lines left out, since the latest event

	part           int
	last           bool
	text, lossy    bool
	redacted       int   // so many matches were taken out
	bom            bool  // a byte order mark stood in front of the object
	newline        bool  // false: the line is the input's last and has none
	addJob, addRun bool  // jobId, runId were added
	lineTime       int64 // stated by the line, or of its arrival, in milliseconds since 1970
	clamped        bool  // which the event could not have
}

// writer writes the messages of an input's events.
type writer struct {
	most   int    // the size of an event: MaxEventBytes, except in tests
	open   member // `{"shipper":{"input":"…","seq":`
	source []byte // a raw JSON string; nil: none
	fields member // `,"env":"prod"`

	lead   member // of the event at hand
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

// shipper writes the shipper member, its braces and what stands before it to w.lead, without a
// comma behind it.
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

// object makes the event of a line that is a JSON object, which sc has scanned. The line is
// unchanged except for what is inserted after its first brace: the shipper member and the ids that
// it is given. object reports false if the event is too large.
func (w *writer) object(ev *Event, line []byte, h *head, sc *scanner, ids *ids, x *extras) bool {
	if len(line) > w.most {
		return false // at once: what stands before the brace may be megabytes of white space
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
		// The line says its time itself. Whether it is cut into parts must not depend on when it is
		// shipped.
		y := *x
		y.clamped = false
		return w.object(ev, line, h, sc, ids, &y)
	}
	return ev.Size <= w.most
}

// text makes the event of a line that is not a JSON object, given its ids. It reports false if the
// event is too large.
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

// textTail closes the string and the object of a text event or a part.
const textTail = `\"}`

// quotedRest makes as much of data as fits limit behind m, as JSON string content, the rest of ev,
// and returns how much that is.
func (w *writer) quotedRest(ev *Event, m *member, data []byte, limit int) int {
	limit -= m.size + len(`"}`)
	if len(data) >= longStep { // all that it may come to at once, not copied again and again as it grows
		w.quoted = slices.Grow(w.quoted[:0], limit)
	}
	var n int
	w.quoted, n = appendQuoted(w.quoted[:0], data, limit)
	ev.lead, ev.rest, ev.escaped, ev.tail = m.esc, w.quoted, false, textTail
	ev.Size = m.size + len(w.quoted) + len(`"}`)
	return n
}

// newSplit begins a line in parts, with what each part repeats.
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

// small returns a raw JSON value that is not too large to stand in each part, or "".
func small(raw []byte) string {
	if len(raw) > maxID {
		return ""
	}
	return string(raw)
}

// part makes a part of as much of text as fits and returns how much that is.
func (w *writer) part(ev *Event, sp *Split, h *head, x *extras, text []byte) int {
	m := w.shipper(nil, x).plain(`,`).value([]byte(sp.Head))
	if x.part == 1 {
		// Metric filters look for these; they must not miss an event for its size.
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
		// Room for "at": where a line is cut must not depend on when it is shipped.
		limit -= len(`,"at":`) + len(strconv.FormatInt(x.lineTime, 10))
	}
	return w.quotedRest(ev, m, text, limit)
}
