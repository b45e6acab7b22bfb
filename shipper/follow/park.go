package follow

// This file limits what a folder with many files costs. A followed file takes descriptors: its own,
// its journal's and the kernel's watch. If there are many files, the Set parks those that have not
// changed for longest: their inputs are paused, and continue when the files change.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"perstack-shipper/shipper/disk"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/logfield"
)

const (
	// perFile is how many descriptors a followed file may take. We measured 6, and leave some
	// spare.
	perFile = 8
	// mostFiles is the most files followed at once, however many descriptors there are.
	mostFiles = 512
)

// filesAtOnce returns how many files may be followed at once under the limit on descriptors.
func filesAtOnce() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return mostFiles / perFile
	}
	return int(min(mostFiles, max(perFile, limit.Cur/2/perFile)))
}

// parked is an input whose file does not change, an input that an earlier process left, or a file
// without a first line.
type parked struct {
	id     string // "": there is no input yet
	path   string // of the file, from the journal's header or from the snapshot
	note   Note
	in     *Input // the paused input; nil: this process did not follow it
	noPath bool   // the journal's header has no path

	who     disk.Identity
	size    int64 // when it was parked; -1: nobody has looked yet
	changed time.Time
	present bool // it has a name that is asked for
	moved   bool // it has changed since it was parked
	done    bool // it is left to the next start, whatever happens to the file
}

// mustWake reports whether the file has changed or is gone, so that the input must continue.
func (p *parked) mustWake() bool {
	return !p.done && p.id != "" && (p.size < 0 || p.moved || !p.present)
}

// crowded reports whether there is no room to follow one more file now. A paused input takes its
// descriptors until it is delivered.
func (s *Set) crowded() bool {
	open, undecided := int(s.live.Load()), 0
	for _, f := range s.files {
		switch {
		case f.undecided:
			undecided++ // it may be a copy of a file that needs this place
		case f.in == nil:
			open++
		}
	}
	open += max(0, undecided-s.o.most)
	s.refused = s.refused || open >= s.o.most
	return open >= s.o.most
}

// isParked reports whether the file with that identity is parked, and records that it has changed.
func (s *Set) isParked(who disk.Identity, info os.FileInfo) bool {
	p := s.parkedBy[who]
	if p == nil {
		return false
	}
	p.present = true
	if p.done {
		return true
	}
	p.moved = p.moved || p.size != info.Size() || !p.changed.Equal(info.ModTime())
	// The first line may be complete now, or never will be.
	if p.id == "" && (p.moved || s.stopping && p.size > 0) {
		s.parked = slices.DeleteFunc(s.parked, func(other *parked) bool { return other == p && s.unpark(p) })
		return false
	}
	return true
}

// unpark forgets the identity of a parked file.
func (s *Set) unpark(p *parked) bool {
	if s.parkedBy[p.who] == p {
		delete(s.parkedBy, p.who)
	}
	return true
}

// park parks files that do not change, if there are many.
func (s *Set) park(now time.Time) {
	after, least := s.o.Patience.Park, s.o.most/2
	switch {
	case s.refused:
		after, least = s.o.Patience.ParkSoon, 0
	case len(s.files) <= s.o.most*3/4:
		return
	}
	still := slices.Clone(s.files)
	slices.SortFunc(still, func(a, b *file) int { return a.grew.Compare(b.grew) })
	for _, f := range still {
		if len(s.files) <= least || now.Sub(f.grew) < after {
			break
		}
		if f.over || f.undecided || f.pin == nil || !f.present || f.in != nil && !f.endsLine() && now.Sub(f.grew) < 2*s.o.Patience.HalfLine {
			continue
		}
		if f.in != nil && (f.in.Journal.Path() == "" || f.in.Journal.Gone()) {
			continue // its cursor is in memory, and would be lost with its journal
		}
		info, err := f.pin.Stat()
		if err != nil {
			continue
		}
		p := &parked{who: f.who, size: f.size, changed: info.ModTime(), present: true}
		if f.over = true; f.in != nil {
			j := f.in.Journal
			p.id, p.path, p.note, p.in = j.ID(), j.FilePath(), f.note, f.in
			s.end(f, pausedInLine)
			if j.Size() != f.size { // it has just grown, so look at it again
				p.size = -1
			}
		}
		s.putAside(p)
		s.dropOver()
	}
}

func (s *Set) putAside(p *parked) {
	s.parked = append(s.parked, p)
	if p.who != (disk.Identity{}) {
		s.parkedBy[p.who] = p
	}
}

// wakeAll continues parked inputs whose files have changed or are gone, while there is room. If
// unknown is set, it continues only those that nobody has looked at yet.
func (s *Set) wakeAll(now time.Time, unknown bool) (err error) {
	for _, p := range slices.Clone(s.parked) {
		if !p.mustWake() || unknown && p.size >= 0 {
			continue
		}
		if s.crowded() {
			return err
		}
		err = errors.Join(err, s.wake(p, now))
	}
	return err
}

// wake continues a parked input. The error says that another process has it.
func (s *Set) wake(p *parked, now time.Time) error {
	var j *journal.File
	var err error
	if p.noPath {
		j, err = s.o.Folder.Follow(p.id, p.path, s.o.About(p.id, p.note, nil), s.o.Journal)
	} else {
		j, err = s.recoverFile(p.id)
	}
	if held, ok := errors.AsType[*journal.HeldError](err); ok {
		switch {
		case held.HeldHere:
			return nil // it was paused and is not delivered yet
		case p.note.Lent && s.stopping:
			p.done = true
			s.leave(p.path, fmt.Sprintf("%s is not shipped here: process %d still ships the rest of it, as input %s; the next start ships what that process leaves", p.path, held.Pid, p.id))
			return nil
		case p.note.Lent:
			s.once(fmt.Sprintf("%s waits until process %d has shipped the rest of it, as input %s", p.path, held.Pid, p.id), logfield.Path(p.path), logfield.PID(held.Pid), logfield.Input(p.id))
			return nil
		}
		return fmt.Errorf("%s: %w", p.path, err)
	}
	s.parked = slices.DeleteFunc(s.parked, func(other *parked) bool { return other == p && s.unpark(p) })
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.missing(p)
	case err != nil:
		s.lose(fmt.Errorf("%s: %w", p.path, err), logfield.Path(p.path))
	default:
		if f := s.attach(j, p.path, p.note, now); f != nil {
			f.present = f.present && p.present
		}
	}
	return nil
}

func (s *Set) recoverFile(id string) (*journal.File, error) {
	found, err := s.o.Folder.Recover(id)
	if err != nil {
		return nil, err
	}
	j, ok := found.(*journal.File)
	if !ok {
		err = fmt.Errorf("input %s is now a %s, and is left alone", id, found.Base().Kind())
		return nil, errors.Join(err, found.Base().Close())
	}
	return j, nil
}

// missing handles an input whose file cannot be found. If another file has its name, that may turn
// out to be the same file, such as a copy.
func (s *Set) missing(p *parked) {
	info, err := os.Stat(p.path)
	_, away := os.Stat(filepath.Dir(p.path))
	if away != nil || err == nil && s.byIdentity[disk.IdentityOf(info)] == nil {
		s.dead[p.path] = append(s.dead[p.path], p)
		return
	}
	said, lost, err := Forget(s.o.Folder, p.id, p.path)
	switch {
	case err != nil:
		s.complain(err)
	case lost:
		s.lose(errors.New(said), logfield.Path(p.path), logfield.Input(p.id))
	default:
		s.log.Info(said, logfield.Path(p.path), logfield.Input(p.id))
	}
}

// Forget gives up the input id, whose file at path is gone. It keeps the input if the file's whole
// folder is gone, because that may come back. It returns what became of the input, and whether
// bytes are known to be lost. The error says why the input cannot be given up.
func Forget(folder *journal.Folder, id, path string) (said string, lost bool, err error) {
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return fmt.Sprintf("%s does not exist (%v); input %s continues when it does", path, err, id), false, nil
	}
	// Following a file other than the original ends the input with an error, which says how many
	// bytes of the original were seen and not read.
	j, err := folder.Follow(id, filepath.Join(folder.Path(), "version"), nil, journal.Options{})
	if err != nil {
		return "", false, fmt.Errorf("%s is gone, and its input cannot be released: %w", path, err)
	}
	_, err = j.ReadAt(make([]byte, 1), j.Cursor().Offset)
	said = fmt.Sprintf("%s is gone; all that was seen of it was shipped, as input %s", path, id)
	if cut, ok := errors.AsType[*journal.TruncatedError](err); ok && cut.Lost > 0 {
		said, lost = fmt.Sprintf("%s is gone; at least %d bytes of it were not shipped as input %s, and are lost", path, cut.Lost, id), true
	}
	if err := j.Remove(); err != nil {
		return "", false, fmt.Errorf("%s is gone, and its input cannot be released: %w", path, err)
	}
	return said, lost, nil
}
