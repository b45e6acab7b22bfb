package shipper

// These tests repeat inputs and sequences of events that once lost data, or stalled or hung the
// loop.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/cwlocal/localtest"
	"perstack-shipper/shipper/deliver"
	"perstack-shipper/shipper/feed"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/testkit/await"
)

// written returns an input with segments of 64 KiB, and the journal, for the test to write.
func (w *world) written(id string) (Input, *journal.Pipe) {
	w.t.Helper()
	return w.writtenBy(id, 64<<10)
}

// writtenBy is written with segments of another size.
func (w *world) writtenBy(id string, segment int64) (Input, *journal.Pipe) {
	w.t.Helper()
	j, err := w.folder.NewPipe(id, nil, journal.Options{SegmentBytes: segment})
	if err != nil {
		w.t.Fatal(err)
	}
	return Input{Journal: j.Journal, Shape: batch.Shape{Input: id, Template: "{jobId}", Hostname: "host"}, Primary: true}, j
}

func write(t *testing.T, j *journal.Pipe, data ...[]byte) {
	t.Helper()
	for _, p := range data {
		if _, err := j.Write(p); err != nil {
			t.Fatal(err)
		}
	}
}

// lineOf is a line of about a kilobyte.
var lineOf = lineFor("j")

// lineFor returns a line of about a kilobyte that belongs to a job.
func lineFor(job string) []byte {
	return []byte(`{"jobId":"` + job + `","x":"` + strings.Repeat("a", 1000) + "\"}\n")
}

// within returns a context for a Run that must end by itself.
func within(t *testing.T, most time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), most)
	t.Cleanup(cancel)
	return ctx
}

// The first half of a line ends one segment and its second half begins the next. The first half was
// read before, and dropped from the window because it is short.
func TestLineAcrossSegments(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	in, j := w.written("aaaaaaaa")
	s := New(w.options())
	ended := make(chan error, 1)
	data := append(bytes.Repeat(lineOf, 65), lineOf[:500]...)
	write(t, j, data[:60000], data[60000:]) // the second write exceeds the segment
	go func() {
		_, err := s.Run(within(t, await.Deadline), []Input{in}, nil)
		ended <- err
	}()
	w.Until("all whole lines arrived", func() bool { return len(w.lines("aaaaaaaa")) == 65*len(lineOf) })
	write(t, j, lineOf[500:])
	if err := j.End(); err != nil {
		t.Fatal(err)
	}
	if err := await.Receive(t, "the end of the run", ended); err != nil {
		t.Fatal(err)
	}
	if got, want := w.lines("aaaaaaaa"), append(data, lineOf[500:]...); !bytes.Equal(got, want) {
		t.Errorf("got %d bytes back, want %d", len(got), len(want))
	}
}

// The input has ended, and more of it is left than fits into memory.
func TestGivesUpWithMoreThanMemoryHolds(t *testing.T) {
	t.Parallel()
	simulate(t, func(*cwlocal.Call) cwlocal.Fault { return localtest.Unavailable() }, func(w *world) {
		o := w.options()
		o.MemoryMax = 2 << 20
		in := w.pipe("aaaaaaaa", bytes.NewReader(bytes.Repeat(lineOf, 5000)), nil)
		report, err := New(o).Run(within(w.t, 2*o.GiveUpAfter), []Input{in}, nil)
		if !gaveUp(err) || len(report.Left) != 1 {
			t.Error(err, report.Left)
		}
	})
}

// A segment can never be read.
func TestGivesUpWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	in, j := w.written("aaaaaaaa")
	for range 1000 {
		write(t, j, lineOf)
	}
	if err := j.End(); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(j.Path(), "*.segment"))
	if err != nil || len(segments) < 10 {
		t.Fatal(segments, err)
	}
	if err := os.Remove(segments[5]); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(segments[5], 0o700); err != nil {
		t.Fatal(err)
	}
	o := w.options()
	o.GiveUpAfter = 200 * time.Millisecond
	s := New(o)
	s.patience.look = 10 * time.Millisecond
	report, err := s.Run(within(t, await.Deadline), []Input{in}, nil)
	if !gaveUp(err) || len(report.Left) != 1 {
		t.Error(err, report.Left)
	}
}

// A segment that could not be read is read once it can be, although nothing wakes the loop.
func TestReadsAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	logs := w.said()
	in, j := w.written("aaaaaaaa")
	for range 1000 {
		write(t, j, lineOf)
	}
	segments, err := filepath.Glob(filepath.Join(j.Path(), "*.segment"))
	if err != nil || len(segments) < 10 {
		t.Fatal(segments, err)
	}
	if err := os.Rename(segments[5], segments[5]+".x"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", segments[5]); err != nil { // a link, because a rename replaces it at once
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		s := New(w.options())
		s.patience.look = 10 * time.Millisecond
		_, err := s.Run(within(t, await.Deadline), []Input{in}, nil)
		ended <- err
	}()
	w.Until("the error of reading is logged", func() bool { return logs.FilterLevelExact(zap.ErrorLevel).Len() > 0 })
	if err := os.Rename(segments[5]+".x", segments[5]); err != nil {
		t.Fatal(err)
	}
	w.Until("all lines arrived", func() bool { return len(w.lines("aaaaaaaa")) == 1000*len(lineOf) })
	if err := j.End(); err != nil {
		t.Fatal(err)
	}
	if err := await.Receive(t, "the end of the run", ended); err != nil {
		t.Fatal(err)
	}
}

// endless reads as lines without a job, more than can be searched.
type endless struct{ stop atomic.Bool }

func (e *endless) Read(p []byte) (int, error) {
	if e.stop.Load() {
		return 0, io.EOF
	}
	for i := range p {
		p[i] = "y\n"[i&1]
	}
	return len(p), nil
}

// The search for a job does not keep the process from ending.
func TestStopsWhileLookingForAJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	in, j := w.written("aaaaaaaa")
	e := &endless{}
	moved := make(chan error, 1)
	go func() { moved <- feed.Move(context.Background(), e, j, nil, w.log) }()
	began := time.Now()
	_, err := New(w.options()).Run(within(t, 500*time.Millisecond), []Input{in}, nil)
	if took := time.Since(began); took > await.Deadline/2 {
		t.Errorf("Run took %s: %v", took, err)
	}
	e.stop.Store(true)
	await.Receive(t, "the end of the feed", moved) // its error does not matter, because its journal was closed under it
}

// Memory is full of events that another input cannot put, and this input waits for its job. The
// loop can do nothing about that, so it sleeps.
func TestWaitsIdlyWhileMemoryIsFull(t *testing.T) {
	t.Parallel()
	simulate(t, func(*cwlocal.Call) cwlocal.Fault { return localtest.Unavailable() }, func(w *world) {
		o := w.options()
		o.MemoryMax = 2 << 20
		own, j := w.written("aaaaaaaa")
		write(t, j, []byte("npm warn\n"))
		other := w.pipe("bbbbbbbb", bytes.NewReader(bytes.Repeat(lineOf, 5000)), nil)
		other.Primary = false
		s := New(o)
		_, err := s.Run(within(w.t, 2*time.Second), []Input{own, other}, nil)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		in := s.inputs.all[0]
		if !in.wait.now() || !s.full() {
			t.Fatalf("waiting: %v, full: %v", in.wait.now(), s.full())
		}
		for _, end := range []time.Time{{}, time.Now().Add(-time.Minute)} {
			if in.wait.until = end; s.until(time.Now()) < 10*time.Millisecond {
				t.Errorf("the loop sleeps only %s when the wait ends at %s", s.until(time.Now()), end)
			}
		}
	})
}

// There are so many inputs that reading them all at once would need many times the memory.
func TestManyInputsKeepWithinMemory(t *testing.T) {
	t.Parallel()
	lossy := append(bytes.Repeat([]byte("\xff"), 200<<10), '\n') // repairing it triples its size
	for name, data := range map[string][][]byte{
		"lines":      {bytes.Repeat(lineOf, 300)},
		"long lines": {lossy, lossy},
		"a line":     {lossy, bytes.Repeat(lineOf, 100)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			simulate(t, func(*cwlocal.Call) cwlocal.Fault { return localtest.Unavailable() }, func(w *world) {
				w.log = zap.NewNop()
				o := w.options()
				o.MemoryMax = 4 << 20
				var inputs []Input
				for i := range 64 {
					in, j := w.writtenBy(fmt.Sprintf("aaaaaa%02d", i), 1<<20)
					in.Shape.JobID = "j"
					write(t, j, data...)
					inputs = append(inputs, in)
				}
				s := New(o)
				if _, err := s.Run(within(w.t, 2*time.Second), inputs, nil); !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
				// The events that wait to be put are still held, and are most of what is held. One
				// long line may exceed the bound.
				put, shaping := s.memory.pool.Held(), s.shapingMemory()
				if put+shaping > o.MemoryMax+4*batch.MaxBatchBytes || put < o.MemoryMax/2 {
					t.Errorf("%d KiB are held, of which %d wait to be put; the bound is %d", (put+shaping)>>10, put>>10, o.MemoryMax>>10)
				}
			})
		})
	}
}

// A command's stderr ends after its stdout was delivered without naming a job. It then has nothing
// to wait for.
func TestStderrOutlastsAStdoutWithoutJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	stdout := w.pipe("aaaaaaaa", strings.NewReader("npm warn\n"), nil)
	var delivered atomic.Bool
	stdout.Closed = func() { delivered.Store(true) }
	r, feed := io.Pipe()
	stderr := w.pipe("aaaaaaaa.err", r, nil)
	stderr.JobOf = "aaaaaaaa"
	go func() {
		io.WriteString(feed, "problems\n")
		w.await("stdout is delivered", delivered.Load)
		feed.Close()
	}()
	if _, err := New(w.options()).Run(within(t, await.Deadline), []Input{stdout, stderr}, nil); err != nil {
		t.Fatal(err)
	}
	if got := w.lines("aaaaaaaa.err"); string(got) != "problems\n" {
		t.Errorf("got %q", got)
	}
}

// The streams of an input that has ended hurry. They stop hurrying once the input is done.
func TestHurryEnds(t *testing.T) {
	t.Parallel()
	var puts atomic.Int64
	count := func(c *cwlocal.Call) cwlocal.Fault {
		if c.Action == "PutLogEvents" {
			puts.Add(1)
		}
		return cwlocal.Fault{}
	}
	simulate(t, count, func(w *world) {
		first := w.pipe("aaaaaaaa", strings.NewReader("{\"jobId\":\"j\"}\n"), nil)
		first.Primary = false
		r, out := io.Pipe()
		second := w.pipe("bbbbbbbb", r, nil)
		o := w.options()
		o.FlushInterval = time.Second
		go func() {
			for i := range 40 {
				time.Sleep(50 * time.Millisecond)
				fmt.Fprintf(out, `{"jobId":"j","i":%d}`+"\n", i)
			}
			out.Close()
		}()
		if _, err := New(o).Run(within(w.t, await.Deadline), []Input{first, second}, nil); err != nil {
			t.Fatal(err)
		}
	})
	if n := puts.Load(); n > 8 {
		t.Errorf("%d puts in 2 s with a flush interval of 1 s", n)
	}
}

// Each job's only event is refused for its size and stays on trial. Together the events exceed
// memory.
func TestLoneEventsDoNotStall(t *testing.T) {
	t.Parallel()
	const large = 6
	w := newWorld(t, func(c *cwlocal.Call) cwlocal.Fault {
		if c.Action == "PutLogEvents" && len(c.Body) > 900_000 {
			return cwlocal.Fault{Status: 413}
		}
		return cwlocal.Fault{}
	})
	r, out := io.Pipe()
	in := w.pipe("aaaaaaaa", r, nil)
	go func() {
		for i := range large {
			fmt.Fprintf(out, `{"jobId":"j%d","x":"%s"}`+"\n", i, strings.Repeat("a", 1048300))
		}
		for i := range 100 {
			fmt.Fprintf(out, `{"jobId":"k","i":%d}`+"\n", i)
		}
		w.await("the last job's lines", func() bool { return len(w.Server.Events(w.Group, "k")) == 101 }) // with the open record
		out.Close()
	}()
	report, err := w.shipper(func(o *Options) { o.MemoryMax = 2 << 20 }).Run(within(t, await.Deadline), []Input{in}, nil)
	if err != nil || report.Rejected != large {
		t.Errorf("%d lines were rejected, want %d: %v", report.Rejected, large, err)
	}
}

// One stream is stuck, and lines for another arrive one by one. Memory must not grow with each.
func TestFewBlocksBehindAStuckStream(t *testing.T) {
	t.Parallel()
	const lines = 3 * manyBlocks
	w := newWorld(t, func(c *cwlocal.Call) cwlocal.Fault {
		if c.Stream == "stuck" {
			return localtest.Unavailable()
		}
		return cwlocal.Fault{}
	})
	in, j := w.written("aaaaaaaa")
	s := New(w.options())
	from, err := startingPointOf(in)
	if err != nil {
		t.Fatal(err)
	}
	i, err := newInput(in, from, 0, new(spareWindow))
	if err != nil {
		t.Fatal(err)
	}
	s.inputs.add(i, "aaaaaaaa")
	accept := func(st *stream) {
		st.closeOpen()
		b, prepared := st.shift(false)
		await.Receive(t, "a prepared batch", prepared)
		s.acknowledge(b)
	}
	write(t, j, []byte("{\"jobId\":\"stuck\"}\n"))
	for n := range lines {
		write(t, j, fmt.Appendf(nil, `{"jobId":"j","i":%d}`+"\n", n))
		for s.shapeInput(i, time.Now()) {
		}
		if n%10 == 0 {
			accept(s.streams["j"])
		}
	}
	if n := len(i.ack.blocks); n > manyBlocks+10 {
		t.Errorf("%d blocks wait, want at most %d", n, manyBlocks+10)
	}
	for _, name := range []string{"stuck", "j"} {
		accept(s.streams[name])
	}
	if size := j.Size(); i.ack.offset != size || len(i.ack.blocks) != 0 {
		t.Errorf("%d blocks are left, and %d of %d bytes are acknowledged", len(i.ack.blocks), i.ack.offset, size)
	}
	if err := j.End(); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// Run ends while bytes still arrive. Their writer stops before the journal is closed, and its last
// bytes are counted.
func TestWriterQuitsBeforeItsJournalIsClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(*cwlocal.Call) cwlocal.Fault { return localtest.Unavailable() })
	in, j := w.written("aaaaaaaa")
	write(t, j, lineOf)
	in.Quit = func() { write(t, j, lineOf) }
	report, err := New(w.options()).Run(within(t, 100*time.Millisecond), []Input{in}, nil)
	if !errors.Is(err, context.DeadlineExceeded) || len(report.Left) != 1 || report.Left[0].Bytes != int64(2*len(lineOf)) {
		t.Error(err, report.Left)
	}
}

// The endpoint's clock is hours behind. Refused events are put again, and nothing piles up.
func TestClockIsOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *cwlocal.Call) cwlocal.Fault {
		if c.Action == "PutLogEvents" && c.N <= 4 {
			zero := 0
			return cwlocal.Fault{Rejected: &cwlocal.Rejected{TooNewStart: &zero}}
		}
		return cwlocal.Fault{}
	})
	in := w.pipe("aaaaaaaa", bytes.NewReader(lineOf), nil)
	s := New(w.options())
	s.deliverer.Paces.Refused = deliver.Pace{First: 10 * time.Millisecond, Most: 20 * time.Millisecond}
	if _, err := s.Run(within(t, await.Deadline), []Input{in}, nil); err != nil {
		t.Fatal(err)
	}
	if got := w.lines("aaaaaaaa"); !bytes.Equal(got, lineOf) {
		t.Errorf("got %q", got)
	}
}

func gaveUp(err error) bool {
	_, ok := errors.AsType[*GaveUpError](err)
	return ok
}
