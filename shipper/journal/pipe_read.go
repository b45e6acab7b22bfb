package journal

// This file is the reading side of a Pipe: finding an offset in its segments, and finding the
// segments after a crash.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
	"strings"
	"syscall"
)

const (
	errFileTooBig = syscall.EFBIG

	// openSegments bounds the number of open segment files: the active one, and one for each of a
	// few readers. A long outage makes thousands of segments, and descriptors are scarce.
	openSegments = 6
)

func (p *pipe) readAt(b []byte, off int64) (int, error) {
	for {
		f, first, end, err := p.find(off)
		if err != nil || f == nil || len(b) == 0 {
			return 0, err
		}
		n, err := f.ReadAt(b[:min(int64(len(b)), end-off)], off-first)
		switch {
		case n > 0:
			return n, nil
		case errors.Is(err, os.ErrClosed): // closed in favour of another file, or freed: look again
		case errors.Is(err, io.EOF): // somebody truncated the file
			return 0, &GapError{p.id, Gap{off, end}}
		default:
			return 0, fmt.Errorf("input %s: read at %d: %w", p.id, off, err)
		}
	}
}

// find returns the open file with the byte at off, and the range [first, end) that is in it. It
// returns no file and no error at the end of the bytes written so far.
func (p *pipe) find(off int64) (f *os.File, first, end int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, 0, 0, fmt.Errorf("input %s: %w", p.id, os.ErrClosed)
	}
	size := p.bytes.Load()
	if off >= size {
		return nil, 0, 0, nil
	}
	i := sort.Search(len(p.segs), func(i int) bool { return p.segs[i].first > off }) - 1
	if i < 0 {
		return nil, 0, 0, p.before(off)
	}
	s := p.segs[i]
	end = s.end
	if s == p.segs[len(p.segs)-1] && !p.over.Load() {
		end = size // it is the active segment
	}
	if off >= end {
		to := size
		if i+1 < len(p.segs) {
			to = p.segs[i+1].first
		}
		return nil, 0, 0, &GapError{p.id, Gap{off, to}}
	}
	if s.f == nil {
		if s.f, err = s.in.open(s.name, false); err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return nil, 0, 0, &GapError{p.id, Gap{off, end}}
			}
			return nil, 0, 0, fmt.Errorf("input %s: %w", p.id, err)
		}
		p.opened++
		p.closeUnused(s)
	}
	p.reads++
	s.used = p.reads
	return s.f, s.first, end, nil
}

// before returns the reason why no segment has the byte at off: it was freed, or is missing.
func (p *pipe) before(off int64) error {
	if off < p.reclaimable() {
		return fmt.Errorf("input %s: offset %d is %w", p.id, off, ErrAcked)
	}
	if len(p.segs) == 0 {
		return &GapError{p.id, Gap{off, p.bytes.Load()}}
	}
	return &GapError{p.id, Gap{off, p.segs[0].first}}
}

// closeUnused closes the least recently read files while too many are open. It does not close that
// of except, the active one, and files that could not be opened again. p.mu is held.
func (p *pipe) closeUnused(except *segment) {
	for p.opened > openSegments {
		var oldest *segment
		for _, s := range p.segs[:len(p.segs)-1] {
			if s.f != nil && s != except && p.reopens(s) && (oldest == nil || s.used < oldest.used) {
				oldest = s
			}
		}
		if oldest == nil {
			return
		}
		oldest.f.Close() // it cannot lose bytes: write(2) has reported every failure
		oldest.f = nil
		p.opened--
	}
}

// checkCursor sets fallback if the cursor is not within the segments.
func (j *Pipe) checkCursor(p *pipe) {
	off := j.found.Offset
	switch {
	case len(p.segs) == 0:
		j.fallback = fmt.Sprintf("the cursor is at %d, but %s has no segments", off, j.st.dir())
	case off < p.segs[0].first:
		j.fallback = fmt.Sprintf("the cursor is at %d, before the first byte in the journal, %d: the %d bytes between were acked and the newer cursor was lost, or they are missing",
			off, p.segs[0].first, p.segs[0].first-off)
	case off > p.segs[len(p.segs)-1].end:
		j.fallback = fmt.Sprintf("the cursor is at %d, after the last byte in the journal, %d: nothing is left to ship", off, p.segs[len(p.segs)-1].end)
	}
}

// findSegments lists the segments of a recovered input, whose bytes end no earlier than latest, the
// last offset in the index of arrivals. Segments that end before acked, left by a crash between
// writing the cursor and deleting them, are deleted at the next ack. findSegments adds everything
// that is wrong to damage.
func (p *pipe) findSegments(acked, latest int64, damage *DamageError) error {
	files, err := p.st.list()
	if err != nil {
		return err
	}
	for _, file := range files {
		first, ok := offsetOf(file.name, segmentSuffix)
		switch {
		case !ok && isOurs(file):
		case !ok || !file.regular:
			damage.Foreign = append(damage.Foreign, file.name)
		case first > maxOffset-file.size:
			damage.Foreign = append(damage.Foreign, file.name)
		default:
			p.segs = append(p.segs, &segment{first: first, name: file.name, in: p.st, end: first + file.size, synced: first})
		}
	}
	slices.SortFunc(p.segs, func(a, b *segment) int { return int(min(1, max(-1, a.first-b.first))) })
	p.checkSegments(acked, latest, damage)
	return nil
}

// unknownOffset is the offset of a lost cursor.
const unknownOffset = -1

// maxOffset is larger than any input. A name with a larger offset is not ours, and adding to it
// could overflow.
const maxOffset = 1 << 60

// isOurs reports whether file is one of the input's files, other than those with its bytes, and of
// the right type.
func isOurs(file storedFile) bool {
	name := strings.TrimSuffix(file.name, newSuffix)
	switch name {
	case lockName, inputName, aboutName, arrivalsName, rejectsName, probeName, cursorNames[0], cursorNames[1]:
		return file.regular
	case fifoName:
		return !file.regular
	}
	return false
}

// checkSegments checks that the segments are contiguous from acked to the end.
func (p *pipe) checkSegments(acked, latest int64, damage *DamageError) {
	if acked == unknownOffset {
		acked = 0
		if len(p.segs) > 0 {
			acked = p.segs[0].first
		}
	}
	if len(p.segs) == 0 {
		damage.note("there are no segments, so the number of bytes after offset %d is not known (the index of arrivals has %d)", acked, max(0, latest-acked))
		p.bytes.Store(max(acked, latest)) // acked bytes existed once
		if latest > acked {
			damage.Gaps = append(damage.Gaps, Gap{acked, latest})
		}
		return
	}
	at := acked
	for i, s := range p.segs {
		if s.first > at {
			damage.Gaps = append(damage.Gaps, Gap{at, s.first})
		}
		if i+1 < len(p.segs) && s.end > p.segs[i+1].first {
			next := p.segs[i+1].first
			damage.note("%s has %d bytes that belong in %s; they are not read", s.name, s.end-next, p.segs[i+1].name)
			s.end = next
		}
		at = max(at, s.end)
		p.count(s, s.end-s.first)
	}
	last := p.segs[len(p.segs)-1].end
	if latest > last && latest > acked { // bytes that had arrived are missing
		damage.Gaps = append(damage.Gaps, Gap{max(last, acked), latest})
	}
	p.bytes.Store(max(last, latest, acked))
}
