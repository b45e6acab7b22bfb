//go:build !portable

package disk

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

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
