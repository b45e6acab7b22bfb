package follow

import (
	"fmt"
	"slices"
	"time"

	"perstack-shipper/shipper/journal"
)

// This file continues what earlier processes followed.

// takeUpKnown finds the inputs of files that are asked for again, whatever their names are now. The
// first look continues them.
func (s *Set) takeUpKnown() error {
	for _, k := range s.o.Known {
		s.used[k.ID], s.used[k.Note.Base] = true, true
	}
	for _, k := range s.o.Known {
		switch {
		case k.Kind == journal.KindPipe && k.Holder != 0 && !k.HeldHere && slices.Contains(s.o.Paths, k.Note.Path):
			return &InputError{k.Note.Path, fmt.Sprintf("is read by process %d already: stop that, or name another", k.Holder)}
		case k.Kind == journal.KindFile && k.Mine && s.wants(k.path()):
			if k.Holder != 0 && !k.HeldHere && !k.Note.Lent {
				return fmt.Errorf("%s: %w", k.path(), &journal.HeldError{ID: k.ID, Dir: k.Path, Pid: k.Holder})
			}
			s.putAside(&parked{id: k.ID, path: k.path(), note: k.Note, lone: k.File == "", size: -1})
		}
	}
	return nil
}

// path returns the path of the file that the input followed, from the journal's own header or, if
// that is damaged, from the snapshot.
func (k *Known) path() string {
	if k.File != "" {
		return k.File
	}
	return k.Note.Path
}

// isKnown reports whether id is an input of an earlier process that was not looked at yet.
func (s *Set) isKnown(id string) bool {
	return slices.ContainsFunc(s.parked, func(p *parked) bool { return p.size < 0 && p.id == id })
}

// revive continues an input whose file was not there, if f, which has that file's name now, is the
// same file after all. If it is not, the shipper says what is lost and is done with the input.
// revive reports whether f is taken care of.
func (s *Set) revive(f *file, path string, now time.Time) (taken bool, err error) {
	for len(s.dead[path]) > 0 {
		was := s.dead[path][0]
		id, note := was.id, Note{Path: path, Dev: f.who.Dev, Ino: f.who.Ino, First: was.note.First}
		j, err := s.o.Folder.Follow(id, path, s.o.About(id, note, nil), s.o.Journal)
		if err != nil {
			return true, s.again(f, now, err)
		}
		s.dead[path] = s.dead[path][1:]
		s.attach(j, path, note, now)
		if f.in != nil {
			return true, nil
		}
	}
	return false, nil
}
