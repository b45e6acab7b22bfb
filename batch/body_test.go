package batch_test

// These tests fill batches with records, whose messages and times can be anything, and check the
// request bodies.

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"perstack-shipper/batch"
)

func record(message string, time int64) *batch.Event {
	var ev batch.Event
	batch.Record(&ev, []byte(message), time, 0)
	return &ev
}

// fill adds n records of size bytes each.
func fill(t testing.TB, b *batch.Batch, n, size int, time int64) {
	t.Helper()
	message := strings.Repeat("x", size)
	for i := range n {
		if !b.Add(record(message, time), nil) {
			t.Fatalf("Add refuses record %d, of %d bytes", i+1, size)
		}
	}
}

func TestBatchLimits(t *testing.T) {
	batch.Large(t)
	const day = 24 * hour
	for _, c := range []struct {
		name   string
		before func(b *batch.Batch)
		last   *batch.Event
		fits   bool
	}{
		{"1,048,576 bytes", func(b *batch.Batch) { fill(t, b, 1, 500000, now) }, record(strings.Repeat("y", 1048576-500026-26), now), true},
		{"1,048,575 bytes", func(b *batch.Batch) { fill(t, b, 1, 500000, now) }, record(strings.Repeat("y", 1048576-500026-27), now), true},
		{"1,048,577 bytes", func(b *batch.Batch) { fill(t, b, 1, 500000, now) }, record(strings.Repeat("y", 1048576-500026-25), now), false},
		{"the largest event alone", func(b *batch.Batch) {}, record(strings.Repeat("y", 1048550), now), true},
		{"the largest event and one of a byte", func(b *batch.Batch) { fill(t, b, 1, 1048550, now) }, record("y", now), false},
		{"a byte less than the rest, 26 for it", func(b *batch.Batch) { fill(t, b, 1, 1048523, now) }, record("y", now), true},
		{"characters of three bytes", func(b *batch.Batch) { fill(t, b, 1, 524262, now) }, record(strings.Repeat("日", 174754), now), true},
		{"characters of three bytes, one too many", func(b *batch.Batch) { fill(t, b, 1, 524263, now) }, record(strings.Repeat("日", 174755), now), false},
		{"control characters, however long their escapes", func(b *batch.Batch) { fill(t, b, 1, 500000, now) }, record(strings.Repeat("\x01", 1048576-500026-26), now), true},
		{"9,999 and one", func(b *batch.Batch) { fill(t, b, 9999, 1, now) }, record("y", now), true},
		{"10,000 and one", func(b *batch.Batch) { fill(t, b, 10000, 1, now) }, record("y", now), false},
		{"24 hours on", func(b *batch.Batch) { fill(t, b, 2, 1, now) }, record("y", now+day), true},
		{"24 hours and a millisecond on", func(b *batch.Batch) { fill(t, b, 2, 1, now) }, record("y", now+day+1), false},
		{"24 hours back", func(b *batch.Batch) { fill(t, b, 2, 1, now) }, record("y", now-day), true},
		{"24 hours and a millisecond back", func(b *batch.Batch) { fill(t, b, 2, 1, now) }, record("y", now-day-1), false},
		{"24 hours between the outermost", func(b *batch.Batch) { fill(t, b, 1, 1, now); fill(t, b, 1, 1, now-hour) }, record("y", now+day-hour), true},
		{"more between the outermost", func(b *batch.Batch) { fill(t, b, 1, 1, now); fill(t, b, 1, 1, now-hour) }, record("y", now+day-hour+1), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var pool batch.Pool
			b := batch.New(&pool)
			c.before(b)
			length, size, held, spans := b.Len(), b.Bytes(), b.Held(), len(b.Spans)
			oldest, newest := b.Times()
			block := &batch.Block{}
			if got := b.Add(c.last, block); got != c.fits {
				t.Fatalf("Add = %v", got)
			}
			if !c.fits {
				o, n := b.Times()
				if b.Len() != length || b.Bytes() != size || b.Held() != held || len(b.Spans) != spans || o != oldest || n != newest || block.Pending != 0 {
					t.Error("a refused event changed the batch")
				}
			} else if block.Pending != 1 || len(b.Spans) != 1 || b.Spans[0] != (batch.Span{Block: block, Events: 1}) {
				t.Errorf("the block has %d pending events, the spans are %v", block.Pending, b.Spans)
			}
			b.Prepare(head, true)
			decode(t, b)
			b.Release()
			if pool.Held() != 0 || b.Len() != 0 || b.Bytes() != 0 || len(b.Spans) != 0 {
				t.Errorf("after Release, the pool has %d bytes in use, and the batch holds %d events of %d bytes", pool.Held(), b.Len(), b.Bytes())
			}
			if !b.Add(c.last, nil) || b.Len() != 1 {
				t.Error("a released batch refuses the event")
			}
			if b.Body(head, 0, 1).SHA256() != nil {
				t.Error("a released batch keeps its hash")
			}
			if b.Packed() != nil {
				t.Error("a released batch keeps its compressed body")
			}
		})
	}
}

func TestSpans(t *testing.T) {
	var pool batch.Pool
	b := batch.New(&pool)
	one, two, other := &batch.Block{}, &batch.Block{}, &batch.Block{Input: 1}
	for _, block := range []*batch.Block{one, one, two, other, other, nil, one} {
		b.Add(record("x", now), block)
	}
	want := []batch.Span{{Block: one, Events: 2}, {Block: two, Events: 1}, {Block: other, Events: 2}, {Block: one, Events: 1}}
	if !slices.Equal(b.Spans, want) || one.Pending != 3 || two.Pending != 1 || other.Pending != 2 || b.Of(0) != 4 || b.Of(1) != 2 || b.Of(2) != 0 {
		t.Errorf("spans %v; pending events %d, %d and %d", b.Spans, one.Pending, two.Pending, other.Pending)
	}
	spans := b.Spans[:4]
	b.Release()
	if spans[0].Block != nil || spans[3].Block != nil {
		t.Error("a released batch keeps blocks from the garbage collector")
	}
}

// Each event names its block, whatever the order of the times. So does a copy, but a copy does not
// count as pending.
func TestBlocks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var pool batch.Pool
		b := batch.New(&pool)
		blocks := []*batch.Block{nil, {}, {Input: 1}, {Input: 1}}
		var own []*batch.Block // by the number in the message
		pending := map[*batch.Block]int{}
		for n := range rapid.IntRange(1, 40).Draw(t, "events") {
			block := rapid.SampledFrom(blocks).Draw(t, "block")
			own = append(own, block)
			pending[block]++
			b.Add(record(fmt.Sprintf(`{"shipper":{"input":"i","seq":%d},"a":1}`, n+1), now+rapid.Int64Range(0, 9).Draw(t, "time")), block)
		}
		b.Close()
		check := func(what string, b *batch.Batch) {
			got := b.Blocks()
			for i := range b.Len() {
				if n := restore(t, b.Message(i)).Seq - 1; got[i] != own[n] {
					t.Fatalf("%s: event %d is of block %p, want %p", what, n, got[i], own[n])
				}
			}
			for _, block := range blocks[1:] {
				if block.Pending != pending[block] {
					t.Fatalf("%s: a block has %d pending events, want %d", what, block.Pending, pending[block])
				}
			}
		}
		check("batch", b)
		from := rapid.IntRange(0, b.Len()-1).Draw(t, "from")
		late := func(i int, _ int64) bool { return i%2 == 0 }
		for _, part := range b.Restamp(from, b.Len(), now-20*hour, late, &pool) {
			check("copy", part)
		}
	})
}

// drawn is a record that was added.
type drawn struct {
	message string
	time    int64
}

// drawBatch draws a batch, and its events in the order in which they must come out. Some messages
// fill chunks to the byte.
func drawBatch(t *rapid.T, pool *batch.Pool) (*batch.Batch, []logEvent) {
	b := batch.New(pool)
	var want []logEvent
	times := rapid.SampledFrom([]int64{now, now, now + 1, now - 5, now + 3*hour, now - 20*hour, 0, now - 10*hour})
	if rapid.Bool().Draw(t, "in order") {
		times = rapid.Just(now)
	}
	for range rapid.IntRange(1, 30).Draw(t, "events") {
		message := "m" + rapid.OneOf(
			rapid.String(),
			rapid.Map(rapid.IntRange(0, 300), func(n int) string { return strings.Repeat(`\"`, n) }),
			rapid.Map(rapid.IntRange(-200, 200), func(n int) string { return strings.Repeat("x", batch.ChunkBytes/2+n) }),
		).Draw(t, "message")
		ev := drawn{message, times.Draw(t, "time")}
		if b.Add(record(ev.message, ev.time), nil) {
			want = append(want, logEvent{ev.time, ev.message})
		}
	}
	b.Close()
	slices.SortStableFunc(want, func(x, y logEvent) int { return int(x.Timestamp - y.Timestamp) })
	return b, want
}

func TestBodies(t *testing.T) {
	batch.Large(t)
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var pool batch.Pool
		b, want := drawBatch(t, &pool)
		if got := decode(t, b); !slices.Equal(got, want) {
			t.Fatalf("got %d events, want %d: %s", len(got), len(want), difference(got, want))
		}
		checkPrepared(t, b)
		for range 5 {
			from := rapid.IntRange(0, len(want)-1).Draw(t, "from")
			to := rapid.IntRange(from+1, len(want)).Draw(t, "to")
			body := b.Body(head, from, to)
			if got := decodeBody(t, body); !slices.Equal(got, want[from:to]) {
				t.Fatalf("the events [%d, %d) are wrong: %s", from, to, difference(got, want[from:to]))
			}
			for i := from; i < to; i++ {
				if got := b.Message(i); string(got) != want[i].Message {
					t.Fatalf("Message(%d) = %.300q, want %.300q", i, got, want[i].Message)
				}
			}
			checkReads(t, body)
		}
		if o, n := b.Times(); o != want[0].Timestamp || n != want[len(want)-1].Timestamp {
			t.Fatalf("the oldest time is %d and the newest %d", o, n)
		}
		b.Release()
		if pool.Held() != 0 {
			t.Fatalf("%d bytes are in use after Release", pool.Held())
		}
	})
}

// checkPrepared compares a prepared body with the body before Prepare, and with its hash.
func checkPrepared(t *rapid.T, b *batch.Batch) {
	t.Helper()
	var before, whole bytes.Buffer
	body := b.Body(head, 0, b.Len())
	if body.SHA256() != nil {
		t.Fatal("a body has a hash before Prepare")
	}
	body.WriteTo(&before)
	b.Prepare(head, false)
	for range 2 { // a body may be sent more than once
		body = b.Body(head, 0, b.Len())
		if _, err := body.WriteTo(&whole); err != nil || !bytes.Equal(whole.Bytes(), before.Bytes()) || body.Len() != int64(whole.Len()) {
			t.Fatalf("the prepared body has %d bytes (Len %d), want %d: %v", whole.Len(), body.Len(), before.Len(), err)
		}
		if sum := sha256.Sum256(whole.Bytes()); !bytes.Equal(body.SHA256(), sum[:]) {
			t.Fatalf("the hash is %x, want %x", body.SHA256(), sum)
		}
		whole.Reset()
	}
	if n := b.Len(); n > 1 && (b.Body(head, 0, n-1).SHA256() != nil || b.Body(head, 1, n).SHA256() != nil) {
		t.Fatal("the body of a part of the batch has the hash of the whole")
	}
	if b.Packed() != nil {
		t.Fatal("Packed returns a body that Prepare did not compress")
	}
	b.Prepare(head, true)
	for range 2 {
		packed := b.Packed()
		if sent := checkReads(t, packed); packed.Encoding() != "gzip" || !bytes.Equal(unzip(t, sent), before.Bytes()) {
			t.Fatalf("%d compressed bytes decompress to a different body", len(sent))
		} else if sum := sha256.Sum256(sent); !bytes.Equal(packed.SHA256(), sum[:]) {
			t.Fatalf("the hash of the compressed body is %x, want %x", packed.SHA256(), sum)
		}
	}
	if held := b.Held(); held < b.Len()+int(b.Packed().Len()) {
		t.Fatalf("Held is %d bytes, but the compressed body has %d bytes, beside the events", held, b.Packed().Len())
	}
}

// unzip decompresses gzip with the standard library.
func unzip(t rapid.TB, b []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func difference(got, want []logEvent) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("event %d is %.300[3]q at %[2]d, want %.300[5]q at %[4]d", i, got[i].Timestamp, got[i].Message, want[i].Timestamp, want[i].Message)
		}
	}
	return fmt.Sprintf("there are %d events, want %d", len(got), len(want))
}

// checkReads compares all ways of reading a body.
func checkReads(t *rapid.T, body *batch.Body) []byte {
	rewind := func(offset int64, whence int) {
		if at, err := body.Seek(offset, whence); err != nil || at < 0 {
			t.Fatalf("Seek(%d, %d): %d, %v", offset, whence, at, err)
		}
	}
	rewind(0, io.SeekStart)
	var whole bytes.Buffer
	if n, err := body.WriteTo(&whole); err != nil || n != body.Len() || int64(whole.Len()) != n {
		t.Fatalf("WriteTo wrote %d of %d bytes: %v", n, body.Len(), err)
	}
	if n, err := body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatalf("at the end, Read = %d, %v", n, err)
	}
	rewind(0, io.SeekStart)
	if err := iotest.TestReader(struct {
		io.Reader
		io.Seeker
	}{body, body}, whole.Bytes()); err != nil && whole.Len() < 10000 {
		t.Fatal(err)
	}
	// Read from any position, with any mixture of calls.
	at := rapid.Int64Range(0, body.Len()).Draw(t, "offset")
	rewind(0, io.SeekStart)
	half := rapid.Int64Range(0, at).Draw(t, "way there")
	if _, err := io.CopyN(io.Discard, body, half); err != nil {
		t.Fatal(err)
	}
	switch rapid.IntRange(0, 2).Draw(t, "whence") {
	case io.SeekStart:
		rewind(at, io.SeekStart)
	case io.SeekCurrent:
		rewind(at-half, io.SeekCurrent)
	case io.SeekEnd:
		rewind(at-body.Len(), io.SeekEnd)
	}
	part := make([]byte, rapid.Int64Range(0, body.Len()-at).Draw(t, "read"))
	if _, err := io.ReadFull(body, part); err != nil || !bytes.Equal(part, whole.Bytes()[at:int(at)+len(part)]) {
		t.Fatalf("after Seek to %d, %d bytes are wrong: %v", at, len(part), err)
	}
	var rest bytes.Buffer
	if n, err := body.WriteTo(&rest); err != nil || n != body.Len()-at-int64(len(part)) || !bytes.Equal(rest.Bytes(), whole.Bytes()[int(at)+len(part):]) {
		t.Fatalf("the rest from %d on has %d bytes, or is wrong: %v", int(at)+len(part), n, err)
	}
	for _, bad := range [][2]int64{{-1, io.SeekStart}, {body.Len() + 1, io.SeekStart}, {1, io.SeekEnd}, {1, io.SeekCurrent}, {0, 3}, {-body.Len() - 1, io.SeekCurrent}} {
		if _, err := body.Seek(bad[0], int(bad[1])); err == nil {
			t.Fatalf("Seek(%d, %d) succeeds", bad[0], bad[1])
		}
	}
	return whole.Bytes()
}

// failing is a Writer that accepts a limited number of bytes.
type failing struct{ left int }

var errFull = errors.New("full")

func (f *failing) Write(p []byte) (int, error) {
	if n := f.left; n < len(p) {
		f.left = 0
		return n, errFull
	}
	f.left -= len(p)
	return len(p), nil
}

// A body continues where a Writer failed.
func TestBodyWriteToAFailingWriter(t *testing.T) {
	var pool batch.Pool
	b := batch.New(&pool)
	fill(t, b, 30, 9000, now)
	b.Close()
	body := b.Body(head, 0, b.Len())
	for _, most := range []int{0, 1, len(head), 70000, 200000} {
		if _, err := body.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		n, err := body.WriteTo(&failing{most})
		if n != int64(most) || !errors.Is(err, errFull) {
			t.Fatalf("WriteTo = %d, %v; want %d, %v", n, err, most, errFull)
		}
		rest, err := io.ReadAll(body)
		if err != nil || int64(len(rest)) != body.Len()-n {
			t.Fatalf("after %d bytes, %d follow of %d, or they are wrong: %v", n, len(rest), body.Len(), err)
		}
	}
}

func TestBodyHead(t *testing.T) {
	for _, names := range [][2]string{{"/perstack/prod", "job"}, {`g"\`, "日\x00\u2028 \xff"}} {
		var got struct{ LogGroupName, LogStreamName string }
		if err := json.Unmarshal([]byte(string(batch.BodyHead(names[0], names[1]))+"]}"), &got); err != nil {
			t.Fatal(err)
		}
		if want := strings.ToValidUTF8(names[1], "\ufffd"); got.LogGroupName != names[0] || got.LogStreamName != want {
			t.Errorf("%q: %+v", names, got)
		}
	}
}

func TestRefusedAt(t *testing.T) {
	const day = 24 * hour
	var pool batch.Pool
	b := batch.New(&pool)
	if b.RefusedAt(now, 0) {
		t.Error("RefusedAt is true for an empty batch")
	}
	fill(t, b, 1, 1, now)
	fill(t, b, 1, 1, now+hour)
	for at, want := range map[int64]bool{now: false, now + 14*day: false, now + 14*day + 1: true, now - hour: false, now - hour - 1: true} {
		if b.RefusedAt(at, 0) != want {
			t.Errorf("RefusedAt(now%+d) = %v", at-now, !want)
		}
	}
}
