package disk

import (
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

func TestFree(t *testing.T) {
	f := write(t, filepath.Join(t.TempDir(), "f"), "")
	if free, known, err := Free(f); free <= 0 || !known || err != nil {
		t.Errorf("%d bytes are free, known: %v (%v)", free, known, err)
	}
	f.Close()
	if _, known, err := Free(f); known || err == nil {
		t.Errorf("the file system of a closed file is known: %v (%v)", known, err)
	}
}
