package journal

// A disk that fails under way: somebody removes the folder, or the file system becomes read-only or
// answers EIO. Whoever writes the input must neither wait for that to pass nor die of it, so a Pipe
// goes on in memory. It remains one list of segments, read and acked in order, wherever their files
// are. It does not return to the disk: what failed once is no place for bytes that must not be
// lost, and the next start tries the disk anew.
//
// The memory could be a second, ordinary input that begins where the first one ends. That would get
// rid of the mixed list. But it would cut in two the line that is being written, and end a job's
// story in one input to continue it in another, whose ids and digest know nothing of the first and
// which needs a seal of its own. One input in two places costs no more than what is in this file.

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

// reclaimable is the offset up to which no segment is needed. When the disk has failed, the cursor
// may stand still: then what is acked goes all the same, because memory is small, and the files
// that a start at that cursor would need stay where they are.
func (p *pipe) reclaimable() int64 {
	if p.failure.Load() != nil {
		return p.off.delivered()
	}
	return p.off.reclaimable()
}

// reopens reports whether a segment that is closed can be opened again. p.mu is held.
func (p *pipe) reopens(s *segment) bool { return p.failure.Load() == nil || s.inMemory() }

// noteAck remembers why acked bytes could not be given back, or that they could. A lack of room
// passes by itself.
func (p *pipe) noteAck(err error) {
	if err == nil || errors.Is(err, ErrFull) || disk.IsFull(err) {
		p.lastFreeErr.Store(nil)
		return
	}
	p.lastFreeErr.Store(&err)
}

// failing reports whether err, of a write, means that the disk has failed: it is not just full, or
// it is full and remains so because nothing can be given back.
func (p *pipe) failing(err error) bool {
	switch {
	case err == nil, !disk.HasMemfds, p.st.dir() == "", p.failure.Load() != nil:
		return false
	case errors.Is(err, io.EOF), errors.Is(err, ErrNothing), errors.Is(err, errors.ErrUnsupported): // of what is read, not of the disk
		return false
	case errors.Is(err, ErrFull):
		return p.lastFreeErr.Load() != nil
	}
	return true
}

// toMemory makes a new active segment in memory. If there is no memory or no descriptor either, the
// writer waits as it does on a full disk.
func (p *pipe) toMemory(why error) error {
	if ill := p.lastFreeErr.Load(); ill != nil && errors.Is(why, ErrFull) {
		why = *ill
	}
	fell := &MemoryError{ID: p.id, Kind: KindPipe, Dir: p.st.dir(), Err: cause(why), Most: defaultMemory}
	if p.maxBytes > 0 {
		fell.Most = min(fell.Most, p.maxBytes)
	}
	p.place = newMemoryStore()
	p.failure.Store(fell) // before the list changes: from now on no file of the disk is closed that is needed
	if err := p.roll(p.bytes.Load()); err != nil {
		p.failure.Store(nil)
		p.place = p.st
		return fmt.Errorf("input %s: %w: neither on the disk (%w) nor in memory (%w)", p.id, ErrFull, why, err)
	}
	p.segmentBytes = min(p.segmentBytes, max(fell.Most/segmentsPerLimit, minSegmentBytes))
	_ = p.free() // what is acked of the disk's segments need not be counted any more; it cannot fail now
	return nil
}

// cause is what the system said, without what was added to it on the way up.
func cause(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e
	}
	if no, ok := errors.AsType[syscall.Errno](err); ok {
		return no
	}
	return err
}
