package follow

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/logfield"
)

// This file knows the copies that a rotation leaves: `cp app.log app-1.log; : >app.log`. The copy
// begins with the bytes that were shipped of the file that was cut. That is proved by their digest,
// and only what is more is shipped of the copy.

// mostOrigins bounds how many files are remembered that have ended.
const mostOrigins = 1000

// origin is a file that others may be copies of.
type origin struct {
	id    string // of its input
	path  string
	first string // the digest of its first line; "" where that is not known
	// proven: first is that of the lines that were shipped. The file may have been rewritten
	// between the look at its first line and the first read.
	proven bool
	in     *Input // nil: it has ended, and what follows is known
	file   *file  // nil: its input had ended when it was found

	bytes int64 // so many bytes from its beginning were shipped
	sum   []byte
	ids   batch.State // what the lines behind those depend on
}

// hasEnded reports whether nothing more of it will be shipped.
func (o *origin) hasEnded() bool {
	return o.in == nil || o.in.Journal.Ended() && o.in.paused.Load() == finished
}

// settle takes the digest of an origin that has ended, if it is known. It reports whether the
// origin is of no use.
func (o *origin) settle() (useless bool) {
	if o.in == nil || !o.hasEnded() {
		return false
	}
	p, closed := o.in.progress.Load(), o.in.closed.Load()
	if p == nil || p.offset < o.in.Journal.Size() && !closed {
		return closed
	}
	if !o.proven {
		o.first = ""
	}
	sum := p.sum()
	o.bytes, o.sum, o.in, o.file = p.offset, sum, nil, nil
	o.ids = p.state.Heir()
	return sum == nil
}

// sum is the digest of all bytes up to the offset; nil where some of them were not read, as of a
// copy or of a file with a hole.
func (p *progress) sum() []byte {
	if p.offset == 0 || p.state.Counts.Bytes != p.offset {
		return nil
	}
	sum, raw, err := p.state.Digest.Sums()
	if err != nil {
		return nil
	}
	if raw != nil {
		return raw
	}
	return sum
}

// remember makes an origin of an input whose file's first line is known.
func (s *Set) remember(in *Input, note Note, f *file) {
	s.origins = slices.DeleteFunc(s.origins, func(o *origin) bool { return o.id == in.Journal.ID() })
	if note.First != "" {
		// A file that is gone cannot be looked at again.
		s.origins = append(s.origins, &origin{id: in.Journal.ID(), path: note.Path, first: note.First, proven: f == nil, in: in, file: f})
	}
}

// learnFirst learns the first line of a file that began before that was complete.
func (s *Set) learnFirst(f *file) {
	_, first, err := journal.FileID(f.path)
	if err != nil || !isNow(f.path, f.who) {
		return // it is tried again when the file grows
	}
	f.note.First = first
	j := f.in.Journal
	if err := j.SetAbout(s.o.About(j.ID(), f.note, j.About())); err != nil {
		s.complain(err)
	}
	s.remember(f.in, f.note, f)
}

// settleOrigins takes the digests of those that have ended, and forgets the oldest when there are
// many.
func (s *Set) settleOrigins() {
	for _, o := range s.origins {
		o.prove()
	}
	s.origins = slices.DeleteFunc(s.origins, (*origin).settle)
	for n := len(s.origins) - mostOrigins; n > 0; n-- {
		i := slices.IndexFunc(s.origins, func(o *origin) bool { return o.in == nil })
		if i < 0 {
			return
		}
		s.origins = slices.Delete(s.origins, i, i+1)
	}
}

// copyOf finds the origin that f, which has the first line first, begins with. wait says that this
// is not known yet. What has its path is no copy, but has replaced it.
func (s *Set) copyOf(f *file, first string, now time.Time) (of *origin, wait bool) {
	s.settleOrigins()
	wait = now.Sub(f.grew) < s.o.Patience.Copy && s.mayTurnUp(f.path, first)
	for _, o := range slices.Backward(s.origins) {
		if o.first != first && o.first != "" || o.path == f.path || f.compared[o] < 0 {
			continue
		}
		still := now.Sub(f.grew)
		switch {
		case o.in == nil && f.size >= o.bytes:
			if bytes.Equal(sumOf(f.pin, o.bytes), o.sum) {
				return o, false
			}
			f.differs(o)
		case o.in == nil:
			wait = wait || still < s.o.Patience.Copy && !s.stopping // it may be being copied
		case o.hasEnded():
			wait = wait || still < s.o.Patience.Digest
		case s.stopping || still >= s.o.Patience.Copy: // it is shipped, for it may be another that only looks the same
		case f.maybeCopy(o):
			wait = true
		}
	}
	return nil, wait
}

// mayTurnUp reports whether an input of an earlier process, whose file began with the line first
// and is not the one at path, was not looked at yet.
func (s *Set) mayTurnUp(path, first string) bool {
	begins := func(p *parked) bool { return p.note.First == first && p.path != path }
	for _, dead := range s.dead {
		if slices.ContainsFunc(dead, begins) {
			return true
		}
	}
	return slices.ContainsFunc(s.parked, func(p *parked) bool { return p.size < 0 && begins(p) })
}

// maybeCopy reports whether f begins as the origin o does, of which more may come.
func (f *file) maybeCopy(o *origin) bool {
	if o.file == nil || o.file.pin == nil { // it is parked
		p := o.in.progress.Load()
		if p == nil || f.size < p.offset {
			return true
		}
		if sum := p.sum(); sum == nil || !bytes.Equal(sumOf(f.pin, p.offset), sum) {
			f.differs(o)
			return false
		}
		return true
	}
	var mine, theirs [64 << 10]byte
	for {
		from := f.compared[o]
		n, _ := f.pin.ReadAt(mine[:], from)
		m, _ := o.file.pin.ReadAt(theirs[:], from)
		n = min(n, m)
		if !bytes.Equal(mine[:n], theirs[:n]) {
			if o.rewritten() {
				return true
			}
			f.differs(o)
			return false
		}
		f.isSame(o, from+int64(n))
		if n < len(mine) {
			return true
		}
	}
}

// prove makes sure that the first line is that of what was shipped, once something was.
func (o *origin) prove() {
	if o.proven || o.in == nil || o.file == nil || o.file.pin == nil {
		return
	}
	p := o.in.progress.Load()
	if p == nil || p.offset == 0 {
		return
	}
	first, err := journal.FirstLine(o.file.pin)
	switch {
	case err != nil:
	case first == o.first:
		o.proven = true
	case !o.rewritten():
		o.first, o.proven = first, true
	}
}

// rewritten reports whether the file of o no longer begins with what was shipped of it, or nothing
// was yet: it may have been truncated and written again since the journal looked at it last. Then
// its bytes say nothing about a copy, and its digest will once the truncation is noticed.
func (o *origin) rewritten() bool {
	p := o.in.progress.Load()
	if p == nil || p.offset == 0 {
		return true
	}
	sum := p.sum()
	return sum != nil && !bytes.Equal(sumOf(o.file.pin, p.offset), sum)
}

// differs notes that f is no copy of o.
func (f *file) differs(o *origin) { f.isSame(o, -1) }

// isSame keeps up to where f is the same as o.
func (f *file) isSame(o *origin, offset int64) {
	if f.compared == nil {
		f.compared = map[*origin]int64{}
	}
	f.compared[o] = offset
}

// sumOf is the digest of the first n bytes of a file; nil where it has fewer.
func sumOf(file *os.File, n int64) []byte {
	h := sha256.New()
	if read, err := io.Copy(h, io.NewSectionReader(file, 0, n)); err != nil || read < n {
		return nil
	}
	return h.Sum(nil)
}

// followCopy makes an input of what the copy at path has beyond what was shipped.
func (s *Set) followCopy(id, path string, note Note, of *origin) (*journal.File, error) {
	// The state of an input that nothing was shaped of, though its cursor is not at its beginning,
	// and its lines go on with the ids of the other.
	state, err := json.Marshal(map[string]any{"state": of.ids})
	if err != nil {
		return nil, err
	}
	from := journal.Cursor{Offset: of.bytes, State: state}
	j, err := s.o.Folder.FollowFrom(id, path, s.o.About(id, note, nil), s.o.Journal, from)
	if err == nil {
		s.once(fmt.Sprintf("%s is a copy of %s: its first %d bytes were shipped as input %s, and only what it has beyond them is shipped", path, of.path, of.bytes, of.id),
			logfield.Path(path), logfield.Bytes(of.bytes), logfield.Input(of.id))
	}
	return j, err
}
