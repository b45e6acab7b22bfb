package disk

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Blocks returns how many bytes f takes on disk, and the block size of its file system.
func Blocks(f *os.File) (allocated, block int64, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, 0, fmt.Errorf("fstat %s: %w", f.Name(), err)
	}
	return int64(st.Blocks) * 512, int64(st.Blksize), nil // st_blocks always counts 512 bytes: stat(2)
}

// Punches reports whether the file system of f, an empty file open for writing, gives back what is
// punched out. It looks whether blocks came back, because some file systems accept the call and do
// nothing. It leaves two blocks in f.
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

// FirstData returns the offset of the first byte behind the first hole of f. It returns 0 where
// there is no hole or the file system does not tell.
func FirstData(f *os.File) int64 {
	size, err := Size(f)
	if err != nil {
		return 0
	}
	hole := NextHole(f, 0)
	if hole >= size { // every file has one at its end
		return 0
	}
	if data := NextData(f, hole, size); data > hole {
		return data
	}
	return 0
}
