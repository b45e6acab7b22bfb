package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// crashed returns a folder whose owner died. It has an input "dead" of ten segments of 100 bytes,
// acked up to 250.
func crashed(t testing.TB) (f *Folder, dir string, data []byte) {
	t.Helper()
	f = openFolder(t)
	j := newPipe(t, f, "dead", Options{SegmentBytes: 100})
	data = random(6, 1000)
	for i := 0; i < len(data); i += 100 {
		write(t, j, data[i:i+100])
	}
	ack(t, j, 50, `{"seq":1}`)
	ack(t, j, 250, `{"seq":2}`)
	dir = j.Path()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return f, dir, data
}

func TestRecoveryOfADamagedPipe(t *testing.T) {
	seg := func(off int64) string { return offsetName(off, segmentSuffix) }
	for _, c := range []struct {
		name     string
		damage   func(dir string) error
		cursor   int64
		state    string
		gaps     []Gap  // as read from the cursor on
		fallback string // contained in Fallback; "": there is none
		damaged  string // contained in Damage; "": there is none
	}{
		{"nothing", func(dir string) error { return nil }, 250, `{"seq":2}`, nil, "", ""},
		{"segment between deleted", func(dir string) error { return os.Remove(filepath.Join(dir, seg(500))) },
			250, `{"seq":2}`, []Gap{{500, 600}}, "", "500 to 600 (100)"},
		{"last segment deleted", func(dir string) error { return os.Remove(filepath.Join(dir, seg(900))) },
			250, `{"seq":2}`, []Gap{{900, 1000}}, "", "900 to 1000"},
		{"first segment deleted", func(dir string) error { return os.Remove(filepath.Join(dir, seg(200))) },
			250, `{"seq":2}`, []Gap{{250, 300}}, "before the first byte in the journal", "250 to 300"},
		{"last segment cut", func(dir string) error { return os.Truncate(filepath.Join(dir, seg(900)), 30) },
			250, `{"seq":2}`, []Gap{{930, 1000}}, "", "930 to 1000"},
		{"segment cut to nothing", func(dir string) error { return os.Truncate(filepath.Join(dir, seg(400)), 0) },
			250, `{"seq":2}`, []Gap{{400, 500}}, "", "400 to 500"},
		{"segment too long", func(dir string) error { return os.Truncate(filepath.Join(dir, seg(400)), 150) },
			250, `{"seq":2}`, nil, "", "has 50 bytes that"},
		{"all segments deleted", func(dir string) error {
			all, _ := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
			for _, s := range all {
				os.Remove(s)
			}
			return nil
		}, 250, `{"seq":2}`, []Gap{{250, 1000}}, "has no segments", "250 to 1000"},
		{"zero-length last segment", func(dir string) error { return os.WriteFile(filepath.Join(dir, seg(1000)), nil, 0o600) },
			250, `{"seq":2}`, nil, "", ""},
		{"foreign file", func(dir string) error { return os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600) },
			250, `{"seq":2}`, nil, "", "notes.txt"},
		{"link in a segment's place", func(dir string) error {
			os.Remove(filepath.Join(dir, seg(500)))
			return os.Symlink("/etc/passwd", filepath.Join(dir, seg(500)))
		}, 250, `{"seq":2}`, []Gap{{500, 600}}, "", seg(500)},
		{"half a replaced file", func(dir string) error { return os.WriteFile(filepath.Join(dir, "about.new"), []byte("x"), 0o600) },
			250, `{"seq":2}`, nil, "", ""},
		{"newest cursor torn", func(dir string) error { return spoil(filepath.Join(dir, newestCursor(dir)), cursorHead+3) },
			50, `{"seq":1}`, []Gap{{50, 200}}, "before the first byte in the journal", "50 to 200"},
		{"older cursor torn", func(dir string) error {
			return spoil(filepath.Join(dir, cursorNames[1-slices.Index(cursorNames[:], newestCursor(dir))]), 20)
		}, 250, `{"seq":2}`, nil, "", ""},
		{"both cursors corrupt", func(dir string) error {
			return errors.Join(spoil(filepath.Join(dir, cursorNames[0]), 20), spoil(filepath.Join(dir, cursorNames[1]), 20))
		}, 200, "", nil, "starting at offset 200", ""},
		{"both cursors deleted", func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, cursorNames[0])), os.Remove(filepath.Join(dir, cursorNames[1])))
		}, 200, "", nil, "starting at offset 200", ""},
		{"input file corrupt", func(dir string) error { return os.WriteFile(filepath.Join(dir, inputName), []byte("{"), 0o600) },
			250, `{"seq":2}`, nil, "", `"input" is lost or damaged`},
		{"input file deleted", func(dir string) error { return os.Remove(filepath.Join(dir, inputName)) },
			250, `{"seq":2}`, nil, "", `"input" is lost or damaged`},
		{"options deleted", func(dir string) error { return os.Remove(filepath.Join(dir, aboutName)) },
			250, `{"seq":2}`, nil, "", "options are lost"},
		{"index deleted", func(dir string) error { return os.Remove(filepath.Join(dir, arrivalsName)) },
			250, `{"seq":2}`, nil, "", "index of arrivals is lost"},
		{"index spoilt", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, arrivalsName), []byte(strings.Repeat("\xff", 160)), 0o600)
		}, 250, `{"seq":2}`, nil, "", "index of arrivals"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, dir, data := crashed(t)
			if err := c.damage(dir); err != nil {
				t.Fatal(err)
			}
			left, err := f.Leftover()
			if err != nil || len(left) != 1 || left[0].ID != "dead" || left[0].Kind != KindPipe || left[0].Holder != 0 || left[0].Path != dir {
				t.Fatalf("%+v, %v", left, err)
			}
			j := recoverAs[*Pipe](t, f, "dead")
			if got := j.Cursor(); got.Offset != c.cursor || string(got.State) != c.state {
				t.Errorf("cursor %d %s, want %d %s", got.Offset, got.State, c.cursor, c.state)
			}
			wantText(t, "Fallback", j.Fallback(), c.fallback)
			wantText(t, "Damage", fmt.Sprint(j.Damage()), c.damaged)
			got, gaps := readRest(t, j, c.cursor)
			if !slices.Equal(gaps, c.gaps) {
				t.Errorf("gaps %v, want %v", gaps, c.gaps)
			}
			if want := without(data, c.cursor, c.gaps); string(got) != string(want) {
				t.Errorf("read %d bytes, want %d, or the bytes differ", len(got), len(want))
			}
			if !j.Ended() {
				t.Error("the input has not ended")
			}
			select {
			case <-j.Changed():
			default:
				t.Error("a reader that waits for a change before its first read waits for ever")
			}
			ack(t, j, j.Size(), "") // everything that could be shipped was, so it can be removed
			if err := j.Remove(); err != nil {
				t.Error(err)
			}
		})
	}
}

// without returns data from off on, without the gaps.
func without(data []byte, off int64, gaps []Gap) (rest []byte) {
	for _, g := range gaps {
		rest = append(rest, data[min(off, g.From):g.From]...)
		off = g.To
	}
	return append(rest, data[off:]...)
}

// wantText checks that got contains want, or is empty if want is.
func wantText(t *testing.T, what, got, want string) {
	t.Helper()
	if got == "<nil>" {
		got = ""
	}
	if want == "" && got != "" || !strings.Contains(got, want) {
		t.Errorf("%s is %q, want %q in it", what, got, want)
	}
}

func newestCursor(dir string) string {
	newest, gen := "", uint64(0)
	for _, name := range cursorNames {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		if k, ok := readCursor(f); ok && k.gen > gen {
			newest, gen = name, k.gen
		}
		f.Close()
	}
	return newest
}

// spoil changes one byte of a file to one that is never valid, so that spoiling it twice does not
// repair it.
func spoil(path string, at int) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	data[at] = 0xff
	return os.WriteFile(path, data, 0o600)
}

// TestTornCursorWriteAtEveryByte checks that a cursor write cut off at any byte leaves the previous
// cursor, and a complete one the new cursor.
func TestTornCursorWriteAtEveryByte(t *testing.T) {
	st := dirStore(t.TempDir())
	c, err := createCursor(st)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for i := range int64(4) {
		if err := c.put(Cursor{100 + i, []byte(strings.Repeat("s", 40))}, 7); err != nil {
			t.Fatal(err)
		}
	}
	next := (c.gen + 1) % 2
	before, err := st.read(cursorNames[next], cursorRoom)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.put(Cursor{200, []byte("new state")}, 9); err != nil {
		t.Fatal(err)
	}
	after, _ := st.read(cursorNames[next], cursorRoom)
	whole := cursorHead + len("new state")
	for cut := range whole + 1 {
		torn := append(slices.Clone(after[:cut]), before[cut:]...)
		if err := os.WriteFile(st.path(cursorNames[next]), torn, 0o600); err != nil {
			t.Fatal(err)
		}
		k, ok := peekCursor(st)
		want := int64(103)
		if cut == whole {
			want = 200
		}
		if !ok || k.Offset != want {
			t.Fatalf("cut off at %d: the cursor is %d (valid: %t), want %d", cut, k.Offset, ok, want)
		}
	}
}

func TestCursorStateGrowsAndReturns(t *testing.T) {
	f := openFolder(t)
	j := newPipe(t, f, "stateful", Options{})
	write(t, j, make([]byte, 100))
	for i, size := range []int{0, 1, 7_000, 100_000, 3, 400_000, 400_001} {
		state := string(random(uint64(i), size))
		ack(t, j, int64(i), state)
		k, ok := peekCursor(j.st)
		if !ok || k.Offset != int64(i) || string(k.State) != state {
			t.Fatalf("a state of %d bytes came back with offset %d and %d bytes (valid: %t)", size, k.Offset, len(k.State), ok)
		}
	}
	if err := j.Ack(Cursor{10, make([]byte, MaxStateBytes+1)}); err == nil {
		t.Fatal("Ack accepted a state over the limit")
	}
	if err := j.Ack(Cursor{5, nil}); err == nil {
		t.Fatal("Ack accepted a lower offset")
	}
	if err := j.Ack(Cursor{101, nil}); err == nil {
		t.Fatal("Ack accepted an offset beyond the end")
	}
	ack(t, j, 100, "end")
}

func TestAckThatCannotBeWrittenFreesNothingAndIsTriedAgain(t *testing.T) {
	f := openFolder(t)
	j := newPipe(t, f, "readonly", Options{SegmentBytes: 10})
	for range 10 {
		write(t, j, make([]byte, 10))
	}
	ack(t, j, 10, "")
	good := j.cur.f
	for i, name := range cursorNames { // with descriptors that cannot be written
		ro, err := os.Open(filepath.Join(j.Path(), name))
		if err != nil {
			t.Fatal(err)
		}
		defer ro.Close()
		j.cur.f[i] = ro
	}
	before := j.Allocated()
	if err := j.Ack(Cursor{Offset: 80}); err == nil || j.Allocated() != before {
		t.Fatalf("Ack with an unwritable cursor returned %v; allocated were %d bytes, now %d", err, before, j.Allocated())
	}
	j.cur.f = good
	ack(t, j, 80, "")
	if j.Allocated() != 20 {
		t.Fatal(j.Allocated())
	}
}

func TestInputHeldByAnotherOwner(t *testing.T) {
	f := openFolder(t)
	j := newPipe(t, f, "mine", Options{})
	other, err := Open(f.Path())
	if err != nil {
		t.Fatal(err)
	}
	var held *HeldError
	if _, err := other.Recover("mine"); !errors.As(err, &held) || held.Pid != os.Getpid() || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Fatal(err)
	}
	if _, err := other.NewPipe("mine", nil, Options{}); !errors.As(err, &held) {
		t.Fatal(err)
	}
	left, err := other.Leftover()
	if err != nil || len(left) != 1 || left[0].Holder != os.Getpid() {
		t.Fatalf("%+v %v", left, err)
	}
	j.Close()
	if _, err := other.NewPipe("mine", nil, Options{}); !errors.Is(err, ErrExists) {
		t.Fatal(err)
	}
	if left, _ := other.Leftover(); len(left) != 1 || left[0].Holder != 0 {
		t.Fatalf("%+v", left)
	}
	recoverAs[*Pipe](t, other, "mine")
}

func TestLeftoverRemovesHalfMadeInputs(t *testing.T) {
	f, dir, _ := crashed(t)
	for name, make := range map[string]func(dir string){
		"halfmade":   func(dir string) { os.WriteFile(filepath.Join(dir, cursorNames[0]), nil, 0o600) },
		"onlyfolder": func(dir string) {},
		"halfremoved": func(dir string) {
			os.CopyFS(dir, os.DirFS(filepath.Join(f.path, "dead")))
			os.Rename(filepath.Join(dir, inputName), filepath.Join(dir, finishedName))
		},
	} {
		dir := filepath.Join(f.path, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		make(dir)
	}
	if err := os.Mkdir(filepath.Join(f.path, "Not Ours"), 0o700); err != nil {
		t.Fatal(err)
	}
	left, err := f.Leftover()
	if err != nil || len(left) != 1 || left[0].Path != dir || left[0].Unacked != 750 {
		t.Fatalf("%+v %v", left, err)
	}
	entries, _ := os.ReadDir(f.path)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, []string{"Not Ours", "dead", "version"}) {
		t.Fatal(names)
	}
}
