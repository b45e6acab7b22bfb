package journal

// This file decides whether a file is the one that was followed: its identity decides, or else the
// bytes that were read from it.

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

// sameness is what its identity alone says about a file.
type sameness int

const (
	isAnother sameness = iota
	mayBeSame          // the bytes decide
	isSame
)

// compare tells whether f is the file that the header describes. An inode number is reused after
// its file was deleted, often at once, but the birth time differs. On some file systems the device
// number changes with each mount, so an equal one proves that files are the same, and a different
// one proves nothing.
func (h *header) compare(f *os.File, who disk.Identity) sameness {
	if h.Ino == 0 && h.Dev == 0 {
		return mayBeSame // the header was lost
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

// errIsAnother means that the file at the path is not the one that was followed.
var errIsAnother = errors.New("another file has taken its place")

// findFollowed opens the followed file at its path, or under a new name in the same folder. It
// returns errIsAnother if it finds only another file at the path.
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

// markBytes is how many acked bytes the mark of a followed file's cursor covers: that many at the
// beginning of the file, and that many before the cursor. Lines without times repeat themselves, so
// a smaller sample could match another file.
const markBytes = 16 << 10

var markBuffers = sync.Pool{New: func() any { return new([markBytes]byte) }}

// followedMark computes the mark of a followed file at off.
func followedMark(f *os.File, off int64) uint32 {
	buf := markBuffers.Get().(*[markBytes]byte)
	defer markBuffers.Put(buf)
	b := buf[:min(off, markBytes)]
	sum := uint32(0)
	for _, from := range [...]int64{0, off - int64(len(b))} {
		clear(b) // bytes that cannot be read count as zeros
		_, _ = f.ReadAt(b, from)
		sum = crc32.Update(sum, castagnoli, b)
	}
	return max(1, sum)
}

// sameBytes reports whether the bytes before off match the mark.
func sameBytes(f *os.File, off int64, mark uint32) bool {
	if off == 0 || mark == 0 {
		return true // nothing was acked, so all of it is shipped
	}
	size, err := disk.Size(f)
	return err == nil && size >= off && followedMark(f, off) == mark
}

// notThere returns the error for a followed file that is gone, and whose path names another file.
func notThere(path string, off int64) error {
	return fmt.Errorf("%s: %w: %w; the bytes that it had after offset %d cannot be shipped", path, errIsAnother, fs.ErrNotExist, off)
}
