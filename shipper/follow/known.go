package follow

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"perstack-shipper/shipper/journal"
)

// This file goes on with what earlier processes followed.

// takeUpKnown takes up the inputs of files that are asked for again, whatever those are called now.
func (s *Set) takeUpKnown() error {
	for _, k := range s.o.Known {
		s.used[k.ID], s.used[k.Note.Base] = true, true
	}
	for _, k := range s.o.Known {
		switch {
		case k.Kind == journal.Pipe && k.Holder != 0 && slices.Contains(s.o.Paths, k.Note.Path):
			return &InputError{k.Note.Path, fmt.Sprintf("is read by process %d already: stop that, or name another", k.Holder)}
		case k.Kind == journal.File && k.Mine && s.wants(k.path()):
			if err := s.takeUp(k); err != nil {
				return err
			}
		}
	}
	return nil
}

// path of the file that the input followed, by the journal's own record or, where that is damaged, by the snapshot.
func (k *Known) path() string {
	if k.File != "" {
		return k.File
	}
	return k.Note.Path
}

func (s *Set) takeUp(k Known) error {
	path := k.path()
	var j *journal.Journal
	var err error
	if k.File != "" {
		j, err = s.o.Folder.Recover(k.ID)
	} else {
		j, err = s.o.Folder.Follow(k.ID, path, nil, s.o.Journal)
	}
	_, held := errors.AsType[*journal.HeldError](err)
	switch {
	case held:
		return fmt.Errorf("%s: %w", path, err)
	case errors.Is(err, fs.ErrNotExist):
		s.dead[path] = append(s.dead[path], k.ID)
		if _, there := os.Stat(path); errors.Is(there, fs.ErrNotExist) {
			s.log.Warn(fmt.Sprintf("%s is gone; if it held more than was shipped as input %s, that is lost", path, k.ID))
		}
		return nil
	case err != nil:
		s.lose(fmt.Errorf("%s: %w", path, err))
		return nil
	}
	s.give(j, path, k.Note, time.Now())
	return nil
}

// revive goes on with an input whose file was not there when f, which has that file's name now, is the same after all; else it says what is lost and is
// done with. It reports whether f is taken care of.
func (s *Set) revive(f *file, path string, now time.Time) (taken bool, err error) {
	for len(s.dead[path]) > 0 {
		id := s.dead[path][0]
		j, err := s.o.Folder.Follow(id, path, nil, s.o.Journal)
		if err != nil {
			return true, s.again(f, now, err)
		}
		s.dead[path] = s.dead[path][1:]
		s.give(j, path, Note{path, f.who.dev, f.who.ino, ""}, now)
		if f.in != nil {
			return true, nil
		}
	}
	return false, nil
}
