//go:build !portable

package journal

// These tests have disks that fail while they are in use: a folder is removed, a file system
// becomes read-only, files return errors.

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"perstack-shipper/shipper/disk"
)

func wantDegraded(t testing.TB, of based, cause error) {
	t.Helper()
	j := of.Base()
	failure, ok := errors.AsType[*MemoryError](j.Degraded())
	if !ok || !errors.Is(failure, cause) || failure.Dir != j.Path() || !strings.Contains(failure.Error(), j.Path()) || !strings.Contains(failure.Error(), "in memory") {
		t.Fatalf("Degraded returned %v, want a MemoryError because of %v", j.Degraded(), cause)
	}
}

// TestFolderRemoved: somebody removes the folder. The bytes in it are read from the open files and
// later ones from memory, in order and to the last byte.
func TestFolderRemoved(t *testing.T) {
	for _, how := range []string{"written", "taken"} {
		t.Run(how, func(t *testing.T) {
			j := newPipe(t, openFolder(t), "removed", Options{SegmentBytes: 64 << 10})
			data := random(20, 900<<10)
			put := func(b []byte) {
				t.Helper()
				if how == "written" {
					write(t, j, b)
					return
				}
				from := fullPipe(t, b, true)
				for taken := 0; taken < len(b); {
					n, err := j.Take(from, len(b))
					if err != nil {
						t.Fatal(taken, err)
					}
					taken += n
				}
			}
			put(data[:100<<10])
			ack(t, j, 10<<10, "a")
			if err := os.RemoveAll(j.Path()); err != nil {
				t.Fatal(err)
			}
			if !j.Gone() || j.Perishable() != 90<<10 || j.Degraded() != nil {
				t.Fatal(j.Gone(), j.Perishable(), j.Degraded())
			}
			put(data[100<<10 : 500<<10])
			put(data[500<<10:])
			wantDegraded(t, j, unix.ENOENT)
			wantRest(t, j, 10<<10, data[10<<10:])
			if got := j.Perishable(); got != int64(len(data))-10<<10 {
				t.Fatalf("%d bytes are perishable", got)
			}
			for off := int64(20 << 10); off < int64(len(data)); off += 50_000 {
				ack(t, j, off, "b")
				wantRest(t, j, off, data[off:])
			}
			if got := j.Allocated(); got > 200<<10 {
				t.Fatalf("%d bytes are allocated although most are acked", got)
			}
			if err := j.End(); err != nil {
				t.Fatal(err)
			}
			ack(t, j, int64(len(data)), "c")
			if err := j.Remove(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestMemoryIsBounded checks that the bytes in memory are limited, by the input's own limit if that
// is lower, and that acks make room in memory as they do on a disk.
func TestMemoryIsBounded(t *testing.T) {
	for _, limit := range []int64{0, 3 << 20} {
		j := newPipe(t, openFolder(t), "bounded", Options{SegmentBytes: 4 << 20, MaxBytes: limit})
		write(t, j, make([]byte, 1<<20))
		failActive(t, j)
		data := make([]byte, 80<<20)
		n, err := j.Write(data)
		wantDegraded(t, j, unix.EBADF)
		want := int64(defaultMemory)
		if limit > 0 {
			want = limit - 1<<20
		}
		if !errors.Is(err, ErrFull) || int64(n) != want {
			t.Fatalf("Write took %d bytes, want %d: %v", n, want, err)
		}
		if err := j.WaitRoom(t.Context()); err != nil {
			t.Fatal(err)
		}
		ack(t, j, j.Size(), "")
		if n, err = j.Write(data); n < 2<<20 || !errors.Is(err, ErrFull) {
			t.Fatal("the space of acked bytes was not used:", n, err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNothingCanBeChanged: nothing on the disk can be changed any more, not even the cursor. Acks
// return an error and still make room in memory. The folder keeps what a start at the old cursor
// needs.
func TestNothingCanBeChanged(t *testing.T) {
	f := openFolder(t)
	j := newPipe(t, f, "frozen", Options{SegmentBytes: 1000, MaxBytes: 20_000})
	data := random(21, 200_000)
	write(t, j, data[:5_500])
	ack(t, j, 1_500, "kept")
	dir := j.Path()
	failActive(t, j)
	failCursor(t, j)
	failStore(j)
	acked := int64(1_500)
	for sent := 5_500; sent < len(data); {
		n, err := j.Write(data[sent:min(len(data), sent+3_000)])
		sent += n
		if err != nil && !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		if n == 0 && acked == int64(sent) {
			t.Fatalf("all %d bytes are acked and Write takes no more: %v", sent, err)
		}
		wantRest(t, j, acked, data[acked:sent])
		acked = int64(sent)
		if err := j.Ack(Cursor{Offset: acked}); err == nil || errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "write the cursor") {
			t.Fatal("the cursor was not written, and Ack returned", err)
		}
		if got := j.Allocated(); got > 20_000 {
			t.Fatalf("%d bytes are allocated, more than the limit", got)
		}
	}
	wantDegraded(t, j, unix.EBADF)
	if err := j.Remove(); err == nil || !strings.Contains(err.Error(), dir) {
		t.Fatal("the input cannot be removed, and Remove returned", err)
	}
	left := recoverAs[*Pipe](t, f, "frozen")
	if c := left.Cursor(); c.Offset != 1_500 || string(c.State) != "kept" || left.Fallback() != "" {
		t.Fatalf("%+v %q", c, left.Fallback())
	}
	got, _ := readRest(t, left, 1_500)
	if !bytes.HasPrefix(got, data[1_500:5_500]) || len(got) != 4_000 {
		t.Fatalf("%d bytes are left", len(got))
	}
}

// TestUnwritableCursorAtTheLimit: if the cursor cannot be written, no space is freed. At the limit
// the writer would wait for ever.
func TestUnwritableCursorAtTheLimit(t *testing.T) {
	j := newPipe(t, openFolder(t), "standing", Options{SegmentBytes: 1000, MaxBytes: 5_000})
	heal := failCursor(t, j)
	defer heal()
	data := random(22, 5_000)
	write(t, j, data)
	if _, err := j.Write([]byte("x")); !errors.Is(err, ErrFull) || j.Degraded() != nil {
		t.Fatal("the journal should only be full:", err, j.Degraded())
	}
	if err := j.Ack(Cursor{Offset: 4_000}); err == nil {
		t.Fatal("the cursor was written")
	}
	write(t, j, []byte("xyz"))
	wantDegraded(t, j, unix.EBADF)
	wantRest(t, j, 4_000, append(data[4_000:], "xyz"...))
	if files, err := filepath.Glob(filepath.Join(j.Path(), "*"+segmentSuffix)); err != nil || len(files) < 5 || filepath.Base(files[0]) != offsetName(0, segmentSuffix) {
		t.Fatal("segments that a start at the old cursor needs are missing:", files, err)
	}
}

// TestFullIsNotFailing checks that the writer waits for a full disk, and does not go on in memory.
func TestFullIsNotFailing(t *testing.T) {
	disk := smallDisk(t, "1m")
	f, err := Open(filepath.Join(disk, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	j := newPipe(t, f, "full", Options{})
	if n, err := j.Write(make([]byte, 2<<20)); n == 0 || !errors.Is(err, ErrFull) {
		t.Fatal(n, err)
	}
	ack(t, j, 1000, "")
	if _, err := j.Write([]byte("x")); !errors.Is(err, ErrFull) || j.Degraded() != nil {
		t.Fatal(err, j.Degraded())
	}
}

// failingDisk mounts an ext4 file system. fail makes it read-only, even for processes that have
// files open there, as the kernel does after an I/O error.
func failingDisk(t *testing.T) (dir string, fail func()) {
	t.Helper()
	dir, image := t.TempDir(), filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 64<<20); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][]string{{"mkfs.ext4", "-q", image}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			t.Skipf("NOT TESTED: %s does not work here (%v: %s); run as root, with loop devices", c[0], err, out)
		}
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error("unmount:", err)
		}
	})
	return dir, func() {
		t.Helper()
		if out, err := exec.Command("mount", "-o", "remount,abort", dir).CombinedOutput(); err != nil {
			t.Skipf("NOT TESTED: an ext4 file system cannot be aborted here: %v: %s", err, out)
		}
	}
}

// TestFileSystemBecomesReadOnly: the kernel makes the file system read-only, including open files.
func TestFileSystemBecomesReadOnly(t *testing.T) {
	disk, fail := failingDisk(t)
	f, err := Open(filepath.Join(disk, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	j := newPipe(t, f, "frozen", Options{SegmentBytes: 64 << 10})
	data := random(23, 600<<10)
	write(t, j, data[:300<<10])
	ack(t, j, 100<<10, "kept")
	fail()
	from := fullPipe(t, data[300<<10:], false)
	for taken := 0; taken < 300<<10; {
		n, err := j.Take(from, 1<<20)
		if err != nil {
			t.Fatal(taken, err)
		}
		taken += n
	}
	wantDegraded(t, j, unix.EROFS)
	if got := j.Perishable(); got != 300<<10 {
		t.Fatalf("%d bytes are perishable", got)
	}
	wantRest(t, j, 100<<10, data[100<<10:])
	if err := j.Ack(Cursor{Offset: 600 << 10}); !errors.Is(err, unix.EROFS) {
		t.Fatal(err)
	}
	if got := j.Allocated(); got > 100<<10 {
		t.Fatalf("%d bytes are allocated although all are acked", got)
	}
	if err := j.SetAbout([]byte("other")); !errors.Is(err, unix.EROFS) {
		t.Fatal(err)
	}
	if err := j.Reject([]byte("{}")); !errors.Is(err, unix.EROFS) {
		t.Fatal(err)
	}
	if err := j.Remove(); !errors.Is(err, unix.EROFS) {
		t.Fatal(err)
	}
}

// TestIndexOfArrivalsGoesOnInMemory: otherwise lines without a time of their own would get the time
// at which the disk failed.
func TestIndexOfArrivalsGoesOnInMemory(t *testing.T) {
	j := newPipe(t, openFolder(t), "times", Options{})
	for i := range int64(1000) {
		j.arr.put(i*10, 1_000_000+i*200)
	}
	good := j.arr.f
	defer good.Close()
	j.arr.f = unwritable(t, filepath.Join(j.Path(), arrivalsName))
	for i := int64(1000); i < 20_000; i++ {
		j.arr.put(i*10, 1_000_000+i*200)
	}
	for _, step := range []int64{1, 7, -1} {
		for i := int64(0); i < 20_000; i += max(step, -step) {
			at := i
			if step < 0 {
				at = 19_999 - i
			}
			if got := j.ArrivalAt(at*10 + 5); got != 1_000_000+at*200 {
				t.Fatalf("byte %d arrived at %d", at*10+5, got)
			}
			if step < 0 {
				i += 400
			}
		}
	}
	if got := j.arr.latest(); got != 199_990 {
		t.Fatal(got)
	}
	j.ArrivalAt(199_999)
	j.arr.free(150_000)
	if got := j.ArrivalAt(150_005); got != 1_000_000+15_000*200 {
		t.Fatal(got)
	}
	if blocks, _, err := disk.Blocks(j.arr.memory.Load().f); err != nil || blocks > 160<<10 {
		t.Fatalf("the index takes %d bytes in memory (%v): nothing was freed", blocks, err)
	}
}

// TestOutputInARemovedFolder: somebody removes the folder of an Output. The command goes on
// writing, its bytes are read, and the acked ones are freed. Otherwise the command would stay
// stopped for ever.
func TestOutputInARemovedFolder(t *testing.T) {
	j, w := newOutput(t, openFolder(t), "orphan", Options{})
	if !j.PunchesHoles() {
		t.Skip("NOT TESTED: this file system punches no holes")
	}
	data := random(24, 4<<20)
	if _, err := w.Write(data[:1<<20]); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(j.Path()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data[1<<20:]); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Reserve(1 << 20); err != nil {
		t.Fatal(err)
	}
	wantRest(t, j, 0, data)
	ack(t, j, 3<<20, "")
	if got := j.Allocated(); got > 3<<20 {
		t.Fatalf("%d bytes are allocated although 3 MiB are acked", got)
	}
	wantRest(t, j, 3<<20, data[3<<20:])
	if got := j.Perishable(); got != 1<<20 || !j.Gone() {
		t.Fatal(got)
	}
	if writer, known := j.HasWriter(); known && !writer {
		t.Fatal("HasWriter does not see the writer")
	}
	if err := j.End(); err != nil {
		t.Fatal(err)
	}
	ack(t, j, 4<<20, "")
	if err := j.Remove(); err != nil {
		t.Fatal(err)
	}
}

// TestNewInputsWhenTheFolderIsGone checks that new inputs are kept in memory if the folder is gone
// and had inputs before. If it never had one, its path is wrong.
func TestNewInputsWhenTheFolderIsGone(t *testing.T) {
	f := openFolder(t)
	if err := os.RemoveAll(f.Path()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.NewPipe("first", nil, Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	f = openFolder(t)
	newPipe(t, f, "first", Options{})
	path := filepath.Join(t.TempDir(), "events.jsonl")
	if err := os.WriteFile(path, []byte("a line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(f.Path()); err != nil {
		t.Fatal(err)
	}
	j := newPipe(t, f, "second", Options{})
	if !errors.Is(j.Degraded(), os.ErrNotExist) || j.Path() != "" || !strings.Contains(j.Degraded().Error(), f.Path()) {
		t.Fatal(j.Degraded())
	}
	if n, err := j.Write(make([]byte, 65<<20)); n != defaultMemory || !errors.Is(err, ErrFull) {
		t.Fatal(n, err)
	}
	if _, err := f.NewPipe("second", nil, Options{}); !errors.Is(err, ErrExists) {
		t.Fatal(err)
	}
	followed, err := f.Follow("third", path, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if followed.Degraded() == nil || followed.Perishable() != 0 {
		t.Fatal(followed.Degraded(), followed.Perishable())
	}
	wantRest(t, followed, 0, []byte("a line\n"))
	ack(t, followed, 7, "")
	if err := errors.Join(followed.StopFollowing(), followed.Remove()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.NewOutput("fourth", nil, Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

// TestFollowedFileWithoutItsCursor checks that a followed file is still read after the folder with
// its cursor was removed.
func TestFollowedFileWithoutItsCursor(t *testing.T) {
	f, path := openFolder(t), filepath.Join(t.TempDir(), "events.jsonl")
	if err := os.WriteFile(path, []byte("one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := f.Follow("followed", path, nil, Options{Sync: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	ack(t, j, 4, "")
	if err := os.RemoveAll(f.Path()); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0) // os.WriteFile would truncate it, which the watcher may see
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString("two\n"); err != nil {
		t.Fatal(err)
	}
	wantRest(t, j, 4, []byte("two\n"))
	ack(t, j, 8, "")
	if err := errors.Join(j.StopFollowing(), j.Remove()); err != nil {
		t.Fatal(err)
	}
}

// TestRemovedFolderTakenByAnother: somebody removes the folder, and another process follows the
// same file there, with the same id. The first owner must not remove the second one's input.
func TestRemovedFolderTakenByAnother(t *testing.T) {
	f := openFolder(t)
	path := filepath.Join(t.TempDir(), "followed")
	if err := os.WriteFile(path, []byte("a line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	first, err := f.Follow("same", path, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if first.Gone() {
		t.Fatal("Gone is true for a new input")
	}
	if err := os.RemoveAll(f.Path()); err != nil {
		t.Fatal(err)
	}
	other, err := Open(f.Path())
	if err != nil {
		t.Fatal(err)
	}
	second, err := other.Follow("same", path, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ack(t, second, 7, "state")
	if !first.Gone() || second.Gone() {
		t.Fatal(first.Gone(), second.Gone())
	}
	if err := first.Remove(); err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if j := recoverAs[*File](t, other, "same"); j.Cursor().Offset != 7 {
		t.Fatal(j.Cursor(), j.Fallback())
	}
}
