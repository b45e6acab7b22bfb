package journal

import (
	"os"
	"testing"
	"time"
)

// inspect returns the only input of a folder.
func inspect(t *testing.T, dir string) Seen {
	t.Helper()
	view, err := LookInto(dir)
	if err != nil {
		t.Fatal(err)
	}
	all, err := view.Inputs()
	if err != nil || len(all) != 1 {
		t.Fatalf("%d inputs (%v), want 1", len(all), err)
	}
	return all[0]
}

func TestLookIntoAnOutput(t *testing.T) {
	dir := t.TempDir()
	folder, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	j, w, err := folder.NewOutput("output", nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.WriteString("one\n"); err != nil {
		t.Fatal(err)
	}
	if n, err := j.ReadAt(make([]byte, 10), 0); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	if seen := inspect(t, dir); seen.Oldest.UnixMilli() != j.ArrivalAt(0) || seen.Waiting != 4 || seen.Holder != os.Getpid() {
		t.Errorf("seen is %+v, want 4 bytes that arrived at %d", seen, j.ArrivalAt(0))
	}
	if err := j.Ack(Cursor{Offset: 4}); err != nil {
		t.Fatal(err)
	}
	if seen := inspect(t, dir); !seen.Oldest.IsZero() || seen.Waiting != 0 || seen.Read != 4 || seen.Acked != 4 {
		t.Errorf("seen is %+v, want nothing waiting", seen)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if seen := inspect(t, dir); seen.Holder != 0 {
		t.Errorf("seen is %+v, want no holder", seen)
	}
}

// TestUnnoticedBytesAreNew: a line that a command writes after a long silence has not waited
// through that silence, even if the owner has not noticed the line yet.
func TestUnnoticedBytesAreNew(t *testing.T) {
	at := time.UnixMilli
	for _, c := range []struct {
		entries []arrival
		off     int64
		written int64 // ms
		want    int64
	}{
		{nil, 0, 9000, 9000},                             // nothing was noticed yet
		{nil, 0, 0, 100},                                 // the owner itself writes
		{[]arrival{{0, 1000}}, 0, 9000, 1000},            // noticed bytes have waited since then
		{[]arrival{{0, 1000}}, 4, 9000, 9000},            // maybe behind the noticed bytes
		{[]arrival{{0, 1000}}, 4, 500, 1000},             // not written since then
		{[]arrival{{0, 1000}, {8, 2000}}, 4, 9000, 1000}, // noticed before the second entry was made
		{[]arrival{{0, 1000}, {8, 2000}}, 8, 9000, 2000},
	} {
		a, err := createArrivals(dirStore(t.TempDir()), 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range c.entries {
			a.put(e.off, e.ms)
		}
		var written time.Time
		if c.written > 0 {
			written = at(c.written)
		}
		if got := a.since(c.off, written); !got.Equal(at(c.want)) {
			t.Errorf("%+v: since returned %d", c, got.UnixMilli())
		}
		if err := a.close(); err != nil {
			t.Error(err)
		}
	}
}

// TestOnlyAWholeLineWaits has a line that spans several segments and is incomplete at first.
func TestOnlyAWholeLineWaits(t *testing.T) {
	dir := t.TempDir()
	folder, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	j, err := folder.NewPipe("pipe", nil, Options{SegmentBytes: minSegmentBytes})
	if err != nil {
		t.Fatal(err)
	}
	half := make([]byte, minSegmentBytes-1)
	for i := range half {
		half[i] = 'x'
	}
	for range 3 {
		if _, err := j.Write(half); err != nil {
			t.Fatal(err)
		}
	}
	want := int64(3 * len(half))
	if seen := inspect(t, dir); !seen.Oldest.IsZero() || seen.Waiting != want || seen.Allocated != want {
		t.Errorf("with half a line, seen is %+v", seen)
	}
	if _, err := j.Write([]byte{'\n'}); err != nil {
		t.Fatal(err)
	}
	if seen := inspect(t, dir); seen.Oldest.IsZero() || seen.Waiting != want+1 {
		t.Errorf("with a whole line, seen is %+v", seen)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}
