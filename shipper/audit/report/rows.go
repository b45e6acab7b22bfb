package report

// This file collects the table of events. If a job is too long for the table, it keeps the rows
// that matter most and counts those that it drops.

import (
	"cmp"
	"slices"
	"strings"

	"perstack-shipper/shipper/audit/event"
)

// The bounds of the table, chosen so that a browser opens the page in about a second.
const (
	maxRows     = 10_000
	maxRowBytes = 6 << 20
)

// level ranks rows by importance. 0 is the most important.
type level int

const (
	essential level = iota // beginnings and ends of runs, and errors
	work                   // what the model said and what tools did
	routine                // everything else
	pieces                 // deltas, whose whole text follows in another event
	levels
)

func levelOf(ev *event.Event) level {
	switch ev.Kind {
	case event.Start, event.Answer, event.Failure, event.Retry, event.Stop, event.Question, event.Delegate:
		return essential
	case event.Call, event.Thought, event.Said:
		return work
	case event.Resolved:
		if slices.ContainsFunc(ev.Results, func(r event.Result) bool { return r.Failed }) {
			return essential
		}
		return work
	case event.Delta, event.StreamStart:
		return pieces
	}
	return routine
}

// row is an event, or several consecutive deltas of one stream.
type row struct {
	input     string
	seq, last int64 // of its first and last lines
	count     int64
	time      int64
	expert    *run // the run whose Expert is shown, or nil
	step      int64
	typ       string
	text      string
	bad       bool
	tokens    int64
	level     level
	detail    []piece
	size      int
}

type rows struct {
	all    []*row
	size   int
	long   int              // bytes to keep of a long value
	cutoff level            // rows of this level and less important ones are dropped
	left   map[string]int64 // number of dropped events, by type
	open   map[*run]*row    // the row to which the next delta of a run is added
}

func newRows() rows {
	return rows{long: maxLong, cutoff: levels, left: map[string]int64{}, open: map[*run]*row{}}
}

// maxDeltas bounds the text of a row of deltas, in bytes.
const maxDeltas = 4000

func (rs *rows) add(input string, seq int64, ev *event.Event, run *run, tokens int64, line []byte) {
	if ev.Kind == event.Delta {
		if r := rs.open[run]; r != nil && r.typ == ev.Type && r.input == input {
			r.last, r.count = seq, r.count+1
			if len(r.text) < maxDeltas {
				r.text += start(ev.Delta, maxDeltas)
			}
			return
		}
	}
	delete(rs.open, run)
	lv := levelOf(ev)
	if lv >= rs.cutoff {
		rs.leave(ev.Type, 1)
		return
	}
	r := &row{
		input: strings.Clone(input), seq: seq, last: seq, count: 1, time: ev.Time, expert: run, step: ev.Step, typ: strings.Clone(ev.Type),
		text: strings.Clone(ev.Text()), tokens: tokens, level: lv,
		bad: event.IsError(ev.Type) || ev.Kind == event.Resolved && lv == essential,
	}
	if ev.Kind == event.Delta {
		rs.open[run] = r
	} else {
		r.detail = fold(line, rs.long)
	}
	r.measure()
	rs.all = append(rs.all, r)
	rs.size += r.size
	for rs.size > maxRowBytes && rs.long > minLong {
		rs.squeeze()
	}
	for len(rs.all) > maxRows || rs.size > maxRowBytes {
		rs.shrink()
	}
}

func (r *row) measure() {
	r.size = 200 + len(r.text)
	for i := range r.detail {
		r.size += len(r.detail[i].text) + len(r.detail[i].preview)
	}
}

// squeeze halves what is kept of each long value.
func (rs *rows) squeeze() {
	rs.long /= 2
	rs.size = 0
	for _, r := range rs.all {
		for i := range r.detail {
			if p := &r.detail[i]; p.long && len(p.text) > rs.long {
				kept := strings.Clone(start(p.text, rs.long))
				p.cut += len(p.text) - len(kept)
				p.text = kept
			}
		}
		r.measure()
		rs.size += r.size
	}
}

func (rs *rows) leave(typ string, n int64) {
	if typ == "" {
		typ = "text"
	}
	if _, known := rs.left[typ]; !known && len(rs.left) == 50 {
		typ = "others"
	}
	rs.left[typ] += n
}

// shrink drops the rows of the least important level. If only essential ones are left, it drops
// some in the middle.
func (rs *rows) shrink() {
	gone := func(i int, r *row) bool { return i > len(rs.all)/2 && i < len(rs.all)*3/4 }
	if rs.cutoff > work {
		rs.cutoff--
		gone = func(_ int, r *row) bool { return r.level >= rs.cutoff }
		clear(rs.open)
	}
	var kept []*row
	for i, r := range rs.all {
		if gone(i, r) {
			rs.leave(r.typ, r.count)
			rs.size -= r.size
			continue
		}
		kept = append(kept, r)
	}
	rs.all = kept
}

// left is the number of events of a type that are not in the table.
type left struct {
	typ   string
	count int64
}

func (rs *rows) leftOut() (list []left, total int64) {
	for typ, n := range rs.left {
		list = append(list, left{typ, n})
		total += n
	}
	slices.SortFunc(list, func(a, b left) int { return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.typ, b.typ)) })
	return list, total
}
