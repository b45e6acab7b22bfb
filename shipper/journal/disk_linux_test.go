//go:build !portable

package journal

// These tests fill disks: a small tmpfs, which only root can mount.

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"perstack-shipper/shipper/testkit/await"
)

// smallDisk returns a folder on a disk of the given size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("NOT TESTED: mounting a tmpfs of %s is refused here (%v); run as root, or with CAP_SYS_ADMIN", size, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error("unmount:", err)
		}
	})
	return dir
}

// fill uses up all the space on a disk.
func fill(t *testing.T, dir string) (ballast string) {
	t.Helper()
	ballast = filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	return ballast
}

// TestPipeLargerThanTheDisk sends more bytes through the journal than fit on the disk. The writer
// waits for acks, the cursor advances, nothing is lost and nothing deadlocks.
func TestPipeLargerThanTheDisk(t *testing.T) {
	for _, size := range []int64{0, 64 << 20} { // the default, and one that is much too large for the disk
		f, err := Open(filepath.Join(smallDisk(t, "16m"), "journal"))
		if err != nil {
			t.Fatal(err)
		}
		j := newPipe(t, f, "large", Options{SegmentBytes: size})
		const total = 50 << 20
		chunk := make([]byte, 64<<10)
		patterned(0, chunk)
		pattern := bytes.Repeat(chunk, 3) // longer than a read from any place in chunk
		fulls := 0
		var writer sync.WaitGroup
		writer.Go(func() {
			defer j.End()
			for sent := 0; sent < total; {
				n, err := j.Write(chunk[sent%len(chunk):])
				sent += n
				if errors.Is(err, ErrFull) {
					fulls++
					err = j.WaitRoom(t.Context())
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
		var off int64
		buf := make([]byte, 100_000)
		state := random(12, 90_000)
		for {
			ended := j.Ended()
			n, err := j.ReadAt(buf, off)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 && ended {
				break
			}
			if n == 0 {
				await.Receive(t, "more to read", j.Changed())
				continue
			}
			if !bytes.HasPrefix(pattern[off%int64(len(chunk)):], buf[:n]) {
				t.Fatalf("wrong bytes in the %d from %d on", n, off)
			}
			off += int64(n)
			if err := j.Ack(Cursor{off, state[:off%int64(len(state))]}); err != nil && !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
		}
		await.Return(t, "the end of the writer", writer.Wait)
		if off != total {
			t.Fatalf("read %d bytes, want %d", off, total)
		}
		t.Logf("segments of %d bytes were asked for and of %d made; the journal was full %d times", size, j.pipe.segmentBytes, fulls)
		if err := j.Ack(Cursor{Offset: total}); err != nil {
			t.Fatal(err)
		}
		if err := j.Remove(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDiskFilledByOthers: other files fill the disk. Acks still persist, and the writer goes on
// when there is room.
func TestDiskFilledByOthers(t *testing.T) {
	disk := smallDisk(t, "4m")
	f, err := Open(filepath.Join(disk, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	j := newPipe(t, f, "squeezed", Options{})
	write(t, j, make([]byte, 100_000))
	ballast := fill(t, disk)
	data := make([]byte, 1<<20)
	n, err := j.Write(data)
	if !errors.Is(err, ErrFull) || !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "squeezed") {
		t.Fatal(n, err)
	}
	for i := range int64(10) {
		ack(t, j, 1000*(i+1), strings.Repeat("s", 3000))
	}
	if err := j.Reject([]byte(strings.Repeat("r", 8<<10))); !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	// When everything is acked, the partly filled segment is deleted. That makes room although the
	// ballast stays.
	ack(t, j, j.Size(), "")
	before := j.Size()
	m, err := j.Write(data)
	if m < 90_000 || !errors.Is(err, ErrFull) {
		t.Fatal("the space of acked bytes was not used:", m, err)
	}
	if got := j.Allocated(); got != int64(m) {
		t.Fatalf("%d bytes are allocated, want %d", got, m)
	}
	os.Remove(ballast)
	if err := j.WaitRoom(t.Context()); err != nil { // takes at most a second
		t.Fatal(err)
	}
	write(t, j, data[m:])
	j.Close()
	j = recoverAs[*Pipe](t, f, "squeezed")
	if j.Damage() != nil || j.Fallback() != "" || j.Cursor().Offset != before || j.Size() != before+1<<20 {
		t.Fatal(j.Damage(), j.Fallback(), j.Cursor().Offset, j.Size())
	}
}

func TestDiskFullAtTheStart(t *testing.T) {
	disk := smallDisk(t, "1m")
	f, err := Open(filepath.Join(disk, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	ballast := fill(t, disk)
	if _, err := f.NewPipe("late", nil, Options{}); !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	if _, _, err := f.NewOutput("late", nil, Options{}); !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	if left, err := f.Leftover(); err != nil || len(left) > 0 {
		t.Fatal(left, err)
	}
	if _, err := Open(filepath.Join(disk, "other")); !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	os.Remove(ballast)
	newPipe(t, f, "late", Options{})
}

func TestReadOnlyDisk(t *testing.T) {
	disk := smallDisk(t, "1m")
	if err := unix.Mount("tmpfs", disk, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, "size=1m"); err != nil {
		t.Skip("NOT TESTED: remounting is refused here:", err)
	}
	var want *UnwritableError
	if _, err := Open(disk); !errors.As(err, &want) {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(disk, "below")); !errors.As(err, &want) {
		t.Fatal(err)
	}
}

// TestDiskFullInTheMiddleOfALine: the disk fills up in the middle of a line, which is acked only
// when it is complete. The acked bytes before the line must make room for the rest of it.
func TestDiskFullInTheMiddleOfALine(t *testing.T) {
	for _, segment := range []int64{64 << 20, 5 << 20, 1<<20 + 1} { // one segment, or several and lines across them
		t.Run(fmt.Sprint(segment), func(t *testing.T) { diskFullInTheMiddleOfALine(t, segment) })
	}
}

func diskFullInTheMiddleOfALine(t *testing.T, segment int64) {
	f, err := Open(filepath.Join(smallDisk(t, "4m"), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	j := newPipe(t, f, "half", Options{SegmentBytes: segment})
	data := random(13, 20<<20)
	const line = 1 << 20
	sent, acked := 0, 0
	for sent < len(data) {
		n, err := j.Write(data[sent:])
		sent += n
		if err != nil && !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		whole := sent / line * line
		if n == 0 && whole == acked {
			t.Fatalf("the disk stays full with %d bytes, of which %d are acked", sent, acked)
		}
		got := make([]byte, whole-acked)
		for read := 0; read < len(got); {
			n, err := j.ReadAt(got[read:], int64(acked+read))
			if err != nil || n == 0 {
				t.Fatal(n, err)
			}
			read += n
		}
		if !bytes.Equal(got, data[acked:whole]) {
			t.Fatalf("wrong bytes between %d and %d", acked, whole)
		}
		acked = whole
		ack(t, j, int64(acked), "")
	}
}

// TestHeadroomOfASmallDisk checks that the command's headroom shrinks with the free space, and that
// reserved blocks remain the command's when somebody else fills the disk.
func TestHeadroomOfASmallDisk(t *testing.T) {
	disk := smallDisk(t, "8m")
	f, err := Open(filepath.Join(disk, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	j, w := newOutput(t, f, "output", Options{})
	if room, err := j.Headroom(); err != nil || room > 8<<20 || room < 7<<20 {
		t.Fatal(room, err)
	}
	ahead, err := j.Reserve(1 << 20)
	if err != nil || ahead != 1<<20 {
		t.Fatal(ahead, err)
	}
	fill(t, disk)
	room, err := j.Headroom()
	if err != nil || room != 1<<20 {
		t.Fatal(room, err)
	}
	if _, err := j.Reserve(2 << 20); !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	if n, err := w.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal("the command cannot use the reserved blocks:", n, err)
	}
	if room, err = j.Headroom(); err != nil || room != 0 {
		t.Fatal(room, err)
	}
	got, _ := readRest(t, j, 0)
	ack(t, j, int64(len(got)), "")
	if room, err = j.Headroom(); err != nil || room < 1<<20-64<<10 {
		t.Fatal("there is no room although bytes were acked:", room, err)
	}
}
