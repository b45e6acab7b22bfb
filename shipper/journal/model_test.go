package journal

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"perstack-shipper/shipper/disk"
)

// model is a byte slice and an offset, which the journal of a Pipe must match.
type model struct {
	t       *rapid.T
	f       *Folder
	o       Options
	j       *Pipe
	data    []byte // all bytes that Write took
	acked   int64  // the latest Ack
	state   string
	ended   bool
	failing bool // the disk fails in some way
}

// TestAnyOrderOfCallsKeepsTheBytes compares the journal with the model over random writes, reads,
// acks, restarts, broken cursors and disk failures.
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
			"restart":       func(rt *rapid.T) { m.t = rt; m.needDisk(); m.restart() },
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
		t.Fatalf("Write took %d of %d bytes and returned no error", n, len(b))
	case errors.Is(err, ErrFull):
		if m.o.MaxBytes == 0 {
			t.Fatal("the journal is full without a limit")
		}
		if m.acked == int64(len(m.data)) && before == 0 {
			t.Fatal("the journal is full and empty")
		}
		if m.failing && n == 0 && m.acked == int64(len(m.data)) {
			t.Fatalf("the journal stays full: %v", err)
		}
	case err != nil:
		t.Fatal(err)
	}
	if m.o.MaxBytes > 0 && m.j.Allocated() > m.o.MaxBytes {
		t.Fatalf("%d bytes are allocated, the limit is %d", m.j.Allocated(), m.o.MaxBytes)
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
		t.Fatalf("read nothing at %d of %d", off, len(m.data))
	}
	if int64(n) > left || n > 0 && string(b[:n]) != string(m.data[off:off+int64(n)]) {
		t.Fatalf("wrong bytes at %d", off)
	}
}

func (m *model) ack(t *rapid.T) {
	off := rapid.Int64Range(m.acked, int64(len(m.data))).Draw(t, "offset")
	state := rapid.StringN(0, 50, 200).Draw(t, "state")
	if err := m.j.Ack(Cursor{off, []byte(state)}); err != nil && !m.failing {
		t.Fatal(err)
	}
	m.acked, m.state = off, state
	most := int64(len(m.data)) - off + 2*(m.o.SegmentBytes+500) // the segment with the cursor and the active one; each may exceed its size by a write
	if got := m.j.Allocated(); got > most && (!m.failing || m.j.Degraded() != nil) {
		t.Fatalf("%d bytes are allocated with %d unacked in segments of %d", got, int64(len(m.data))-off, m.o.SegmentBytes)
	}
}

// fail makes the disk fail from now on: for writes, for changes of the folder, or for the cursor.
func (m *model) fail(t *rapid.T) {
	if !disk.HasMemfds || m.ended || m.failing {
		t.Skip("nothing to fail")
	}
	m.failing = true
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

// needDisk skips an action that needs a working disk.
func (m *model) needDisk() {
	if m.failing {
		m.t.Skip("the disk fails")
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
		m.t.Fatalf("the cursor is %d %q, and was %d %q", c.Offset, c.State, m.acked, m.state)
	}
	if j.Damage() != nil || string(j.About()) != "about" {
		m.t.Fatal(j.Damage(), string(j.About()))
	}
}

// breakCursors spoils both cursor files. The journal must report that and start no later than the
// model's ack.
func (m *model) breakCursors(t *rapid.T) {
	m.t = t
	m.needDisk()
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
		t.Fatalf("the fallback is %q and the cursor %+v, acked was %d", m.j.Fallback(), c, m.acked)
	}
	m.acked, m.state = c.Offset, ""
	ack(t, m.j, c.Offset, "")
}

func (m *model) check(t *rapid.T) {
	if m.j.Size() != int64(len(m.data)) || m.j.Ended() != m.ended {
		t.Fatalf("the size is %d and ended %t, want %d and %t", m.j.Size(), m.j.Ended(), len(m.data), m.ended)
	}
}

// finish reads the rest and removes the input.
func (m *model) finish() {
	got, gaps := readRest(m.t, m.j, m.acked)
	if len(gaps) > 0 || string(got) != string(m.data[m.acked:]) {
		m.t.Fatalf("read %d bytes from %d of %d with gaps %v, or the bytes differ", len(got), m.acked, len(m.data), gaps)
	}
	if err := m.j.Ack(Cursor{Offset: int64(len(m.data))}); m.failing {
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
		m.t.Fatal("the folder still exists:", err)
	}
}
