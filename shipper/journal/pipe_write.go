package journal

// This file is the writing side of a Pipe: writing bytes to segments, the limit, and making room.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"perstack-shipper/shipper/disk"
)

// punchBlock is a multiple of the blocks that file systems can free. Less than one of their blocks
// is not freed.
const punchBlock = 4 << 10

// roomRetry is the longest that WaitRoom waits, because somebody else may free space on the disk.
const roomRetry = time.Second

// Write appends p with one write(2) and makes it readable. Only the writing goroutine may call it,
// before End. It returns how many bytes it took: all of p, or fewer and an error. [ErrFull] means
// that the limit is reached or the disk is full: call WaitRoom, then write the rest. The limit is
// checked before bytes are written and never exceeded. If the disk fails in another way, Write goes
// on in memory where the system has memfds: see [Journal.Degraded].
func (j *Pipe) Write(p []byte) (int, error) {
	return j.pipe.write(p)
}

// WaitRoom waits after ErrFull until acks have freed space, or for a second, because others may
// free space on the disk. Then call Write again. It returns ctx's error if ctx ends first.
func (j *Pipe) WaitRoom(ctx context.Context) error {
	timer := time.NewTimer(roomRetry)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-j.pipe.freed:
	case <-timer.C:
	}
	return nil
}

// End ends the input: no more bytes will come.
func (j *Pipe) End() error {
	j.pipe.writing.Lock()
	defer j.pipe.writing.Unlock()
	j.pipe.end()
	return nil
}

// ErrNothing means that the pipe is empty now. Wait for bytes.
var ErrNothing = disk.ErrPipeEmpty

// Take moves at most most bytes from the pipe with the descriptor from to the journal. The bytes
// are always in one or the other. With a read and a Write they would be in this process in between,
// for as long as the journal is full, and a kill would lose them. Take does not block. Only the
// writing goroutine may call it, before End. Its errors are:
//
//   - [io.EOF]: no writer is left.
//   - [ErrNothing]: the pipe is empty now.
//   - [ErrFull]: as for Write.
//   - [errors.ErrUnsupported], at the first call or when the disk has failed: from is not a pipe,
//     or the file system cannot do this. Use read and Write instead.
func (j *Pipe) Take(from int, most int) (int, error) {
	return j.pipe.take(from, int64(most))
}

func (p *pipe) take(from int, most int64) (int, error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	if p.over.Load() || p.active == nil {
		return 0, fmt.Errorf("input %s: write after its end: %w", p.id, os.ErrClosed)
	}
	p.arr.note(p.bytes.Load(), time.Now().UnixMilli())
	for {
		var why error // the error of put, which may be about the pipe and not the disk
		n, err := p.writeSome(most, func(fd int, off, most int64) (int, error) {
			n, err := disk.Splice(from, fd, off, most)
			if n == 0 && err == nil {
				err = io.EOF
			}
			why = err
			return n, err
		})
		switch {
		case n > 0:
			p.bell.ring()
			return n, nil
		case errors.Is(why, io.EOF), errors.Is(why, ErrNothing), errors.Is(why, errors.ErrUnsupported):
			return 0, why
		// Not only the disk failed, so the caller reads what cannot be spliced.
		case err != nil && p.failure.Load() != nil && !errors.Is(err, ErrFull):
			return 0, fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
		case err != nil:
			return 0, err
		}
		// writeSome has made room, or switched to memory: try again.
	}
}

func (p *pipe) write(b []byte) (n int, err error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	if p.over.Load() || p.active == nil {
		return 0, fmt.Errorf("input %s: write after its end: %w", p.id, os.ErrClosed)
	}
	if len(b) == 0 {
		return 0, nil
	}
	p.arr.note(p.bytes.Load(), time.Now().UnixMilli())
	for n < len(b) && err == nil {
		var took int
		took, err = p.writeSome(int64(len(b)-n), func(fd int, off, most int64) (int, error) { return pwrite(fd, b[n:][:most], off) })
		n += took
	}
	if n > 0 {
		p.bell.ring()
	}
	return n, err
}

// writeSome calls put to write up to want bytes to the active segment: at most most bytes, to the
// file fd at off. A segment may exceed its size by one write, so that each write is one write(2).
// Writes larger than a segment are split. If writeSome returns 0 and no error, it has made room or
// switched to memory: try again.
func (p *pipe) writeSome(want int64, put func(fd int, off, most int64) (int, error)) (int, error) {
	n, err := p.tryWrite(want, put)
	if n > 0 || !p.failing(err) {
		return n, err
	}
	return 0, p.toMemory(err)
}

func (p *pipe) tryWrite(want int64, put func(fd int, off, most int64) (int, error)) (int, error) {
	size := p.bytes.Load()
	if size-p.active.first >= p.segmentBytes {
		if err := p.roll(size); err != nil {
			return 0, p.noRoom(err)
		}
	}
	most := min(want, p.segmentBytes)
	room := p.room()
	if room < most && p.activeIsAcked(size) && p.release(size) == nil {
		room = p.room()
	}
	if room <= 0 {
		return 0, fmt.Errorf("input %s: %w: it has reached its limit of %s; room is freed as CloudWatch accepts lines; a higher limit gives more", p.id, ErrFull, p.limit())
	}
	n, err := put(p.active.fd, size-p.active.first, min(most, room))
	if n > 0 {
		p.count(p.active, int64(n))
		p.bytes.Store(size + int64(n))
	}
	switch {
	// The caller tries to write the rest, and meets the error again if it lasts.
	case err == nil || n > 0:
		return n, nil
	case disk.IsFull(err) && p.newSegmentHelps(err, size) && p.release(size) == nil:
		return 0, nil
	case disk.IsFull(err) && p.punch():
		return 0, nil
	default:
		return 0, p.noRoom(err)
	}
}

// room returns how many bytes may be written before a limit is reached.
func (p *pipe) room() int64 {
	room := int64(math.MaxInt64)
	if p.maxBytes > 0 {
		room = p.maxBytes - p.total.Load()
	}
	if failure := p.failure.Load(); failure != nil {
		room = min(room, failure.Most-p.memory.Load())
	}
	return room
}

// limit describes the limit that is reached, for a message.
func (p *pipe) limit() string {
	if failure := p.failure.Load(); failure != nil && failure.Most <= p.memory.Load() {
		return fmt.Sprintf("%d bytes in memory", failure.Most)
	}
	return fmt.Sprintf("%d bytes", p.maxBytes)
}

// count adds n bytes to the segment's and the pipe's sizes.
func (p *pipe) count(s *segment, n int64) {
	p.total.Add(n)
	if s.inMemory() {
		p.memory.Add(n)
	}
}

// newSegmentHelps reports whether a new segment could help when the active one has no room. It does
// if all of the active one is acked, because then that can be deleted, or if its file is as large
// as files may be (EFBIG).
func (p *pipe) newSegmentHelps(err error, size int64) bool {
	return p.activeIsAcked(size) || errors.Is(err, errFileTooBig) && size > p.active.first
}

// activeIsAcked reports whether the active segment has bytes and all of them are reclaimable.
func (p *pipe) activeIsAcked(size int64) bool {
	return size > p.active.first && p.reclaimable() >= size
}

// release rolls to a new segment and frees the acked ones.
func (p *pipe) release(size int64) error {
	err := p.roll(size)
	if err == nil {
		err = p.free()
	}
	if err != nil {
		p.noteAck(err)
	}
	return err
}

// punch frees the acked bytes of the first segment. That segment cannot be deleted while the line
// at its end is incomplete, and the rest of that line needs the room. It reports whether it freed
// anything. On a file system without holes it frees nothing.
func (p *pipe) punch() bool {
	p.freeMu.Lock()
	defer p.freeMu.Unlock()
	p.mu.Lock()
	s := p.segs[0]
	p.mu.Unlock()
	from, to := max(s.punched, s.first), p.off.reclaimable()
	if s.inMemory() {
		to = p.reclaimable()
	}
	to -= (to - s.first) % punchBlock
	if to <= from {
		return false
	}
	f, err := s.in.open(s.name, true)
	if err != nil {
		return false
	}
	defer f.Close()
	if err := disk.Punch(f, from-s.first, to-from); err != nil {
		return false
	}
	s.punched = to
	return true
}

func (p *pipe) noRoom(err error) error {
	if disk.IsFull(err) {
		return fmt.Errorf("input %s: %w: %w; room is freed as CloudWatch accepts lines, or free some space on the disk of %s", p.id, ErrFull, err, p.st.dir())
	}
	return fmt.Errorf("input %s: write: %w; check %s", p.id, err, p.st.dir())
}

// roll makes a new active segment that starts at size. It makes the new file before the old one can
// be deleted, so there is always at least one: a folder without segments is damaged.
func (p *pipe) roll(size int64) error {
	s, err := newSegment(p.place, size)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.active.end = size
	p.segs = append(p.segs, s)
	p.opened++
	p.closeUnused(s)
	p.mu.Unlock()
	p.active = s
	return nil
}

// pwrite returns how many bytes it wrote even if it fails. [os.File.WriteAt] returns 0 if the disk
// fills up halfway, and the next segment would then start before this one ends.
func pwrite(fd int, b []byte, off int64) (n int, err error) {
	for n < len(b) {
		m, err := unix.Pwrite(fd, b[n:], off+int64(n))
		n += max(0, m)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return n, err
		case m == 0:
			return n, io.ErrShortWrite
		}
	}
	return n, nil
}

// end ends the pipe. It records the final size as the last entry of the index of arrivals, so that
// a recovery can tell if bytes were cut off. p.writing is held.
func (p *pipe) end() {
	if p.over.Load() {
		return
	}
	size := p.bytes.Load()
	p.arr.put(size, time.Now().UnixMilli())
	if p.active != nil {
		p.mu.Lock()
		p.active.end = size
		p.mu.Unlock()
	}
	p.over.Store(true)
	p.bell.ring()
}

// free deletes the segments that nobody needs, but never the last one, which is active: the writer
// appends another one first, in release. A segment that cannot be deleted stays on the list, and
// the next call tries again. After the disk has failed, the segment is taken off the list, which
// would otherwise keep the segments in memory behind it.
func (p *pipe) free() error {
	p.freeMu.Lock()
	defer p.freeMu.Unlock()
	for {
		p.mu.Lock()
		var s *segment
		if len(p.segs) > 1 && p.segs[0].end <= p.reclaimable() {
			s = p.segs[0]
		}
		p.mu.Unlock()
		if s == nil {
			break
		}
		// Keep any other segment: a start at the cursor on the disk needs it.
		if s.inMemory() || s.end <= p.off.reclaimable() {
			if err := s.in.remove(s.name); err != nil && !errors.Is(err, os.ErrNotExist) && p.failure.Load() == nil {
				return err
			}
		}
		p.mu.Lock()
		p.segs = p.segs[1:]
		f := s.f
		if f != nil {
			s.f = nil
			p.opened--
		}
		p.mu.Unlock()
		p.count(s, s.first-s.end)
		if f != nil { // only this frees the blocks; Close waits for a read in progress
			if err := f.Close(); err != nil && p.failure.Load() == nil {
				return err
			}
		}
	}
	select {
	case p.freed <- struct{}{}:
	default:
	}
	return nil
}
