package follow

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"perstack-shipper/shipper/journal"
)

// This file tells copies from files of their own. Who rotates by `cp app.log app.1.log; : >app.log`
// leaves a file that begins with what was shipped of another. It is proved by the digest of what was
// shipped; in doubt a file is shipped, for a repeat can be told and a loss cannot.

const (
	// copyWait is how long a file that holds the same as another one may stand still until it is
	// shipped like any other. Whoever rotates truncates the original right after copying it.
	copyWait = 2 * time.Second
	// mostPast is how many truncated inputs are remembered.
	mostPast = 1000
)

// match is what comparing a file with a truncated input came to.
type match struct {
	offset int64 // of the input, when they were compared
	equal  bool
}

// remember keeps a truncated input, of which a copy may be found.
func (s *Set) remember(in *Input) {
	if len(s.past) == mostPast {
		s.past = slices.Delete(s.past, 0, 1)
	}
	s.past = append(s.past, in)
}

// copied looks for the input that f, whose name is path, is a copy of. It returns how many bytes f has
// in common with what was shipped, or wait when that will only be known later.
func (s *Set) copied(f *file, path string, now time.Time) (of *Input, common int64, wait bool) {
	if f.pin == nil || f.size == 0 {
		return nil, 0, false
	}
	dir := filepath.Dir(path)
	for _, in := range s.past {
		if in.Path == path || filepath.Dir(in.Path) != dir {
			continue
		}
		made, closed := in.progress.get(), in.closed.Load()
		switch {
		case made.Offset == 0:
			wait = wait || !closed && in.progress.latest.Load() == nil // the shipper has not begun with it
		case made.Offset > f.size || !f.matches(in, made):
		case !closed:
			wait = true // more of it may be shipped yet
		case made.Offset > common:
			of, common = in, made.Offset
		}
	}
	if wait {
		return nil, 0, true
	}
	return of, common, of == nil && !s.stopping && now.Sub(f.grew) < copyWait && s.sameAsAnother(f, dir)
}

// matches reports whether f begins with the bytes of a truncated input. They end with a whole line, so
// that what follows them can be shipped by itself.
func (f *file) matches(in *Input, made Shaped) bool {
	if m, ok := f.compared[in]; ok && m.offset == made.Offset {
		return m.equal
	}
	m := match{offset: made.Offset}
	hash := sha256.New()
	var last [1]byte
	if _, err := io.Copy(hash, io.NewSectionReader(f.pin, 0, made.Offset)); err == nil {
		_, err = f.pin.ReadAt(last[:], made.Offset-1)
		m.equal = err == nil && last[0] == '\n' && bytes.Equal(hash.Sum(nil), made.Sum[:])
	}
	if f.compared == nil {
		f.compared = map[*Input]match{}
	}
	f.compared[in] = m
	return m.equal
}

// sameAsAnother reports whether all that f holds is what a followed file of dir begins with: f may be a
// copy of it that is still being written.
func (s *Set) sameAsAnother(f *file, dir string) bool {
	return slices.ContainsFunc(s.files, func(g *file) bool {
		return g != f && g.in != nil && !g.over && g.pin != nil && filepath.Dir(g.path) == dir &&
			f.size <= g.in.Journal.Size() && sameBeginning(f, g, f.size)
	})
}

// sameBeginning reports whether the first n bytes of both files are the same.
func sameBeginning(f, g *file, n int64) bool {
	const step = 64 << 10
	a, b := make([]byte, min(n, step)), make([]byte, min(n, step))
	for at := int64(0); at < n; at += step {
		a, b = a[:min(n-at, step)], b[:min(n-at, step)]
		_, err := f.pin.ReadAt(a, at)
		_, other := g.pin.ReadAt(b, at)
		if err != nil || other != nil || !bytes.Equal(a, b) {
			return false
		}
	}
	return true
}

// skipCopied lets the new input j, of a file at path with size bytes, begin behind what the file has in
// common with another. The cursor keeps that for later starts.
func (s *Set) skipCopied(j *journal.Journal, path string, of *Input, common, size int64) {
	what := fmt.Sprintf("is a copy of what was shipped of %s as input %s; it is not shipped again", of.Path, of.Journal.ID())
	if size > common {
		what = fmt.Sprintf("begins with what was shipped of %s as input %s; what follows its first %d bytes is shipped", of.Path, of.Journal.ID(), common)
	}
	s.once(path + " " + what)
	if err := j.StartAt(journal.Cursor{Offset: common, State: []byte("{}")}); err != nil {
		s.complain(err)
	}
}
