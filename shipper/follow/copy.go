package follow

// This file recognises the copies that a rotation leaves: `cp app.log app-1.log; : >app.log`. The
// copy begins with the bytes that were shipped of the truncated file. Their digest proves that, and
// only the bytes after them are shipped from the copy.

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

// mostOrigins bounds how many ended files the Set remembers.
const mostOrigins = 1000

// origin is a file that other files may be copies of.
type origin struct {
	id    string // of its input
	path  string
	first string // the digest of its first line; "": not known
	// proven says that first is the digest of the first line that was shipped. The file may have
	// been rewritten between the look at its first line and the first read.
	proven bool
	in     *Input // nil: it has ended, and the fields below are known
	file   *file  // nil: its input had ended when its file was found

	bytes int64 // how many bytes from its beginning were shipped
	sum   []byte
	ids   batch.State // what the ids of the lines after those depend on
}

// hasEnded reports whether everything that will be shipped of the origin has been read.
func (o *origin) hasEnded() bool {
	return o.in == nil || o.in.Journal.Ended() && o.in.paused.Load() == finished
}

// update takes the digest of an origin that has ended, if it is known. It reports whether the
// origin is of no use.
func (o *origin) update() (useless bool) {
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

// sum returns the digest of all bytes up to the offset. It returns nil if some of them were not
// read, as in a copy or in a file with a hole.
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

// remember makes an input an origin, if the first line of its file is known.
func (s *Set) remember(in *Input, note Note, f *file) {
	s.origins = slices.DeleteFunc(s.origins, func(o *origin) bool { return o.id == in.Journal.ID() })
	if note.First != "" {
		// f is nil if the file is gone. Nobody can look at it again, so its first line is taken as
		// proven.
		s.origins = append(s.origins, &origin{id: in.Journal.ID(), path: note.Path, first: note.First, proven: f == nil, in: in, file: f})
	}
}

// learnFirst finds out the first line of a file that was followed before that line was complete.
func (s *Set) learnFirst(f *file) {
	_, first, err := journal.FileID(f.path)
	if err != nil || !isNow(f.path, f.who) {
		return // it tries again when the file grows
	}
	f.note.First = first
	j := f.in.Journal
	if err := j.SetAbout(s.o.About(j.ID(), f.note, j.About())); err != nil {
		s.complain(err)
	}
	s.remember(f.in, f.note, f)
}

// updateOrigins takes the digests of origins that have ended. If there are too many, it forgets the
// oldest.
func (s *Set) updateOrigins() {
	for _, o := range s.origins {
		o.prove()
	}
	s.origins = slices.DeleteFunc(s.origins, (*origin).update)
	for n := len(s.origins) - mostOrigins; n > 0; n-- {
		i := slices.IndexFunc(s.origins, func(o *origin) bool { return o.in == nil })
		if i < 0 {
			return
		}
		s.origins = slices.Delete(s.origins, i, i+1)
	}
}

// copyOf returns the origin that f is a copy of, or nil. The first line of f has the digest first.
// If copyOf returns wait, it cannot tell yet. A file at the path of an origin has replaced it, and
// is not a copy.
func (s *Set) copyOf(f *file, first string, now time.Time) (of *origin, wait bool) {
	s.updateOrigins()
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
			// The file may still be growing into a copy.
			wait = wait || still < s.o.Patience.Copy && !s.stopping
		case o.hasEnded():
			wait = wait || still < s.o.Patience.Digest
		// The file may only look the same, so it is shipped.
		case s.stopping || still >= s.o.Patience.Copy:
		case f.maybeCopy(o):
			wait = true
		}
	}
	return nil, wait
}

// mayTurnUp reports whether there is an input of an earlier process that nobody has looked at yet,
// and whose file began with the same first line and is not at path.
func (s *Set) mayTurnUp(path, first string) bool {
	begins := func(p *parked) bool { return p.note.First == first && p.path != path }
	for _, dead := range s.dead {
		if slices.ContainsFunc(dead, begins) {
			return true
		}
	}
	return slices.ContainsFunc(s.parked, func(p *parked) bool { return p.size < 0 && begins(p) })
}

// maybeCopy reports whether f begins like the origin o, which may still grow.
func (f *file) maybeCopy(o *origin) bool {
	if o.file == nil || o.file.pin == nil { // the origin is parked
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
		f.sameUpTo(o, from+int64(n))
		if n < len(mine) {
			return true
		}
	}
}

// prove makes sure, once something was shipped, that o.first is the first line that was shipped.
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

// rewritten reports whether the file of o no longer begins with what was shipped of it, or whether
// nothing was shipped yet. The file may have been truncated and written again since the journal
// last looked at it. Then its bytes tell nothing about a copy. Its digest will, once the journal
// has noticed the truncation.
func (o *origin) rewritten() bool {
	p := o.in.progress.Load()
	if p == nil || p.offset == 0 {
		return true
	}
	sum := p.sum()
	return sum != nil && !bytes.Equal(sumOf(o.file.pin, p.offset), sum)
}

// differs records that f is not a copy of o.
func (f *file) differs(o *origin) { f.sameUpTo(o, -1) }

// sameUpTo records the offset up to which f equals o.
func (f *file) sameUpTo(o *origin, offset int64) {
	if f.compared == nil {
		f.compared = map[*origin]int64{}
	}
	f.compared[o] = offset
}

// sumOf returns the digest of the first n bytes of a file, or nil if it has fewer.
func sumOf(file *os.File, n int64) []byte {
	h := sha256.New()
	if read, err := io.Copy(h, io.NewSectionReader(file, 0, n)); err != nil || read < n {
		return nil
	}
	return h.Sum(nil)
}

// followCopy makes an input of the copy at path that begins after the bytes that were shipped.
func (s *Set) followCopy(id, path string, note Note, of *origin) (*journal.File, error) {
	// This is the state of an input of which nothing was shaped, although its cursor is not at its
	// beginning. The ids of its lines continue those of the origin.
	state, err := json.Marshal(map[string]any{"state": of.ids})
	if err != nil {
		return nil, err
	}
	from := journal.Cursor{Offset: of.bytes, State: state}
	j, err := s.o.Folder.FollowFrom(id, path, s.o.About(id, note, nil), s.o.Journal, from)
	if err == nil {
		s.once(fmt.Sprintf("%s is a copy of %s: its first %d bytes were shipped as input %s, and only the bytes after them are shipped", path, of.path, of.bytes, of.id),
			logfield.Path(path), logfield.Bytes(of.bytes), logfield.Input(of.id))
	}
	return j, err
}
