package journal

// This file finds holes in a followed file.

import (
	"bytes"
	"fmt"
	"os"

	"go.uber.org/zap"

	"perstack-shipper/shipper/disk"
	"perstack-shipper/shipper/logfield"
)

// HoleError says that a followed file has a hole: bytes that nobody wrote. A writer leaves a hole
// if it goes on at its old offset after somebody has truncated the file. Skipping it loses nothing.
type HoleError struct {
	ID, Path string
	Gap
}

func (e *HoleError) Error() string {
	return fmt.Sprintf("input %s: %s has a hole from offset %d to %d, which is skipped and counts as a line of 0 parts: it was truncated while its writer kept its place; let the writer append (`>>`, O_APPEND), or rename the file",
		e.ID, e.Path, e.From, e.To)
}

// LogFields implements logfield.Named.
func (e *HoleError) LogFields() []zap.Field {
	return []zap.Field{logfield.Input(e.ID), logfield.Path(e.Path), logfield.Bytes(e.To - e.From)}
}

// skipHole returns how many of the n bytes from off on can be read before a hole, or a [*HoleError]
// if off is in one. It returns 0 if a hole is all there is so far, because a writer that extended
// its file to the final size has yet to fill it. f.mu is held.
//
// Zero bytes around a hole count as part of it, up to the end of the block, because file systems
// have no smaller holes. A hole that does not read as zeros is not one, whatever the file system
// says.
func (f *followedFile) skipHole(off int64, n int) (int, error) {
	hole := disk.NextHole(f.f, off)
	if hole >= min(f.seen, off+int64(n)+holeBlock) {
		return n, nil
	}
	from := hole - zerosBefore(f.f, hole, min(hole-off, holeBlock))
	if from > off {
		return int(min(int64(n), from-off)), nil
	}
	to := min(disk.NextData(f.f, hole, f.seen), f.seen)
	if to == f.seen && !f.over {
		if zerosFrom(f.f, off, min(off+holeBlock, f.seen)) <= hole {
			return n, nil
		}
		return 0, nil
	}
	zeros := zerosFrom(f.f, off, min(to+holeBlock, f.seen))
	switch {
	case zeros <= hole:
		return n, nil
	case zeros == f.seen && !f.over:
		return 0, nil
	}
	return 0, &HoleError{ID: f.id, Path: f.path, Gap: Gap{off, zeros}}
}

// holeBlock is larger than the blocks of any file system in use.
const holeBlock = 64 << 10

// zerosBefore counts the zeros directly before off, at most most.
func zerosBefore(f *os.File, off, most int64) int64 {
	b := make([]byte, most)
	if n, _ := f.ReadAt(b, off-most); int64(n) < most {
		return 0
	}
	return most - int64(len(bytes.TrimRight(b, "\x00")))
}

// zerosFrom returns the offset of the first byte from off on that is not zero, at most end.
func zerosFrom(f *os.File, off, end int64) int64 {
	b := make([]byte, min(holeBlock, end-off))
	for off < end {
		n, err := f.ReadAt(b[:min(int64(len(b)), end-off)], off)
		if rest := bytes.TrimLeft(b[:n], "\x00"); len(rest) > 0 {
			return off + int64(n-len(rest))
		}
		if off += int64(n); err != nil {
			break
		}
	}
	return off
}
