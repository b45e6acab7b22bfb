package batch

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// Restamp copies the events [from, to) into new, closed batches of pool. Events for which refused
// returns true, given their index and time, get the time now. Their shipper member keeps the old
// time as "at" if there is room for it and no "at" is there yet. The copies name the blocks that
// the events came from, but do not count as pending there. Restamp is for events that became too
// old while they waited. These are rare, so it may be slow: it decodes the events and writes them
// again.
func (b *Batch) Restamp(from, to int, now int64, refused func(i int, time int64) bool, pool *Pool) []*Batch {
	var out []*Batch
	last := New(pool)
	blocks := b.Blocks()
	for i := from; i < to; i++ {
		ev := Event{Time: b.index[i].time, rest: b.Message(i)}
		if refused(i, ev.Time) {
			ev.rest = withAt(ev.rest, ev.Time)
			ev.Time = now
		}
		ev.Size = len(ev.rest)
		if !last.add(&ev) {
			last.Close()
			out = append(out, last)
			last = New(pool)
			last.add(&ev)
		}
		last.attribute(blocks[i])
	}
	if last.Len() > 0 {
		last.Close()
		out = append(out, last)
	}
	return out
}

// Message returns a copy of the message of the event with index i.
func (b *Batch) Message(i int) []byte {
	text := bytes.Join(b.text.between(nil, b.index[i].start, b.index[i].end), nil)
	_, text, _ = bytes.Cut(text, []byte(`"message":`))
	var message string
	if err := json.Unmarshal(bytes.TrimSuffix(text, []byte(`}`)), &message); err != nil {
		panic("batch: an event in a batch is not valid JSON: " + err.Error())
	}
	return []byte(message)
}

// withAt inserts "at" into the shipper member of message.
func withAt(message []byte, at int64) []byte {
	r, err := Restore(message)
	if err != nil || hasAt(r.ShipperMember) {
		return message
	}
	insert := strconv.AppendInt([]byte(`,"at":`), at, 10)
	if len(message)+len(insert) > MaxEventBytes {
		return message
	}
	// Insert before the brace that ends the member's value.
	end := bytes.Index(message, r.ShipperMember) + len(r.ShipperMember) - 1
	out := make([]byte, 0, len(message)+len(insert))
	return append(append(append(out, message[:end]...), insert...), message[end:]...)
}

// hasAt reports whether a shipper member already has "at", even if that is 0.
func hasAt(shipperMember []byte) (has bool) {
	members := unsplice{b: shipperMember, i: 1}
	members.members(func(key, _ []byte) bool {
		has = string(key) == "at"
		return !has
	})
	return has
}
