package journal

// This file is for a disk that fails while it is in use: somebody deletes the folder, or the file
// system becomes read-only or returns EIO. The program that writes the input must neither wait for
// the disk nor die, so a Pipe goes on in memory. It remains one list of segments, read and acked in
// order, wherever their files are. It does not return to the disk: a disk that has failed once is
// no place for bytes that must not be lost, and the next start tries it again.
//
// The memory could be a second, ordinary input that begins where the first one ends, which would
// get rid of the mixed list. But that would cut in two the line being written. It would also end a
// job in one input and continue it in another, whose ids and digest know nothing about the first
// and which needs a seal of its own. One input in two places costs no more than this file.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"perstack-shipper/shipper/disk"
)

func (p *pipe) degraded() *MemoryError { return p.failure.Load() }

func (p *pipe) perishable(acked int64) (sum int64) {
	if p.st.dir() == "" {
		return max(0, p.bytes.Load()-acked)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, s := range p.segs {
		end := s.end
		if i == len(p.segs)-1 {
			end = p.bytes.Load()
		}
		if from := max(s.first, acked); from < end && (s.inMemory() || !has(s.in, s.name)) {
			sum += end - from
		}
	}
	return sum
}

func (s *segment) inMemory() bool { return s.in.dir() == "" }

// reclaimable returns the offset below which segments may be dropped. Normally that is what the
// persisted cursor covers. After the disk has failed, the cursor may not move any more, so it is
// what is acked, because memory is small. The files that a start at the old cursor would need stay
// where they are.
func (p *pipe) reclaimable() int64 {
	if p.failure.Load() != nil {
		return p.off.delivered()
	}
	return p.off.reclaimable()
}

// reopens reports whether a segment that is closed can be opened again. p.mu is held.
func (p *pipe) reopens(s *segment) bool { return p.failure.Load() == nil || s.inMemory() }

// noteAck remembers why acked bytes could not be freed, or that they could. A full disk is no such
// reason, because it passes.
func (p *pipe) noteAck(err error) {
	if err == nil || errors.Is(err, ErrFull) || disk.IsFull(err) {
		p.lastFreeErr.Store(nil)
		return
	}
	p.lastFreeErr.Store(&err)
}

// failing reports whether err, the error of a write, means that the disk has failed: either it is
// not just full, or it is full and remains so because nothing can be freed.
func (p *pipe) failing(err error) bool {
	switch {
	case err == nil, !disk.HasMemfds, p.st.dir() == "", p.failure.Load() != nil:
		return false
	// These are errors of the pipe being read, not of the disk.
	case errors.Is(err, io.EOF), errors.Is(err, ErrNothing), errors.Is(err, errors.ErrUnsupported):
		return false
	case errors.Is(err, ErrFull):
		return p.lastFreeErr.Load() != nil
	}
	return true
}

// toMemory makes a new active segment in memory. If there is no memory or no descriptor for it, the
// writer waits as it does on a full disk.
func (p *pipe) toMemory(why error) error {
	if freeErr := p.lastFreeErr.Load(); freeErr != nil && errors.Is(why, ErrFull) {
		why = *freeErr
	}
	failure := &MemoryError{ID: p.id, Kind: KindPipe, Dir: p.st.dir(), Err: cause(why), Most: defaultMemory}
	if p.maxBytes > 0 {
		failure.Most = min(failure.Most, p.maxBytes)
	}
	p.place = newMemoryStore()
	// Store the failure before the list changes: from now on, needed files on the disk stay open.
	p.failure.Store(failure)
	if err := p.roll(p.bytes.Load()); err != nil {
		p.failure.Store(nil)
		p.place = p.st
		return fmt.Errorf("input %s: %w: neither on the disk (%w) nor in memory (%w)", p.id, ErrFull, why, err)
	}
	p.segmentBytes = min(p.segmentBytes, max(failure.Most/segmentsPerLimit, minSegmentBytes))
	_ = p.free() // acked segments on the disk no longer count; free cannot fail now
	return nil
}

// cause returns the operating system's error, without the text that callers added.
func cause(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e
	}
	if no, ok := errors.AsType[syscall.Errno](err); ok {
		return no
	}
	return err
}
