package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func write(t *testing.T, path, text string) *os.File {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestIdentitySurvivesRename(t *testing.T) {
	dir := t.TempDir()
	f, other := write(t, filepath.Join(dir, "a"), "a"), write(t, filepath.Join(dir, "b"), "b")
	before, err := Identify(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, "c")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "c"))
	if err != nil || IdentityOf(info) != before || before == (Identity{}) {
		t.Errorf("the identity was %v, and %v after a rename (%v)", before, IdentityOf(info), err)
	}
	if others, err := Identify(other); err != nil || others == before {
		t.Errorf("two files have the identity %v (%v)", others, err)
	}
}

func TestIsFullAndFailed(t *testing.T) {
	for _, c := range []struct {
		err          error
		full, failed bool
	}{
		{nil, false, false},
		{fs.ErrClosed, false, false},
		{fmt.Errorf("write: %w", syscall.ENOSPC), true, false},
		{&fs.PathError{Op: "write", Err: syscall.EDQUOT}, true, false},
		{syscall.EFBIG, true, false},
		{&fs.PathError{Op: "write", Err: syscall.EIO}, false, true},
		{syscall.EROFS, false, true},
	} {
		if full, failed := IsFull(c.err), Failed(c.err); full != c.full || failed != c.failed {
			t.Errorf("%v: full %v, failed %v", c.err, full, failed)
		}
	}
}

func TestSplice(t *testing.T) {
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	defer in.Close()
	f := write(t, filepath.Join(t.TempDir(), "f"), "")
	from, to := int(out.Fd()), int(f.Fd())
	if _, err := Splice(from, to, 0, 100); !errors.Is(err, ErrPipeEmpty) {
		t.Errorf("splicing from an empty pipe: %v", err)
	}
	if _, err := in.WriteString("abcdef"); err != nil {
		t.Fatal(err)
	}
	if n, err := Splice(from, to, 2, 4); n != 4 || err != nil {
		t.Fatalf("moved %d bytes: %v", n, err)
	}
	if data, err := os.ReadFile(f.Name()); string(data) != "\x00\x00abcd" || err != nil {
		t.Errorf("%q (%v)", data, err)
	}
	in.Close()
	if !HasBytesOrWriter(out) {
		t.Error("HasBytesOrWriter is false with two bytes in the pipe")
	}
	if n, err := Splice(from, to, 6, 100); n != 2 || err != nil {
		t.Errorf("moved %d bytes: %v", n, err)
	}
	if n, err := Splice(from, to, 8, 100); n != 0 || err != nil {
		t.Errorf("splicing from a pipe that has ended moved %d bytes: %v", n, err)
	}
	if HasBytesOrWriter(out) {
		t.Error("HasBytesOrWriter is true after the pipe has ended")
	}
	if _, err := Splice(to, to, 0, 1); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("splicing from a file: %v", err)
	}
}

func TestReopenNeedsNoName(t *testing.T) {
	f := write(t, filepath.Join(t.TempDir(), "f"), "one")
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}
	again, err := Reopen(f)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := again.WriteAt([]byte("two"), 3); err != nil {
		t.Fatal(err)
	}
	if size, err := Size(f); size != 6 || err != nil {
		t.Errorf("%d bytes (%v)", size, err)
	}
}

func TestWhoWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	w := write(t, path, "one")
	r, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	who, err := Identify(r)
	if err != nil {
		t.Fatal(err)
	}
	if !ProcessWrites(os.Getpid(), who, "f") || ProcessWrites(os.Getpid(), who, "g") {
		t.Error("this process should be seen to write f and not g")
	}
	if others, known := OthersWrite(who, "f"); others || !known {
		t.Errorf("OthersWrite returned %v, %v for a file that only this process writes", others, known)
	}
	writer, known := HasWriter(r)
	if !known {
		t.Skip("NOT TESTED: this file system grants no leases")
	}
	w.Close()
	if after, _ := HasWriter(r); !writer || after || ProcessWrites(os.Getpid(), who, "f") {
		t.Errorf("HasWriter returned %v, and %v after the writer closed the file", writer, after)
	}
}
