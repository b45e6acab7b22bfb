package journal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"perstack-shipper/shipper/disk"
)

// readPieces reads everything, and returns the pieces between holes and the holes.
func readPieces(t *testing.T, of based) (pieces []string, holes []Gap) {
	t.Helper()
	j := of.Base()
	off, piece, buf := int64(0), "", make([]byte, 100<<10)
	for {
		n, err := j.ReadAt(buf, off)
		hole, is := errors.AsType[*HoleError](err)
		switch {
		case is:
			pieces, holes = append(pieces, piece), append(holes, hole.Gap)
			off, piece = hole.To, ""
			continue
		case err != nil:
			t.Fatal(err)
		case n == 0:
			return append(pieces, piece), holes
		}
		piece += string(buf[:n])
		off += int64(n)
	}
}

func writeAt(t *testing.T, path string, off int64, data string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(data), off); err != nil {
		t.Fatal(err)
	}
}

func TestHolesAreSkipped(t *testing.T) {
	const mega = 1 << 20
	f, path := openFolder(t), filepath.Join(t.TempDir(), "events.jsonl")
	long := strings.Repeat("x", 300<<10)
	writeAt(t, path, 0, "one\n")
	writeAt(t, path, 5*mega+100, "two\x00\x00\n"+long)
	writeAt(t, path, 9*mega, "three\n")
	if disk.NextHole(mustOpen(t, path), 0) > mega {
		t.Skip("NOT TESTED: this file system does not report holes")
	}
	j := follow(t, f, "holes", path)
	pieces, holes := readPieces(t, j)
	want := []string{"one\n", "two\x00\x00\n" + long, "three\n"}
	if strings.Join(pieces, "|") != strings.Join(want, "|") {
		t.Fatalf("got %d pieces and the holes %v", len(pieces), holes)
	}
	if first := (Gap{4, 5*mega + 100}); holes[0] != first {
		t.Errorf("the holes are %v, the first should be %v", holes, first)
	}

	// A writer may extend its file before it writes the bytes. The reader waits for them, and until
	// the input ends they are not a hole.
	end := j.Size()
	if err := os.Truncate(path, end+4*mega); err != nil {
		t.Fatal(err)
	}
	waitFor(t, j, "growth", func() bool { return j.Size() > end })
	if n, err := j.ReadAt(make([]byte, 100), end); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	writeAt(t, path, end, "four\n")
	wantStart(t, j, end, "four\n")
	if err := j.StopFollowing(); err != nil {
		t.Fatal(err)
	}
	_, err := j.ReadAt(make([]byte, 100), end+5)
	if hole, is := errors.AsType[*HoleError](err); !is || hole.To != j.Size() {
		t.Fatal(err)
	}
}

// TestWrittenNULsAreRead checks that NULs that somebody wrote are read like any other bytes.
func TestWrittenNULsAreRead(t *testing.T) {
	f, path := openFolder(t), filepath.Join(t.TempDir(), "events.jsonl")
	text := "one" + strings.Repeat("\x00", 200<<10) + "\ntwo\n" + strings.Repeat("\x00", 1000)
	put(t, path, text)
	j := follow(t, f, "written", path)
	wantRest(t, j, 0, []byte(text))
}

func mustOpen(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// wantStart checks that text is all there is to read at off.
func wantStart(t *testing.T, of based, off int64, text string) {
	t.Helper()
	j := of.Base()
	buf := make([]byte, 100)
	n, err := j.ReadAt(buf, off)
	if err != nil || string(buf[:n]) != text {
		t.Fatalf("ReadAt returned %q, %v, want %q", buf[:n], err, text)
	}
}
