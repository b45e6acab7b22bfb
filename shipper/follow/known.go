package follow

// This file continues what earlier processes followed.

import (
	"fmt"
	"slices"
	"time"

	"perstack-shipper/shipper/journal"
)

// takeUpKnown finds the inputs of files that are asked for again, whatever the files' names are
// now. The first look continues them.
func (s *Set) takeUpKnown() error {
	for _, k := range s.o.Known {
		s.used[k.ID], s.used[k.Note.Base] = true, true
	}
	for _, k := range s.o.Known {
		switch {
		case k.Kind == journal.KindPipe && k.Holder != 0 && !k.HeldHere && slices.Contains(s.o.Paths, k.Note.Path):
			return &InputError{k.Note.Path, fmt.Sprintf("is already read by process %d: stop that process or name another FIFO", k.Holder)}
		case k.Kind == journal.KindFile && k.Mine && s.wants(k.path()):
			if k.Holder != 0 && !k.HeldHere && !k.Note.Lent {
				return fmt.Errorf("%s: %w", k.path(), &journal.HeldError{ID: k.ID, Dir: k.Path, Pid: k.Holder})
			}
			s.putAside(&parked{id: k.ID, path: k.path(), note: k.Note, noPath: k.File == "", size: -1})
		}
	}
	return nil
}

// path returns the path of the file that the input followed. It is in the journal's header, and if
// that is damaged, in the snapshot.
func (k *Known) path() string {
	if k.File != "" {
		return k.File
	}
	return k.Note.Path
}

// isKnown reports whether id is an input of an earlier process that nobody has looked at yet.
func (s *Set) isKnown(id string) bool {
	return slices.ContainsFunc(s.parked, func(p *parked) bool { return p.size < 0 && p.id == id })
}

// revive continues an input whose file was not there, if f, which now has that file's name, turns
// out to be the same file. If it is another file, the shipper reports what is lost and ends the
// input. revive reports whether nothing more needs to be done about f.
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
