package journal

// What makes a followed file the one that it was: first its identity, then the bytes that were read
// of it.

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"perstack-shipper/shipper/disk"
)

// sameness is what identity alone says of a file and the one that was followed.
type sameness int

const (
	isAnother sameness = iota
	mayBeSame          // the bytes decide
	isSame
)

// compare tells whether f is the file of the header. An inode number is used again when its file is
// gone, often at once; the time of birth is not. On some file systems dev changes with each mount,
// so it proves sameness and not difference.
func (h *header) compare(f *os.File, who disk.Identity) sameness {
	if h.Ino == 0 && h.Dev == 0 {
		return mayBeSame // the record is lost
	}
	if who.Ino != h.Ino {
		return isAnother
	}
	switch born := disk.Birth(f); {
	case born != 0 && born == h.Born:
		return isSame
	case born != 0 && h.Born != 0:
		return isAnother
	case who.Dev == h.Dev:
		return isSame
	}
	return mayBeSame
}

// errIsAnother says that there is a file at the path, but not the one that was followed.
var errIsAnother = errors.New("another file has taken its place")

// findFollowed opens the followed file at its path, or where it was renamed to in the same folder.
// It returns errIsAnother if there is only another one at the path.
func findFollowed(h header) (f *os.File, is sameness, err error) {
	f, who, err := openFollowed(h.Path)
	if err == nil {
		if is = h.compare(f, who); is != isAnother {
			return f, is, nil
		}
		f.Close()
		err = errIsAnother
	}
	dir := filepath.Dir(h.Path)
	entries, derr := os.ReadDir(dir)
	if derr != nil || h.Ino == 0 {
		return nil, isAnother, err
	}
	for _, e := range entries {
		info, ierr := e.Info()
		if ierr != nil || !info.Mode().IsRegular() || disk.IdentityOf(info).Ino != h.Ino {
			continue
		}
		if f, who, ierr := openFollowed(filepath.Join(dir, e.Name())); ierr == nil {
			if is := h.compare(f, who); is != isAnother {
				return f, is, nil
			}
			f.Close()
		}
	}
	return nil, isAnother, err
}

// markBytes is how much of what was acked makes the mark of a followed file's cursor: that much of
// its beginning, and that much before the cursor. Lines without times repeat themselves, so a
// smaller sample would be found in another file, too.
const markBytes = 16 << 10

var markBuffers = sync.Pool{New: func() any { return new([markBytes]byte) }}

// followedMark is the mark of a followed file at off.
func followedMark(f *os.File, off int64) uint32 {
	buf := markBuffers.Get().(*[markBytes]byte)
	defer markBuffers.Put(buf)
	b := buf[:min(off, markBytes)]
	sum := uint32(0)
	for _, from := range [...]int64{0, off - int64(len(b))} {
		clear(b) // zeros where it cannot be read
		_, _ = f.ReadAt(b, from)
		sum = crc32.Update(sum, castagnoli, b)
	}
	return max(1, sum)
}

// sameBytes reports whether the bytes before off are those of the mark.
func sameBytes(f *os.File, off int64, mark uint32) bool {
	if off == 0 || mark == 0 {
		return true // nothing of it was acked: all of it is shipped
	}
	size, err := disk.Size(f)
	return err == nil && size >= off && followedMark(f, off) == mark
}

// notThere is the error that another file has the path of the followed one, which is gone.
func notThere(path string, off int64) error {
	return fmt.Errorf("%s: %w: %w; what it held after offset %d cannot be shipped", path, errIsAnother, fs.ErrNotExist, off)
}
