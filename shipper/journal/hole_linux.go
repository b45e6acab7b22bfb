package journal

import (
	"errors"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// nextHole is the offset of the first hole at or after off; a very large one where there is none,
// or the file system does not tell.
func nextHole(f *os.File, off int64) int64 {
	hole, err := unix.Seek(int(f.Fd()), off, unix.SEEK_HOLE)
	if err != nil {
		return math.MaxInt64
	}
	return hole
}

// nextData is the offset of the first byte at or after off that is in no hole; end where there is
// none.
func nextData(f *os.File, off, end int64) int64 {
	data, err := unix.Seek(int(f.Fd()), off, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return end
	}
	if err != nil {
		return off
	}
	return data
}
