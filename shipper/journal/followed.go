package journal

// This file reads a followed file, as the source of a File.

import (
	"perstack-shipper/shipper/disk"
)

// followedFile is a file of somebody else, which is only read. The input ends when the file is
// truncated or rewritten.
type followedFile struct {
	grownFile

	isTruncated bool // it was truncated or rewritten, and so is over; mu guards it
}

// start begins reading at off, an offset that was acked before. mark is the mark of the bytes
// before off at that time, or 0 if it is not known. Bytes up to latest are known to have been
// there. another says that the file is not the one that was followed before, whatever it holds.
func (f *followedFile) start(off int64, mark uint32, latest int64, another bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	size, err := disk.Size(f.f)
	if err != nil {
		return err
	}
	f.seen, f.readTo = size, off
	if least := max(off, latest); another || size < least || mark != 0 && mark != followedMark(f.f, off) {
		f.seen = least
		f.truncated()
		return nil
	}
	f.sample = f.before(off)
	return nil
}

// look notices growth and truncation. f.mu is held.
func (f *followedFile) look() {
	switch end, ok := f.measure(); {
	case !ok || end == f.seen:
	case end < f.seen || !f.sampleIsThere():
		f.truncated()
	default:
		f.grow(end)
	}
}

// truncated ends the input because the file was truncated or rewritten. f.mu is held.
func (f *followedFile) truncated() {
	f.over, f.isTruncated = true, true
	f.bell.ring()
}

// finish makes the bytes in the file now all that is wanted. f.mu is held.
func (f *followedFile) finish() {
	f.look()
	f.end()
}

func (f *followedFile) poll() fileState {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.look()
	return fileState{seen: f.seen, over: f.over}
}

func (f *followedFile) readAt(b []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, f.errClosed()
	}
	if off >= f.seen {
		f.look()
	}
	if f.isTruncated {
		return 0, f.truncatedError(off)
	}
	if off >= f.seen || len(b) == 0 {
		return 0, nil
	}
	most, err := f.skipHole(off, int(min(int64(len(b)), f.seen-off)))
	if err != nil || most == 0 {
		return 0, err
	}
	n, err := f.read(b[:most], off)
	if err != nil {
		return 0, err
	}
	if n < most || !f.sampleIsThere() { // it was truncated before or during this read
		f.truncated()
		return 0, f.truncatedError(off)
	}
	f.keepSample(b[:n], off)
	return n, nil
}

func (f *followedFile) truncatedError(off int64) error {
	return &TruncatedError{ID: f.id, Path: f.path, At: off, Lost: max(0, f.seen-off)}
}

func (f *followedFile) size() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.look()
	if f.isTruncated {
		return f.readTo
	}
	return f.seen
}

// noMark is never the mark of bytes that are there, so a restart notices the truncation again.
const noMark = 0xffffffff

func (f *followedFile) mark(off int64) uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.isTruncated || f.closed {
		return noMark
	}
	if !f.sampleIsThere() {
		f.truncated()
		return noMark
	}
	if off == 0 {
		return 0
	}
	return followedMark(f.f, off)
}

func (f *followedFile) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	if !f.over {
		f.look()
		f.recordSeen()
	}
	return f.closeFile()
}

// The file is not ours: it takes none of our space, we neither sync it nor give any of it back, and
// removing the input loses none of its bytes.

func (f *followedFile) unacked(int64) int64       { return 0 }
func (f *followedFile) perishable(int64) int64    { return 0 }
func (f *followedFile) overtaken(int64) *CutError { return nil }
func (f *followedFile) allocated() int64          { return 0 }
func (f *followedFile) free() error               { return nil }
func (f *followedFile) sync() error               { return nil }
