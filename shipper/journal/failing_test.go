package journal

// This file makes disk failures that need no mount: see failStore, failActive and failCursor.

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// failingStore is a folder on a disk that has become read-only.
type failingStore struct{ store }

func (f failingStore) fail(op, name string) error {
	return &os.PathError{Op: op, Path: f.path(name), Err: unix.EROFS}
}
func (f failingStore) create(name string) (*os.File, error) { return nil, f.fail("open", name) }
func (f failingStore) replace(name string, _ []byte) error  { return f.fail("open", name) }
func (f failingStore) rename(from, _ string) error          { return f.fail("rename", from) }
func (f failingStore) remove(name string) error             { return f.fail("unlink", name) }
func (f failingStore) open(name string, write bool) (*os.File, error) {
	if write {
		return nil, f.fail("open", name)
	}
	return f.store.open(name, false)
}

// failStore makes the folder of a Pipe read-only.
func failStore(j *Pipe) {
	bad := failingStore{j.st}
	j.st, j.pipe.st, j.pipe.place = bad, bad, bad
	for _, s := range j.pipe.segs {
		s.in = bad
	}
}

// unwritable opens a file for reading only, so writing to it fails with EBADF.
func unwritable(t tester, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// failActive makes writes to the active segment fail. Reading it still works.
func failActive(t tester, j *Pipe) {
	f := unwritable(t, filepath.Join(j.Path(), j.pipe.active.name))
	j.pipe.active.f.Close()
	j.pipe.active.f, j.pipe.active.fd = f, int(f.Fd())
}

// failCursor makes writes of the cursor fail until heal is called.
func failCursor(t tester, of based) (heal func()) {
	j := of.Base()
	good := j.cur.f
	for i, name := range cursorNames {
		j.cur.f[i] = unwritable(t, filepath.Join(j.Path(), name))
	}
	return func() {
		j.cur.close()
		j.cur.f = good
	}
}
