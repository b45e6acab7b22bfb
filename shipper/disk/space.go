package disk

import (
	"errors"
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// Blocks returns how many bytes f takes on disk and the block size of its file system.
func Blocks(f *os.File) (allocated, block int64, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, 0, fmt.Errorf("fstat %s: %w", f.Name(), err)
	}
	return int64(st.Blocks) * 512, int64(st.Blksize), nil // st_blocks counts 512 bytes: stat(2)
}

// Punches reports whether the file system of f frees the blocks of holes. f must be empty and open
// for writing; Punches leaves it two blocks long. It checks that a block was freed, because some
// file systems accept the call and do nothing.
func Punches(f *os.File, block int64) bool {
	if _, err := f.WriteAt(make([]byte, 2*block), 0); err != nil {
		return false
	}
	before, _, err := Blocks(f)
	if err != nil || Punch(f, 0, block) != nil {
		return false
	}
	after, _, err := Blocks(f)
	return err == nil && after < before
}

// FirstData returns the offset of the first byte behind the first hole of f. It returns 0 if there
// is no hole or the file system does not report holes.
func FirstData(f *os.File) int64 {
	size, err := Size(f)
	if err != nil {
		return 0
	}
	hole := NextHole(f, 0)
	if hole >= size { // the end of every file counts as a hole
		return 0
	}
	if data := NextData(f, hole, size); data > hole {
		return data
	}
	return 0
}

// Free returns how many bytes an unprivileged user may still write to the file system of f. known
// is false if the file system does not report it.
func Free(f *os.File) (free int64, known bool, err error) {
	var st unix.Statfs_t
	if err := retryEINTR(func() error { return unix.Fstatfs(int(f.Fd()), &st) }); err != nil {
		return 0, false, fmt.Errorf("statfs %s: %w", f.Name(), err)
	}
	// A file system without blocks, such as that of memfds, has no size.
	return int64(st.Bavail) * int64(st.Bsize), st.Blocks > 0, nil
}

// NextHole returns the offset of the first hole at or after off. It returns [math.MaxInt64] if
// there is none or the file system does not report holes.
func NextHole(f *os.File, off int64) int64 {
	hole, err := unix.Seek(int(f.Fd()), off, unix.SEEK_HOLE)
	if err != nil {
		return math.MaxInt64
	}
	return hole
}

// NextData returns the offset of the first byte at or after off that is not in a hole, or end if
// there is none. It returns off if the file system does not report holes.
func NextData(f *os.File, off, end int64) int64 {
	data, err := unix.Seek(int(f.Fd()), off, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) { // the rest is a hole
		return end
	}
	if err != nil {
		return off
	}
	return data
}

func retryEINTR(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
