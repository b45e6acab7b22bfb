// Package batch turns the bytes of an input into batches that CloudWatch Logs accepts: bytes ->
// lines -> events -> parts -> batches. It does no I/O and reads no clock. It starts one kind of
// goroutine, which hashes a large block while that is being shaped (see digest.go).
//
//	shaper.go, state.go                  Shaper: lines to events; State, which a cursor keeps
//	cut.go, line.go, parts.go            bytes to lines; lines to events; lines shipped in parts
//	scan.go, scan_slot.go, scan_text.go  one pass that scans a line of JSON and escapes it
//	unsplice.go                          JSON read member by member
//	ids.go, time.go, route.go            the job, run, time and stream of a line
//	template.go, streamname.go           the names of log streams
//	exclude.go                           lines left out by type
//	redact.go, rewrite.go                matches taken out of lines
//	repair.go, quote.go, digits.go       UTF-8, JSON strings and numbers
//	event.go, record.go                  the messages of events and of records
//	restore.go                           from a message back to its line
//	digest.go                            SHA-256 of the lines and of the input
//	marks.go, ledger.go, receipt.go      what lines count: runs, calls, tokens, outcomes
//	types.go                             lines by type, for metrics
//	batch.go, limits.go                  Batch: the events of one put; the limits of PutLogEvents
//	body.go, pack.go, rope.go            the request body, plain and compressed, and its memory
//	restamp.go                           events whose time CloudWatch no longer accepts
package batch

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

// Event is one line, or one part of a line, in the form that CloudWatch stores. A [Shaper] fills
// it. It is valid until the next call of the Shaper; [Batch.Add] copies it.
type Event struct {
	Time  int64 // milliseconds since 1970
	Size  int   // bytes of the message in UTF-8, which the limits count
	Route int   // index of its stream in Shaper.Streams

	lead    []byte // the message up to rest, already escaped for the request body
	rest    []byte // the middle of the message
	escaped bool   // rest is already escaped
	tail    string // the end of the message, already escaped
}

// Block is a piece of one input's journal that was shaped into events. It is the unit of
// acknowledgement. Once neither the block nor any block before it has pending events, the journal
// may drop the input up to End, and a restart continues from State.
type Block struct {
	Input      int   // an index that the caller gives the input
	Start, End int64 // offsets in the input
	State      State // the Shaper's state after the block
	Pending    int   // events not acknowledged yet
	Accepted   int   // events that CloudWatch accepted; the caller counts them
}

// Span says that the next Events events of a batch, in order of Add and without those that have no
// block, came from Block.
type Span struct {
	Block  *Block
	Events int
}

// Batch holds the events of one stream that fit into one PutLogEvents call, in the form of the
// request body. While it is being filled it belongs to one goroutine. After Close or Prepare it is
// read-only until Release.
type Batch struct {
	Spans []Span // the blocks of the events, in order of Add, without the events that have no block

	unowned []int   // the events without a block, as positions in order of Add
	text    rope    // `{"timestamp":…,"message":"…"},` for each event, in order of Add
	index   []entry // one entry per event
	bytes   int     // sum of message size + EventOverhead
	oldest  int64
	newest  int64
	mixed   bool // times decrease somewhere in order of Add

	stamp   []byte // the beginning of an event with the time stamped, which many events share
	stamped int64

	counted int // bytes of index that are counted in the pool

	sum []byte // SHA-256 of the body of all events, if Prepare hashed it

	packed    rope // the same body compressed; packedSum is its SHA-256, nil if there is none
	packedSum []byte
}

// entry is the position of an event in the text, without the comma after it.
type entry struct {
	time       int64
	start, end place
}

// compare orders entries by time. Entries with the same time are ordered by position, which is the
// order of Add.
func (e entry) compare(other entry) int {
	return cmp.Or(cmp.Compare(e.time, other.time), cmp.Compare(e.start, other.start))
}

// entryBytes is the size of an entry.
const entryBytes = 16

// New returns an empty batch whose memory comes from pool.
func New(pool *Pool) *Batch {
	return &Batch{text: rope{pool: pool}, packed: rope{pool: pool}}
}

// Add appends ev and reports true. If that would exceed a limit of PutLogEvents, it reports false
// and changes nothing. block is nil if no block waits for the event. An empty batch accepts any
// event of 1 to MaxEventBytes.
func (b *Batch) Add(ev *Event, block *Block) bool {
	if !b.add(ev) {
		return false
	}
	if block != nil {
		block.Pending++
	}
	b.attribute(block)
	return true
}

// add is Add for an event whose block the caller names afterwards, with attribute.
func (b *Batch) add(ev *Event) bool {
	oldest, newest := ev.Time, ev.Time
	if n := len(b.index); n > 0 {
		oldest, newest = min(oldest, b.oldest), max(newest, b.newest)
		if n == MaxBatchEvents || b.bytes+ev.Size+EventOverhead > MaxBatchBytes || newest-oldest > MaxBatchSpan.Milliseconds() {
			return false
		}
		b.mixed = b.mixed || ev.Time < b.index[n-1].time
	}
	b.oldest, b.newest = oldest, newest
	b.bytes += ev.Size + EventOverhead

	if ev.Time != b.stamped || len(b.stamp) == 0 {
		b.stamped = ev.Time
		b.stamp = append(strconv.AppendInt(append(b.stamp[:0], `{"timestamp":`...), ev.Time, 10), `,"message":"`...)
	}
	b.text.room(len(b.stamp))
	start := b.text.end()
	b.text.write(b.stamp)
	b.text.write(ev.lead)
	if ev.escaped {
		b.text.write(ev.rest)
	} else {
		b.text.writeEscaped(ev.rest)
	}
	c := b.text.room(len(ev.tail) + len(`"},`))
	*c = append(*c, ev.tail...)
	*c = append(*c, `"}`...)
	b.index = append(b.index, entry{ev.Time, start, b.text.end()})
	if now := cap(b.index) * entryBytes; now != b.counted {
		b.text.pool.held.Add(int64(now - b.counted))
		b.counted = now
	}
	*c = append(*c, ',')
	return true
}

// attribute records which block the latest event came from, without counting it as pending there.
func (b *Batch) attribute(block *Block) {
	if block == nil {
		b.unowned = append(b.unowned, len(b.index)-1)
		return
	}
	if n := len(b.Spans); n > 0 && b.Spans[n-1].Block == block {
		b.Spans[n-1].Events++
	} else {
		b.Spans = append(b.Spans, Span{block, 1})
	}
}

// Blocks returns the block that each event came from, in the order of the batch, or nil for an
// event without a block. The batch must be closed. Blocks is for rejected events, which are rare,
// so it may be slow.
func (b *Batch) Blocks() []*Block {
	added := make([]int, len(b.index)) // indexes of the events, in order of Add
	for i := range added {
		added[i] = i
	}
	slices.SortFunc(added, func(i, j int) int { return cmp.Compare(b.index[i].start, b.index[j].start) })
	blocks := make([]*Block, len(added))
	unowned, spans, given := b.unowned, b.Spans, 0
	for n, i := range added {
		if len(unowned) > 0 && unowned[0] == n {
			unowned = unowned[1:]
			continue
		}
		if given == spans[0].Events {
			spans, given = spans[1:], 0
		}
		blocks[i] = spans[0].Block
		given++
	}
	return blocks
}

// Len returns the number of events.
func (b *Batch) Len() int { return len(b.index) }

// Of returns the number of events that belong to blocks of one input.
func (b *Batch) Of(input int) int {
	n := 0
	for _, span := range b.Spans {
		if span.Block.Input == input {
			n += span.Events
		}
	}
	return n
}

// Held returns the number of bytes of memory that the batch holds.
func (b *Batch) Held() int {
	return (len(b.text.chunks)+len(b.packed.chunks))*ChunkBytes + b.counted
}

// Close sorts the events by time. Events with the same time stay in order of Add. Afterwards
// nothing may be added, and several goroutines may read the batch. Prepare also closes the batch.
func (b *Batch) Close() {
	if b.mixed {
		order(b.index)
		b.mixed = false
	}
}

// order sorts entries by time and keeps the order of equal times. Most entries are in order
// already, so it sorts only the late ones and merges them into the rest.
func order(index []entry) {
	var late []entry
	n := 0 // the first n are in order
	for _, e := range index {
		if n > 0 && e.time < index[n-1].time {
			late = append(late, e)
			continue
		}
		index[n] = e
		n++
	}
	slices.SortFunc(late, entry.compare)
	for to := len(index) - 1; len(late) > 0; to-- {
		if last := late[len(late)-1]; n == 0 || index[n-1].compare(last) < 0 {
			index[to] = last
			late = late[:len(late)-1]
		} else {
			n--
			index[to] = index[n]
		}
	}
}

// Release returns the memory to the pool and empties the batch for its next use. No Body of the
// batch may be in use.
func (b *Batch) Release() {
	b.text.release()
	b.text.pool.held.Add(int64(-b.counted))
	b.packed.release()
	clear(b.Spans)
	*b = Batch{Spans: b.Spans[:0], unowned: b.unowned[:0], text: b.text, index: b.index[:0], stamp: b.stamp[:0], packed: b.packed}
}

// RefusedAt reports whether CloudWatch would refuse an event of the batch because of its time if
// the batch were sent at now, in milliseconds since 1970. margin is as for [Refused].
func (b *Batch) RefusedAt(now int64, margin time.Duration) bool {
	return len(b.index) > 0 && (Refused(b.oldest, now, margin) || Refused(b.newest, now, margin))
}
