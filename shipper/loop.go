package shipper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/journal"
)

// The steps of Run's loop: shape what was read, start the puts that are due, settle those that ended, finish inputs that are done.

// shape reads and shapes one block of one input, in turn, until memory runs out. It reports whether there may be more to do at once.
func (s *Shipper) shape(now time.Time) (busy bool) {
	if s.full() {
		return false
	}
	for range s.inputs {
		in := s.inputs[s.turn%len(s.inputs)]
		s.turn++
		if !in.done && s.shapeInput(in, now) {
			return true
		}
		if s.short {
			return false // each input more would take a window
		}
	}
	return false
}

// full reports whether enough waits to be put, or memory has run out. Before it does, inputs give back what they keep to be used again, and the largest open
// batches are put early, as many at once as a link takes: so many inputs and streams cost fuller memory, not standstill.
func (s *Shipper) full() bool {
	held := s.pool.Held()
	if s.short = false; held == 0 {
		return false // there is nothing to wait for
	}
	waiting, able := 0, s.underway
	total := s.deliv.trouble.total()
	for _, st := range s.streams {
		if total || !st.failing.Load() { // one stream's trouble does not keep the others waiting
			waiting += st.waiting()
		}
		if !st.busy && st.waiting() > 0 {
			able++
		}
	}
	if held+s.besides() > s.o.MemoryMax/4*3 {
		for _, in := range s.inputs {
			in.spend()
		}
	}
	held += s.besides()
	for ; held > s.o.MemoryMax/4*3 && able < parallel; able++ {
		if !s.closeLargest() {
			break
		}
	}
	if s.short = held >= s.o.MemoryMax; s.short {
		return true
	}
	return waiting >= ready
}

// besides is the memory that reading and shaping take, beside what waits to be put.
func (s *Shipper) besides() int {
	held := 0
	for _, in := range s.inputs {
		if !in.done {
			held += in.held()
		}
	}
	return held
}

// closeLargest closes the largest open batch of the streams that could put it now.
func (s *Shipper) closeLargest() bool {
	var largest *stream
	for _, st := range s.streams {
		if st.open != nil && !st.busy && (largest == nil || st.open.Held() > largest.open.Held()) {
			largest = st
		}
	}
	if largest == nil {
		return false
	}
	largest.closeOpen()
	return true
}

// shapeInput makes events of what in has. It reports whether it made any progress.
func (s *Shipper) shapeInput(in *input, now time.Time) bool {
	if in.waiting && !s.findJob(in, now) {
		return in.looking
	}
	if in.shaping == nil && !s.begin(in, now) {
		return false
	}
	most := max(s.o.MemoryMax-s.besides(), s.o.MemoryMax/4)
	for {
		switch in.shaper.Next(&s.ev) {
		case batch.Made:
			s.place(in, now)
			if s.short = s.pool.Held() >= most; s.short {
				return false // goes on in the middle of the block when there is room
			}
		case batch.Wait:
			in.waiting = true
			return s.end(in) || s.findJob(in, now) || in.looking
		case batch.Done:
			return s.end(in)
		}
	}
}

func (s *Shipper) findJob(in *input, now time.Time) bool {
	found, err := in.findJob(now, s.byID[in.JobOf])
	if err != nil {
		s.complain("cursor "+in.Shape.Input, err)
	}
	return found
}

// manyBlocks is how many blocks of an input wait until new lines, which may come one by one, make the last one longer instead of another.
const manyBlocks = 1024

// begin starts on the next block of in.
func (s *Shipper) begin(in *input, now time.Time) bool {
	if !in.truncated {
		// What the window dropped is read again, a segment at a time, until there is something new.
		n, err := in.window.fill(in.Journal)
		for err == nil && n > 0 && in.window.next() <= in.seen {
			n, err = in.window.fill(in.Journal)
		}
		if in.unread = false; err != nil {
			s.readError(in, err)
		}
	}
	final := in.gap > 0 || in.ended() && in.shapedAll() && in.ending() != PausedInLine
	switch {
	case in.window.next() > in.seen:
	case in.again: // the same bytes, but their job is known now
	case final && (len(in.window.bytes()) > 0 || in.shaper.InLine()):
	case in.gap > 0:
		in.window.jump(in.gap)
		in.gap = 0
		return s.begin(in, now)
	default:
		if !in.ended() { // else it may be the beginning of a line that is to stay, and must be known to be all there is
			in.window.drop()
		}
		return false
	}
	in.again, in.grew, in.seen = false, in.window.next() > in.seen, max(in.seen, in.window.next())
	in.placed = false
	if n := len(in.blocks) - 1; n >= manyBlocks && in.blocks[n] != in.seal && in.window.offset-in.blocks[n].Start < windowBytes {
		in.shaping, in.longer = in.blocks[n], true
	} else {
		in.shaping, in.longer = &batch.Block{Input: in.index, Start: in.window.offset}, false
		in.blocks = append(in.blocks, in.shaping)
	}
	in.shaper.Begin(in.window.bytes(), in.window.offset, now.UnixMilli(), in.Journal.ArrivalAt, final)
	return true
}

// end finishes the block that is being shaped. It reports whether that got on.
func (s *Shipper) end(in *input) bool {
	b, n := in.shaping, in.shaper.End()
	in.shaping = nil
	in.window.take(n)
	if n == 0 && !in.placed {
		if !in.longer {
			in.blocks = in.blocks[:len(in.blocks)-1]
		}
		return in.grew // no whole line yet: there may be more of it to read
	}
	b.End, b.State = in.window.offset, in.shaper.State()
	in.sealed = false
	if in.shaper.Overflowed() && !in.overflowed {
		in.overflowed = true
		s.log.Warn(fmt.Sprintf("input %s names more than %d log streams; the lines of further ones go to %q, where the ids tell them apart: use a log stream template with fewer fields",
			in.Shape.Input, batch.MaxStreams, in.shaper.Streams()[0]))
	}
	s.advance(in)
	return true
}

// place puts the event at hand into the open batch of its stream.
func (s *Shipper) place(in *input, now time.Time) {
	for len(in.streams) < len(in.shaper.Streams()) {
		in.streams = append(in.streams, s.stream(in.shaper.Streams()[len(in.streams)]))
	}
	st := in.streams[s.ev.Route]
	if s.ev.Route >= in.opened { // streams are opened in the order of their routes
		in.opened = s.ev.Route + 1
		message, err := in.openMessage(&s.o.Origin, st.name, s.ev.Time)
		if err != nil {
			s.log.Error(err.Error())
		} else {
			var ev batch.Event
			batch.Record(&ev, message, s.ev.Time, s.ev.Route)
			s.put(st, &ev, nil, now)
		}
	}
	in.placed = true
	s.put(st, &s.ev, in.shaping, now)
}

// put puts ev into the open batch of st, closing that when it is full.
func (s *Shipper) put(st *stream, ev *batch.Event, block *batch.Block, now time.Time) {
	if st.open != nil && st.open.Add(ev, block) {
		return
	}
	st.closeOpen()
	st.open, st.since = s.newBatch(), now
	st.open.Add(ev, block)
}

func (s *Shipper) newBatch() *batch.Batch {
	if n := len(s.spare); n > 0 {
		b := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return b
	}
	return batch.New(&s.pool)
}

// readError takes note that the journal cannot be read as it was.
func (s *Shipper) readError(in *input, err error) {
	if gap, ok := errors.AsType[*journal.GapError](err); ok {
		// The line that the gap begins in ends there, and what is behind the gap is shipped.
		if in.gap != gap.To {
			in.gap = gap.To
			s.lost(in, err)
		}
		return
	}
	if t, ok := errors.AsType[*journal.TruncatedError](err); ok {
		// What was read is shipped; what comes now is another input.
		in.truncated = true
		if t.Lost == 0 { // all that was seen of it was read: a rotation by copying
			s.log.Warn(t.Error())
		} else {
			s.lost(in, err)
		}
		s.succeed(in)
		return
	}
	in.unread = true
	s.complain("read "+in.Shape.Input, err)
}

// lost says what cannot be shipped. It counts only against the process whose input it was.
func (s *Shipper) lost(in *input, err error) {
	s.log.Error(err.Error())
	if in.Own {
		s.report.Failed = append(s.report.Failed, err)
	}
}

// start begins the deliveries that are due.
func (s *Shipper) start(ctx context.Context, now time.Time) {
	for _, st := range s.streams {
		st.hurry = false
	}
	for _, in := range s.inputs {
		if !in.done && in.readAll() {
			s.seal(in, now)
			for _, st := range in.streams {
				st.hurry = true
			}
		}
	}
	for _, st := range s.streams {
		if st.forlorn() && (s.short || now.Sub(st.lonely) >= loneWait) {
			s.judge(st, now)
		}
		if !st.due(now, s.interval) {
			continue
		}
		if len(st.closed) == 0 {
			st.closeOpen()
		}
		b, lones := st.shift(), st.lones
		last := s.holdsSeal(b)
		st.busy = true
		s.underway++
		go func() { s.results <- s.deliv.deliver(ctx, st, b, lones, last) }()
	}
}

// loneWait is how long events that were all refused wait for a neighbour, unless memory runs out. The journal keeps all that is behind it meanwhile.
const loneWait = time.Minute

// judge gives lone events a neighbour: the open record once more. Whether that is accepted tells which is at fault, they or the target.
func (s *Shipper) judge(st *stream, now time.Time) {
	spans := st.lones[0].Spans
	if len(spans) == 0 {
		return // a record of our own, which nothing waits for
	}
	message, err := s.inputs[spans[0].Block.Input].openMessage(&s.o.Origin, st.name, now.UnixMilli())
	if err != nil {
		s.log.Error(err.Error())
		return
	}
	var ev batch.Event
	batch.Record(&ev, message, now.UnixMilli(), 0)
	s.put(st, &ev, nil, now)
	st.closeOpen()
}

// holdsSeal reports whether b has the seal of an input.
func (s *Shipper) holdsSeal(b *batch.Batch) bool {
	for _, span := range b.Spans {
		if span.Block == s.inputs[span.Block.Input].seal {
			return true
		}
	}
	return false
}

// seal puts the seal of an input that is read to its end into each of its streams, when all before it is acknowledged. Where all that is not lies in
// one open batch, the seal goes with that, for an input's end should cost one round trip: the batch is taken as a whole, or another seal follows.
func (s *Shipper) seal(in *input, now time.Time) {
	final := in.ending() == Finished
	if in.seal != nil || in.sealed && in.final == final || len(in.streams) == 0 {
		return
	}
	in.sealed = false
	pending := in.pending() - in.lones
	if pending > 0 {
		st := in.streams[0]
		if len(in.streams) > 1 || st.busy || len(st.closed) > 0 || st.open == nil || st.open.Of(in.index) != pending {
			return
		}
	}
	message, err := in.sealMessage(now.UnixMilli(), final)
	if err != nil {
		s.log.Error(err.Error())
		in.sealed, in.final = true, final
		return
	}
	in.seal = &batch.Block{Input: in.index, Start: in.window.offset, End: in.window.offset, State: in.shaper.State()}
	in.blocks = append(in.blocks, in.seal)
	in.stale, in.final = false, final
	for route, st := range in.streams {
		var ev batch.Event
		batch.Record(&ev, message, now.UnixMilli(), route)
		s.put(st, &ev, in.seal, now)
	}
}

// settle takes in what became of a batch.
func (s *Shipper) settle(r outcome) {
	s.underway--
	st := r.stream
	st.busy = false
	s.report.Batches += r.puts
	s.report.Retries += r.retries
	s.stretch(r)
	if r.ambiguous {
		for _, span := range r.batch.Spans {
			if in := s.inputs[span.Block.Input]; span.Block != in.seal { // else where each first answer is lost one seal would follow the other
				in.account.Repeated += int64(span.Events)
				in.stale = true
			}
		}
	}
	for id, n := range r.restamped {
		if in := s.byID[id]; in != nil {
			in.account.Restamped += n
			in.stale = true
		}
	}
	switch {
	case r.err != nil: // stopped: what is not acknowledged is shipped again by the next start
		return
	case r.lone:
		st.lones, st.lonely = append(st.lones, r.batch), time.Now()
		s.countLone(r.batch, 1)
		return
	}
	s.progress = time.Now()
	var spans []batch.Span // the oldest first
	for _, l := range st.lones {
		spans = append(spans, l.Spans...)
	}
	spans = append(spans, r.batch.Spans...)
	for _, rejected := range r.rejected {
		s.reject(st, rejected, spans)
	}
	for _, l := range st.lones {
		s.countLone(l, -1)
		s.ack(l)
	}
	st.lones = nil
	s.ack(r.batch)
}

func (s *Shipper) countLone(b *batch.Batch, n int) {
	for _, span := range b.Spans {
		s.inputs[span.Block.Input].lones += n * span.Events
	}
}

// stretch lengthens the flush interval while CloudWatch throttles: fewer, fuller puts.
func (s *Shipper) stretch(r outcome) {
	if r.throttled {
		s.interval = max(s.o.FlushInterval, min(2*s.interval, maxInterval))
	} else if r.puts > 0 {
		s.interval = max(s.o.FlushInterval, s.interval/2)
	}
}

// ack gives the acknowledgement of a batch to the journals, and its memory back.
func (s *Shipper) ack(b *batch.Batch) {
	for _, span := range b.Spans {
		span.Block.Pending -= span.Events
	}
	for i, span := range b.Spans {
		if i == 0 || b.Spans[i-1].Block.Input != span.Block.Input {
			s.advance(s.inputs[span.Block.Input])
		}
	}
	b.Release()
	if len(s.spare) < parallel {
		s.spare = append(s.spare, b)
	}
}

func (s *Shipper) advance(in *input) {
	if _, err := in.advance(); err != nil {
		s.complain("cursor "+in.Shape.Input, err)
	}
}

// aside is a rejected event that is to be kept in its input's folder. Until it is, a block of that input waits for it: the journal forgets nothing that is
// neither in CloudWatch nor set aside.
type aside struct {
	in    *input
	block *batch.Block // its events' count has one more for this
	seq   int64
	entry []byte
	why   error
	since time.Time // when it was to be kept
}

// asideAgain is how often a rejected event that could not be set aside is tried again.
const asideAgain = 200 * time.Millisecond

// asidePatience is how long one is tried again for another reason than that the disk is full. A folder that somebody has removed, or that is read-only, stays so,
// and what waits for it would keep the journal from giving back space, in the end from taking what the agent writes.
const asidePatience = 5 * time.Second

// reject sets an event aside that CloudWatch refuses while it takes others. spans are those that it came with.
func (s *Shipper) reject(st *stream, r refusal, spans []batch.Span) {
	message := r.message()
	restored, err := batch.Restore(message)
	in := s.byID[restored.Input]
	if err != nil || in == nil || restored.Record != "" {
		s.log.Error(fmt.Sprintf("log stream %q refuses a record of our own: %v", st.name, r.reason))
		return
	}
	in.account.Rejected.add(restored.Seq)
	in.stale = true
	entry, err := json.Marshal(struct {
		Time    time.Time `json:"time"`
		Stream  string    `json:"stream"`
		Seq     int64     `json:"seq"`
		Part    int       `json:"part,omitempty"`
		Reason  string    `json:"reason"`
		Message string    `json:"message"`
	}{time.Now().UTC(), st.name, restored.Seq, restored.Part, r.reason.Error(), string(message)})
	if err != nil { // strings and numbers
		panic(err)
	}
	a := aside{in: in, seq: restored.Seq, entry: entry, why: r.reason, since: time.Now()}
	for _, span := range spans {
		if span.Block.Input == in.index {
			a.block = span.Block
			a.block.Pending++
			break
		}
	}
	s.asides = append(s.asides, a)
	s.setAside(time.Time{})
}

// setAside writes the rejected events that are not kept yet, when that was not tried just before now.
func (s *Shipper) setAside(now time.Time) {
	if len(s.asides) == 0 || !now.IsZero() && now.Sub(s.asided) < asideAgain {
		return
	}
	s.asided = time.Now()
	waiting := s.asides
	s.asides = nil
	for _, a := range waiting {
		err := a.in.Journal.Reject(a.entry)
		if err != nil && (errors.Is(err, journal.ErrFull) || s.asided.Sub(a.since) < asidePatience) {
			s.complain("reject "+a.in.Shape.Input, fmt.Errorf("line %d of input %s, which CloudWatch refuses, cannot be set aside yet: %w", a.seq, a.in.Shape.Input, err))
			s.asides = append(s.asides, a)
			continue
		}
		kept := "kept in rejects.jsonl of " + a.in.Journal.Path()
		if a.in.Journal.Path() == "" {
			kept = "and lost, for the journal is in memory"
		}
		if err != nil {
			kept = fmt.Sprintf("and lost, for it cannot be set aside (%v)", err)
		}
		s.log.Error(fmt.Sprintf("CloudWatch refuses line %d of input %s while it takes others; it is not shipped, %s: %v", a.seq, a.in.Shape.Input, kept, a.why))
		if a.block != nil {
			a.block.Pending--
			s.advance(a.in)
		}
	}
}

// finish lets go of inputs of which nothing is left.
func (s *Shipper) finish() {
	for _, in := range s.inputs {
		if in.done || !in.readAll() || len(in.blocks) > 0 || !in.sealed && len(in.streams) > 0 {
			continue
		}
		if in.Tee != nil && !in.Tee.finished() {
			if !in.Tee.stuck(time.Now()) {
				s.progress = time.Now() // it is the reader of stdout that takes its time now
				continue
			}
			in.Tee.giveUp()
		}
		in.done = true
		end := in.Journal.Remove
		if in.ending() != Finished {
			end = in.Journal.Close
		}
		s.report.take(in)
		if err := end(); err != nil {
			s.complain("end "+in.Shape.Input, err)
		}
		in.closed()
		s.letGo(in)
	}
}

// letGo forgets an input that is done, and the streams that only it wrote to, if it is a followed file: there is no end to those. Of others the job is asked for
// still, by their siblings.
func (s *Shipper) letGo(in *input) {
	close(in.let)
	in.window, in.ahead = window{}, nil
	if in.Journal.Kind() != journal.File {
		return
	}
	s.free = append(s.free, in.index)
	for id, i := range s.byID {
		if i == in {
			delete(s.byID, id)
		}
	}
	used := map[*stream]bool{}
	for _, i := range s.inputs {
		if !i.done {
			for _, st := range i.streams {
				used[st] = true
			}
		}
	}
	for _, st := range in.streams {
		if !used[st] && st.idle() {
			delete(s.streams, st.name)
		}
	}
	in.streams = nil
}

// closeAll closes the journals of the inputs that are not done, with what is left in them.
func (s *Shipper) closeAll() {
	for _, in := range s.inputs {
		if in.done {
			continue
		}
		if in.Quit != nil {
			in.Quit()
		}
		s.report.take(in)
		s.report.leave(in)
		if err := in.Journal.Close(); err != nil {
			s.complain("close "+in.Shape.Input, err)
		}
		in.closed()
	}
}

// complain says an error of this machine's: once, then at most once a minute.
func (s *Shipper) complain(kind string, err error) {
	if s.said.may(kind, time.Now()) {
		s.log.Error(err.Error())
	}
}
