package journal

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"perstack-shipper/shipper/disk"
)

// model is what a pipe's journal must be equal to: a byte slice and an offset.
type model struct {
	t     *rapid.T
	f     *Folder
	o     Options
	j     *Pipe
	data  []byte // all that was taken
	acked int64  // the latest Ack
	state string
	ended bool
	sick  bool // its disk fails, in whatever way
}

// TestAnyOrderOfCallsKeepsTheBytes runs random writes, reads, acks, restarts and broken cursors
// against the model.
func TestAnyOrderOfCallsKeepsTheBytes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f, err := Open(filepath.Join(t.TempDir(), "journal"))
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(f.Path())
		m := &model{t: rt, f: f, o: Options{
			SegmentBytes: rapid.Int64Range(1, 300).Draw(rt, "segment"),
			MaxBytes:     rapid.SampledFrom([]int64{0, 0, 100, 1000}).Draw(rt, "max"),
		}}
		if m.j, err = f.NewPipe("model", []byte("about"), m.o); err != nil {
			rt.Fatal(err)
		}
		defer func() { m.j.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"write":         m.write,
			"read":          m.read,
			"ack":           m.ack,
			"end":           m.end,
			"restart":       func(rt *rapid.T) { m.t = rt; m.mustBeWell(); m.restart() },
			"break cursors": m.breakCursors,
			"fail":          m.fail,
			"":              m.check,
		})
		m.finish()
	})
}

func (m *model) write(t *rapid.T) {
	if m.ended {
		t.Skip("ended")
	}
	b := rapid.SliceOfN(rapid.Byte(), 0, 500).Draw(t, "bytes")
	before := m.j.Allocated()
	n, err := m.j.Write(b)
	m.data = append(m.data, b[:n]...)
	switch {
	case err == nil && n != len(b):
		t.Fatalf("took %d of %d and said nothing", n, len(b))
	case errors.Is(err, ErrFull):
		if m.o.MaxBytes == 0 {
			t.Fatal("full without a limit")
		}
		if m.acked == int64(len(m.data)) && before == 0 {
			t.Fatal("full and empty")
		}
		if m.sick && n == 0 && m.acked == int64(len(m.data)) {
			t.Fatalf("full for ever: %v", err)
		}
	case err != nil:
		t.Fatal(err)
	}
	if m.o.MaxBytes > 0 && m.j.Allocated() > m.o.MaxBytes {
		t.Fatalf("%d bytes over the limit of %d", m.j.Allocated(), m.o.MaxBytes)
	}
}

func (m *model) read(t *rapid.T) {
	off := rapid.Int64Range(m.acked, int64(len(m.data))+3).Draw(t, "offset")
	b := make([]byte, rapid.IntRange(0, 400).Draw(t, "length"))
	n, err := m.j.ReadAt(b, off)
	if err != nil {
		t.Fatal(err)
	}
	left := max(0, int64(len(m.data))-off)
	if n == 0 && left > 0 && len(b) > 0 {
		t.Fatalf("nothing at %d of %d", off, len(m.data))
	}
	if int64(n) > left || n > 0 && string(b[:n]) != string(m.data[off:off+int64(n)]) {
		t.Fatalf("other bytes at %d", off)
	}
}

func (m *model) ack(t *rapid.T) {
	off := rapid.Int64Range(m.acked, int64(len(m.data))).Draw(t, "offset")
	state := rapid.StringN(0, 50, 200).Draw(t, "state")
	if err := m.j.Ack(Cursor{off, []byte(state)}); err != nil && !m.sick {
		t.Fatal(err)
	}
	m.acked, m.state = off, state
	most := int64(len(m.data)) - off + 2*(m.o.SegmentBytes+500) // the one the cursor is in, and the active one; a write may run over
	if got := m.j.Allocated(); got > most && (!m.sick || m.j.Degraded() != nil) {
		t.Fatalf("%d bytes held, %d unacked, segments of %d", got, int64(len(m.data))-off, m.o.SegmentBytes)
	}
}

// fail has the disk fail from here on: for writes, for changes of the folder, or for the cursor.
func (m *model) fail(t *rapid.T) {
	if !disk.HasMemfds || m.ended || m.sick {
		t.Skip("nothing to fail")
	}
	m.sick = true
	how := rapid.IntRange(1, 7).Draw(t, "how")
	if how&1 != 0 {
		failActive(t, m.j)
	}
	if how&2 != 0 {
		failCursor(t, m.j)
	}
	if how&4 != 0 {
		failStore(m.j)
	}
}

// mustBeWell skips what needs a disk that was well to the end.
func (m *model) mustBeWell() {
	if m.sick {
		m.t.Skip("its disk fails")
	}
}

func (m *model) end(t *rapid.T) {
	if err := m.j.End(); err != nil {
		t.Fatal(err)
	}
	m.ended = true
}

func (m *model) restart() {
	if err := m.j.Close(); err != nil {
		m.t.Fatal(err)
	}
	j := recoverAs[*Pipe](m.t, m.f, "model")
	m.j, m.ended = j, true
	if c := j.Cursor(); j.Fallback() == "" && (c.Offset != m.acked || string(c.State) != m.state) {
		m.t.Fatalf("cursor %d %q, was %d %q", c.Offset, c.State, m.acked, m.state)
	}
	if j.Damage() != nil || string(j.About()) != "about" {
		m.t.Fatal(j.Damage(), string(j.About()))
	}
}

// breakCursors spoils both: the journal must say so and start no later than the model's ack.
func (m *model) breakCursors(t *rapid.T) {
	m.t = t
	m.mustBeWell()
	dir := m.j.Path()
	if err := m.j.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range cursorNames {
		if err := spoil(filepath.Join(dir, name), rapid.IntRange(0, cursorHead-1).Draw(t, name)); err != nil {
			t.Fatal(err)
		}
	}
	m.restart()
	c := m.j.Cursor()
	if m.j.Fallback() == "" || c.Offset > m.acked || c.State != nil {
		t.Fatalf("%q, cursor %+v, acked %d", m.j.Fallback(), c, m.acked)
	}
	m.acked, m.state = c.Offset, ""
	ack(t, m.j, c.Offset, "")
}

func (m *model) check(t *rapid.T) {
	if m.j.Size() != int64(len(m.data)) || m.j.Ended() != m.ended {
		t.Fatalf("size %d, ended %v; want %d, %v", m.j.Size(), m.j.Ended(), len(m.data), m.ended)
	}
}

// finish reads the rest and removes the input.
func (m *model) finish() {
	got, gaps := readRest(m.t, m.j, m.acked)
	if len(gaps) > 0 || string(got) != string(m.data[m.acked:]) {
		m.t.Fatalf("%d bytes from %d of %d, gaps %v", len(got), m.acked, len(m.data), gaps)
	}
	if err := m.j.Ack(Cursor{Offset: int64(len(m.data))}); m.sick {
		m.j.End()
		return
	} else if err != nil {
		m.t.Fatal(err)
	}
	dir := m.j.Path()
	if err := m.j.Remove(); err != nil {
		m.t.Fatal(err)
	}
	if _, err := os.Stat(dir); !gone(err) {
		m.t.Fatal("still there:", err)
	}
}
