//go:build !portable

package journal

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// fullPipe returns the reading end of a pipe with data in it. Unless open is set, its writing end
// is closed.
func fullPipe(t *testing.T, data []byte, open bool) (fd int) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 1<<20); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if !open {
		w.Close()
	}
	return int(r.Fd())
}

// stillIn returns how many bytes are in a pipe.
func stillIn(t *testing.T, fd int) int {
	t.Helper()
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTake(t *testing.T) {
	data := bytes.Repeat([]byte("a line of an agent\n"), 40_000)
	for name, open := range map[string]func() (*Folder, error){
		"on disk":   func() (*Folder, error) { return Open(filepath.Join(t.TempDir(), "journal")) },
		"in memory": func() (*Folder, error) { return InMemory(0) },
	} {
		t.Run(name, func(t *testing.T) {
			folder, err := open()
			if err != nil {
				t.Fatal(err)
			}
			j, err := folder.NewPipe("aaaaaaaa", nil, Options{SegmentBytes: 64 << 10})
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			fd := fullPipe(t, data, false)
			for n := 0; err == nil; n, err = j.Take(fd, 1<<20) {
				if n > 64<<10 {
					t.Fatalf("Take moved %d bytes at once to segments of 64 KiB", n)
				}
			}
			if err != io.EOF {
				t.Fatal(err)
			}
			got, err := io.ReadAll(io.NewSectionReader(j, 0, j.Size()))
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("the journal has %d of %d bytes (%v), or they differ", len(got), len(data), err)
			}
		})
	}
}

// TestTakeLeavesBytesWithoutRoom checks that bytes for which there is no room stay in the pipe, and
// are not in this process.
func TestTakeLeavesBytesWithoutRoom(t *testing.T) {
	folder, err := Open(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	j, err := folder.NewPipe("aaaaaaaa", nil, Options{MaxBytes: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	fd := fullPipe(t, make([]byte, 300_000), false)
	full := 0
	for err = nil; err != io.EOF; {
		_, err = j.Take(fd, 1<<20)
		if j.Size()+int64(stillIn(t, fd)) != 300_000 || j.Allocated() > 100_000 {
			t.Fatalf("%d bytes are in the journal and %d in the pipe, of 300000; %d are allocated", j.Size(), stillIn(t, fd), j.Allocated())
		}
		if errors.Is(err, ErrFull) {
			full++
			err = j.Ack(Cursor{Offset: j.Size()})
		}
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
	}
	if full < 2 || j.Size() != 300_000 {
		t.Errorf("the journal was full %d times and has %d bytes", full, j.Size())
	}
}

func TestErrorsOfTake(t *testing.T) {
	folder, err := Open(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	j, err := folder.NewPipe("aaaaaaaa", nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	fd := fullPipe(t, []byte("x"), true)
	if n, err := j.Take(fd, 10); n != 1 || err != nil {
		t.Errorf("Take from a pipe with one byte returned %d, %v", n, err)
	}
	if n, err := j.Take(fd, 10); n != 0 || !errors.Is(err, ErrNothing) {
		t.Errorf("Take from an empty pipe returned %d, %v", n, err)
	}
	file, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if n, err := j.Take(int(file.Fd()), 10); n != 0 || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Take from a file returned %d, %v", n, err)
	}
	if err := j.End(); err != nil {
		t.Fatal(err)
	}
	if n, err := j.Take(fd, 10); n != 0 || !errors.Is(err, os.ErrClosed) {
		t.Errorf("Take after the end returned %d, %v", n, err)
	}
}
