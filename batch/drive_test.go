package batch_test

// This file ships an input as the pipeline does, block by block, and reads the request bodies with
// nothing but encoding/json. It checks every batch and every line against the limits of
// PutLogEvents and against the input. The other tests say what to ship.

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"pgregory.net/rapid"

	"perstack-shipper/batch"
)

// now is the time of the tests, in milliseconds since 1970. It is close to the time of the
// recordings.
const now = int64(1795348800000)

const hour = int64(3600 * 1000)

var head = batch.BodyHead("/perstack/prod", "a stream")

func plainShape() batch.Shape {
	return batch.Shape{Input: "k3v9x2ab", Template: "{jobId}", Hostname: "host"}
}

// regime is how an input reaches its Shaper. The zero value reads everything at once and never
// restarts.
type regime struct {
	read func(offset int) int // size of the next read, at least 1; nil: everything
	// restart returns whether to continue after this block with a new Shaper, from the cursor's
	// state.
	restart func() bool
	now     func() int64 // of a block
	narrow  bool         // cut lines at a fortieth of the real bounds
}

// message is one event as CloudWatch holds it.
type message struct {
	stream string
	time   int64
	text   string
	restored
}

type restored = batch.Restored

// shipment is what CloudWatch holds of an input, and what the Shaper says about the input.
type shipment struct {
	shape  batch.Shape
	input  []byte
	sum    [sha256.Size]byte // of input
	narrow bool

	sent       []sent    // the batches, in the order in which they were closed
	messages   []message // by seq and part
	streams    []string
	state      batch.State
	jobs       string // of the receipt, as JSON
	overflowed bool
}

// sent is a batch that was sent to a stream.
type sent struct {
	stream string
	sum    [sha256.Size]byte // of the request body
	events []logEvent        // not set if sum was enough to know them
}

// driver is a shipment in progress.
type driver struct {
	t      rapid.TB
	regime regime
	shaper *batch.Shaper
	pool   batch.Pool
	open   []*batch.Batch // by route
	blocks []*batch.Block
	out    shipment
	// like is a shipment with the same batches, which need no decoding; nil: decode them.
	like   *shipment
	closed func(b *batch.Batch, events []logEvent) // gets each decoded batch before its release; may be nil
}

// arrival is when the byte at an offset was read. It is different for each offset.
func arrival(offset int64) int64 { return now - hour + offset%1000 }

// ship ships all of input and checks the result.
func ship(t rapid.TB, shape batch.Shape, input []byte, r regime) *shipment {
	t.Helper()
	s := drive(t, shape, input, r)
	s.check(t)
	return s
}

// drive ships all of input. It checks the batches, and leaves the comparison with the input to the
// caller.
func drive(t rapid.TB, shape batch.Shape, input []byte, r regime) *shipment {
	t.Helper()
	d := newDriver(t, shape, input, r)
	d.run()
	return &d.out
}

func newDriver(t rapid.TB, shape batch.Shape, input []byte, r regime) *driver {
	return &driver{t: t, regime: r, out: shipment{shape: shape, input: input, sum: sha256.Sum256(input), narrow: r.narrow}}
}

// again ships the input of s by another regime, and checks that the result is the same. The size of
// the blocks does not change the events of the batches, so the request bodies are the same, and
// their hashes stand for the events, which ship has checked.
func (s *shipment) again(t rapid.TB, r regime) {
	t.Helper()
	r.narrow = s.narrow
	d := &driver{t: t, regime: r, out: shipment{shape: s.shape, input: s.input, sum: s.sum, narrow: s.narrow}, like: s}
	d.run()
	got := &d.out
	if len(got.sent) != len(s.sent) || !slices.Equal(got.streams, s.streams) {
		t.Fatalf("got %d batches in streams %q, want %d in %q", len(got.sent), got.streams, len(s.sent), s.streams)
	}
	if got.jobs != s.jobs {
		t.Fatalf("the receipts differ: got %s\nwant %s", got.jobs, s.jobs)
	}
	if state, want := stateJSON(t, got.state), stateJSON(t, s.state); state != want {
		t.Fatalf("the states differ: got %s\nwant %s", state, want)
	}
}

// stateJSON returns a State as the cursor keeps it.
func stateJSON(t rapid.TB, state batch.State) string {
	t.Helper()
	data, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func (d *driver) run() {
	d.t.Helper()
	input := d.out.input
	var err error
	if d.shaper, err = batch.NewShaper(d.out.shape, batch.State{}, nil); err != nil {
		d.t.Fatal(err)
	}
	if d.regime.narrow {
		d.shaper.Narrow()
	}
	start, end := 0, 0 // the window
	for {
		n := len(input) - end
		if d.regime.read != nil {
			n = min(n, d.regime.read(end))
		}
		end += n
		final := end == len(input)
		start += d.block(input[start:end], int64(start), final)
		if final && start == len(input) && !d.shaper.InLine() {
			break
		}
	}
	for _, b := range d.open {
		d.close(b)
	}
	if sha256.Sum256(input) != d.out.sum {
		d.t.Fatal("the input was changed")
	}
	if held := d.pool.Held(); held != 0 {
		d.t.Fatalf("%d bytes of the pool are in use after every batch was released", held)
	}
	for _, b := range d.blocks {
		if b.Pending != 0 {
			d.t.Fatalf("the block [%d, %d) has %d pending events after every batch was acknowledged", b.Start, b.End, b.Pending)
		}
	}
	d.out.jobs = jobsJSON(d.shaper.Receipt())
	d.out.state, d.out.streams, d.out.overflowed = d.shaper.State(), d.shaper.Streams(), d.shaper.Overflowed()
}

// block shapes one block and returns how many bytes were shaped.
func (d *driver) block(data []byte, base int64, final bool) (done int) {
	d.t.Helper()
	at := now
	if d.regime.now != nil {
		at = d.regime.now()
	}
	block := &batch.Block{Start: base}
	d.blocks = append(d.blocks, block)
	again := false
	for {
		d.shaper.Begin(data[done:], base+int64(done), at, arrival, final)
		var ev batch.Event
		step := d.shaper.Next(&ev)
		for ; step == batch.Made; step = d.shaper.Next(&ev) {
			d.add(&ev, block)
		}
		done += d.shaper.End()
		if step == batch.Done {
			break
		}
		if again {
			d.t.Fatal("the Shaper still waits after SetJob or StopWaiting")
		}
		again = true
		d.findJob(base + int64(done))
	}
	block.End, block.State = base+int64(done), d.shaper.State()
	if final && done < len(data) {
		d.t.Fatalf("only %d of the last %d bytes were shaped", done, len(data))
	}
	if d.regime.restart != nil && d.regime.restart() {
		d.restart()
	}
	return done
}

// findJob looks for the job of the waiting lines in the rest of the input, and releases them.
func (d *driver) findJob(offset int64) {
	if job, isRun, _ := d.shaper.FirstJob(d.out.input[offset:], true); job != "" {
		d.shaper.SetJob(job, isRun)
	} else {
		d.shaper.StopWaiting()
	}
}

// restart continues as after a crash. Only the State of the Shaper, as JSON, and the names of its
// streams survive.
func (d *driver) restart() {
	state := d.shaper.State()
	streams := slices.Clone(d.shaper.Streams()[:state.Streams])
	data, err := json.Marshal(state)
	if err != nil {
		d.t.Fatal(err)
	}
	var again batch.State
	if err := json.Unmarshal(data, &again); err != nil {
		d.t.Fatal(err)
	}
	if d.shaper, err = batch.NewShaper(d.out.shape, again, streams); err != nil {
		d.t.Fatal(err)
	}
	if d.regime.narrow {
		d.shaper.Narrow()
	}
}

func (d *driver) add(ev *batch.Event, block *batch.Block) {
	d.t.Helper()
	for len(d.open) <= ev.Route {
		d.open = append(d.open, batch.New(&d.pool))
	}
	b := d.open[ev.Route]
	if b.Add(ev, block) {
		return
	}
	if b.Len() == 0 {
		d.t.Fatalf("an empty batch refuses an event of %d bytes", ev.Size)
	}
	d.close(b)
	if !b.Add(ev, block) {
		d.t.Fatalf("a released batch refuses an event of %d bytes", ev.Size)
	}
}

// close adds the events of a batch to the shipment and releases the batch.
func (d *driver) close(b *batch.Batch) {
	d.t.Helper()
	b.Close()
	d.send(b)
	events := 0
	for _, span := range b.Spans {
		span.Block.Pending -= span.Events
		events += span.Events
	}
	if events != b.Len() || events != b.Of(0) {
		d.t.Fatalf("the spans of a batch of %d events cover %d events, %d of them of input 0", b.Len(), events, b.Of(0))
	}
	b.Release()
}

// send adds the events of a closed batch to the shipment.
func (d *driver) send(b *batch.Batch) {
	d.t.Helper()
	stream := d.shaper.Streams()[slices.Index(d.open, b)]
	body := b.Body(head, 0, b.Len())
	hash := sha256.New()
	if n, err := body.WriteTo(hash); err != nil || n != body.Len() {
		d.t.Fatalf("WriteTo wrote %d of %d bytes: %v", n, body.Len(), err)
	}
	s := sent{stream: stream, sum: [sha256.Size]byte(hash.Sum(nil))}
	if d.like != nil {
		n := len(d.out.sent)
		if n == len(d.like.sent) {
			d.t.Fatalf("there are more than %d batches", n)
		}
		if want := d.like.sent[n]; s.stream != want.stream || s.sum != want.sum {
			d.t.Fatalf("batch %d is in stream %q, want %q: %s", n, s.stream, want.stream, difference(decode(d.t, b), want.events))
		}
	} else {
		s.events = decode(d.t, b)
		if d.closed != nil {
			d.closed(b, s.events)
		}
		for _, e := range s.events {
			d.out.messages = append(d.out.messages, message{stream: stream, time: e.Timestamp, text: e.Message})
		}
	}
	d.out.sent = append(d.out.sent, s)
}

// logEvent is an event in a request body.
type logEvent struct {
	Timestamp int64  `json:"timestamp"`
	Message   string `json:"message"`
}

// decodeBody reads a request body.
func decodeBody(t rapid.TB, body io.Reader) []logEvent {
	t.Helper()
	var request struct {
		LogGroupName  string     `json:"logGroupName"`
		LogStreamName string     `json:"logStreamName"`
		LogEvents     []logEvent `json:"logEvents"`
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &request); err != nil || !utf8.Valid(raw) {
		t.Fatalf("a body is not JSON: %v: %.300q", err, raw)
	}
	if request.LogGroupName != "/perstack/prod" || request.LogStreamName != "a stream" {
		t.Fatalf("a body names group %q and stream %q", request.LogGroupName, request.LogStreamName)
	}
	return request.LogEvents
}

// decode reads all of a batch and checks it against the limits of PutLogEvents.
func decode(t rapid.TB, b *batch.Batch) []logEvent {
	t.Helper()
	body := b.Body(head, 0, b.Len())
	size := body.Len()
	counted := &countingReader{r: body}
	events := decodeBody(t, counted)
	if counted.n != size {
		t.Fatalf("a body has %d bytes, but Len says %d", counted.n, size)
	}
	if len(events) != b.Len() || len(events) < 1 || len(events) > 10000 {
		t.Fatalf("a batch has %d events, but Len says %d", len(events), b.Len())
	}
	sum := 0
	for i, e := range events {
		if n := len(e.Message); n < 1 || n > 1048550 {
			t.Fatalf("a message of %d bytes: %.200q", n, e.Message)
		}
		if e.Timestamp < 0 || i > 0 && e.Timestamp < events[i-1].Timestamp {
			t.Fatalf("time %d after %d", e.Timestamp, events[max(i-1, 0)].Timestamp)
		}
		sum += len(e.Message) + 26
	}
	oldest, newest := events[0].Timestamp, events[len(events)-1].Timestamp
	if sum > 1048576 || sum != b.Bytes() {
		t.Fatalf("a batch has %d bytes, but Bytes says %d", sum, b.Bytes())
	}
	if o, n := b.Times(); o != oldest || n != newest || newest-oldest > 24*hour {
		t.Fatalf("the times of a batch range from %d to %d, but Times says %d and %d", oldest, newest, o, n)
	}
	return events
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// repaired returns an input with each byte that is not UTF-8 replaced by U+FFFD.
func repaired(input []byte) []byte {
	if utf8.Valid(input) {
		return input
	}
	out := make([]byte, 0, len(input)+len(input)/2)
	for _, r := range string(input) {
		out = utf8.AppendRune(out, r)
	}
	return out
}

// check compares the events in CloudWatch with the input.
func (s *shipment) check(t rapid.TB) {
	t.Helper()
	shape, input := s.shape, s.input
	for i := range s.messages {
		m := &s.messages[i]
		if !strings.HasPrefix(strings.TrimLeft(m.text, " \t\r"), `{"shipper":{"input":`) || !json.Valid([]byte(m.text)) {
			t.Fatalf("not an event of perstack-shipper: %.300q", m.text)
		}
		var err error
		if m.restored, err = batch.Restore([]byte(m.text)); err != nil {
			t.Fatalf("%v: %.300q", err, m.text)
		}
		if m.Input != shape.Input || m.Record != "" || m.Source != shape.Source {
			t.Fatalf("the event has input %q, record %q, source %q: %.300q", m.Input, m.Record, m.Source, m.text)
		}
		var members map[string]any
		if err := json.Unmarshal(m.ShipperMember, &members); err != nil {
			t.Fatalf("%v: %.300q", err, m.text)
		}
		for _, field := range shape.Fields {
			delete(members, field.Name)
		}
		for name := range members {
			if !slices.Contains(batch.ShipperMembers, name) {
				t.Fatalf("%s is not reserved for the shipper member: %.300q", name, m.text)
			}
		}
		if i > 0 && m.stream == s.messages[i-1].stream && m.time == s.messages[i-1].time && !s.messages[i-1].before(m) {
			t.Fatalf("seq %d part %d comes after seq %d part %d with the same time", m.Seq, m.Part, s.messages[i-1].Seq, s.messages[i-1].Part)
		}
	}
	slices.SortStableFunc(s.messages, func(a, b message) int {
		if a.Seq != b.Seq {
			return int(a.Seq - b.Seq)
		}
		return a.Part - b.Part
	})
	if filters(&shape) {
		s.checkFiltered(t, shape, input)
		return
	}
	want := repaired(input)
	s.checkLines(t, want)
	s.checkState(t, want)
}

func (m *message) before(other *message) bool {
	return m.Seq < other.Seq || m.Seq == other.Seq && m.Part < other.Part
}

// checkLines reassembles the input and compares it with want, the repaired input.
func (s *shipment) checkLines(t rapid.TB, want []byte) {
	t.Helper()
	got := make([]byte, 0, len(want))
	seq, part := int64(0), 0 // the line being reassembled; part 0: none
	for i := range s.messages {
		m := &s.messages[i]
		if part > 0 && (m.Seq != seq || m.Part != part+1) || part == 0 && (m.Seq != seq+1 || m.Part > 1) {
			t.Fatalf("seq %d part %d follows seq %d part %d", m.Seq, m.Part, seq, part)
		}
		if part > 0 && m.Empty != 0 {
			t.Fatalf("part %d has empty %d", m.Part, m.Empty)
		}
		got = append(got, bytes.Repeat([]byte("\n"), int(m.Empty))...)
		got = append(got, m.Line...)
		seq, part = m.Seq, m.Part
		if m.Part == 0 || m.Last {
			part = 0
			if !m.NoNewline {
				got = append(got, '\n')
			} else if i != len(s.messages)-1 {
				t.Fatalf("line %d of %d is marked as having no newline", i+1, len(s.messages))
			}
		} else if m.NoNewline {
			t.Fatalf("part %d, which is not the last, is marked as having no newline", m.Part)
		}
	}
	if part > 0 {
		t.Fatalf("the last part of seq %d is missing", seq)
	}
	got = append(got, bytes.Repeat([]byte("\n"), int(s.state.Empty))...)
	if !bytes.Equal(got, want) {
		at := 0
		for at < len(got) && at < len(want) && got[at] == want[at] {
			at++
		}
		t.Fatalf("%d bytes came back as %d; at %d: got %.100q, want %.100q", len(want), len(got), at, got[at:], want[at:])
	}
}

// checkState compares the counts and digests of the State with the input, which repaired is after
// its repair.
func (s *shipment) checkState(t rapid.TB, repaired []byte) {
	t.Helper()
	input := s.input
	want := batch.Counts{Bytes: int64(len(input)), Events: int64(len(s.messages)), Clamped: s.state.Counts.Clamped}
	seq := int64(0)
	shipped := sha256.New()
	lines := bytes.Split(input, []byte("\n"))
	for i, line := range bytes.Split(repaired, []byte("\n")) {
		switch {
		case len(line) > 0:
			seq++
			if !utf8.Valid(lines[i]) {
				want.Lossy++
			}
			shipped.Write(line)
			shipped.Write([]byte("\n"))
		case i < len(lines)-1:
			want.EmptyLines++
		}
	}
	for i := range s.messages {
		if s.messages[i].Part > 0 {
			want.Parts++
		}
	}
	if s.state.Counts != want || s.state.Seq != seq || s.state.Split != nil || s.state.Streams != len(s.streams) {
		t.Fatalf("state %+v of %d lines, want counts %+v", s.state, seq, want)
	}
	gotLines, gotRaw, err := s.state.Digest.Sums()
	if err != nil {
		t.Fatal(err)
	}
	wantRaw := s.sum
	wantLines := shipped.Sum(nil)
	if !bytes.Equal(gotLines, wantLines) {
		t.Fatalf("the SHA-256 of the lines is %x, want %x", gotLines, wantLines)
	}
	if gotRaw == nil && !bytes.Equal(wantRaw[:], wantLines) || gotRaw != nil && !bytes.Equal(gotRaw, wantRaw[:]) {
		t.Fatalf("the SHA-256 of the input is %x, want %x", gotRaw, wantRaw)
	}
}
