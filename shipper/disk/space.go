package disk

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Blocks returns how many bytes f takes on disk and the block size of its file system.
func Blocks(f *os.File) (allocated, block int64, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, 0, fmt.Errorf("fstat %s: %w", f.Name(), err)
	}
	return int64(st.Blocks) * 512, int64(st.Blksize), nil // st_blocks always counts 512 bytes: stat(2)
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
