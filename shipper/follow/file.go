package follow

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"perstack-shipper/shipper/disk"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/logfield"
)

// file is a file that is followed, or will be once its first line is complete.
type file struct {
	path string        // its latest name among those asked for
	pin  *os.File      // keeps its identity from being reused; nil if it could not be opened
	who  disk.Identity // of pin

	in        *Input    // nil: not followed yet
	note      Note      // of in
	size      int64     // at the latest look
	grew      time.Time // time of the look that last found more
	changed   time.Time // when it grew, which may be before the first look
	present   bool      // it has a name that is asked for
	gone      time.Time // since when it has no such name; zero: it has one
	retry     time.Time // do not try to follow it before then
	over      bool      // its input has ended
	undecided bool      // it may be a copy, and is not followed until that is known
	// compared has the offset up to which the file equals each file that it may be a copy of; -1:
	// it is not a copy of that file.
	compared map[*origin]int64
}

func (f *file) unpin() {
	if f.pin != nil {
		f.pin.Close()
		f.pin = nil
	}
}

// measure notices that f has grown, or was truncated before it was followed.
func (s *Set) measure(f *file, now time.Time) {
	size := f.size
	if f.in != nil {
		size = f.in.Journal.Size()
	} else if info, err := f.pin.Stat(); err == nil {
		size = info.Size()
	}
	if size < f.size && f.in == nil {
		s.lose(fmt.Errorf("%s was truncated before its first line was complete: at least %d bytes are lost", f.path, f.size-size), logfield.Path(f.path), logfield.Bytes(f.size-size))
	}
	if size != f.size {
		f.size, f.grew, f.changed, s.came = size, now, now, now
	}
}

// changedBefore returns when the file pin last changed, or now if its time lies in the future.
func changedBefore(pin *os.File, now time.Time) time.Time {
	if info, err := pin.Stat(); err == nil && info.ModTime().Before(now) {
		return info.ModTime()
	}
	return now
}

// step advances f. A file is followed once its first line is complete, becomes another input when
// it is truncated, and ends when it is gone. The error says that another process has it.
func (s *Set) step(f *file, now time.Time) error {
	if f.over {
		return nil
	}
	switch {
	case f.present:
		f.gone = time.Time{}
	case f.gone.IsZero():
		f.gone = now
	}
	s.measure(f, now)
	if f.in == nil {
		return s.start(f, now)
	}
	if f.note.First == "" && f.grew.Equal(now) {
		s.learnFirst(f)
	}
	if f.in.Journal.Ended() {
		s.cut(f, now)
		return nil
	}
	if !f.present && s.finished(f, now) {
		s.end(f, finished)
	}
	return nil
}

// start makes an input of f once its first line is complete, because the id depends on that line,
// or once no more of the line will come.
func (s *Set) start(f *file, now time.Time) error {
	if now.Before(f.retry) && !s.stopping {
		return nil
	}
	path := f.path
	if !f.present {
		if path = nameOf(filepath.Dir(path), f.who); path == "" {
			if f.size > 0 {
				s.lose(fmt.Errorf("%s was moved away or deleted before its first line was complete; its %d bytes are not shipped", f.path, f.size), logfield.Path(f.path), logfield.Bytes(f.size))
			}
			f.over = true
			return nil
		}
	}
	if taken, err := s.revive(f, path, now); taken || err != nil {
		return err
	}
	note := Note{Path: path, Dev: f.who.Dev, Ino: f.who.Ino}
	id, first, err := journal.FileID(path)
	note.First = first
	switch {
	case errors.Is(err, journal.ErrNoLine):
		if f.size == 0 || !s.stopping && now.Sub(f.grew) < s.o.Patience.HalfLine && (f.present || !s.finished(f, now)) {
			return nil
		}
		id = journal.NewID() // a later start finds this id by the note
	case err != nil:
		s.again(f, now, err)
		return nil
	case s.isKnown(id):
		return nil // that input may belong to this file; the next look continues it
	case s.used[id]: // another file has the same path and first line
		note.Base, id = id, journal.NewID()
	}
	if !isNow(path, f.who) {
		return nil // it was just renamed; the next look finds it
	}
	of, wait := s.copyOf(f, first, now)
	if f.undecided = wait; wait {
		return nil
	}
	var j *journal.File
	if of != nil {
		j, err = s.followCopy(id, path, note, of)
	} else {
		j, err = s.o.Folder.Follow(id, path, s.o.About(id, note, nil), s.o.Journal)
	}
	if err != nil {
		return s.again(f, now, err)
	}
	s.used[id], s.used[note.Base] = true, true
	s.attach(j, path, note, now)
	return nil
}

// again postpones the next attempt to follow f. It returns an error that says that another process
// has the file and, before the first look is over, one that says that there is no room. It logs all
// other errors.
func (s *Set) again(f *file, now time.Time, err error) error {
	f.retry = now.Add(time.Second)
	err = fmt.Errorf("%s: %w", f.path, err)
	if _, held := errors.AsType[*journal.HeldError](err); held || !s.begun && errors.Is(err, journal.ErrFull) {
		return err
	}
	if !errors.Is(err, os.ErrNotExist) { // it was just renamed
		s.complain(err)
	}
	return nil
}

// attach makes j the input of the file that j has open, which usually is the one at path. note
// describes the file that was meant. attach returns nil if there is nothing to follow.
func (s *Set) attach(j *journal.File, path string, note Note, now time.Time) *file {
	in := &Input{Journal: j.Journal, file: j, Path: path, live: s.live}
	s.live.Add(1)
	if j.Ended() { // it was truncated while nobody looked, so there is nothing to follow
		s.remember(in, note, nil)
		s.fresh = append(s.fresh, in)
		return nil
	}
	meant := disk.Identity{Dev: note.Dev, Ino: note.Ino}
	pin, who := pinOf(j, path, meant)
	if pin == nil {
		who = meant // the file was moved away after j opened it
	}
	f := s.byIdentity[who]
	switch {
	case f == nil && pin == nil:
		f = &file{path: path}
		s.add(f)
	case pin == nil:
	case f == nil:
		// If the file is not present, the next look notices.
		f = &file{path: path, pin: pin, who: who, present: true}
		s.add(f)
	default:
		pin.Close()
	}
	if f.in != nil {
		s.log.Warn(fmt.Sprintf("input %s in %s belongs to the same file as input %s, %s, and is left alone", j.ID(), j.Path(), f.in.Journal.ID(), path),
			logfield.Input(j.ID()), logfield.Folder(j.Path()), logfield.Path(path))
		if err := j.Close(); err != nil {
			s.complain(err)
		}
		in.Close()
		return nil
	}
	is := Note{Path: path, Dev: who.Dev, Ino: who.Ino, First: note.First, Base: note.Base}
	if is != note {
		if err := j.SetAbout(s.o.About(j.ID(), is, j.About())); err != nil {
			s.complain(err)
		}
	}
	if in.Grew = f.grew; in.Grew.IsZero() {
		in.Grew = now
	}
	f.in, f.note, f.size, f.grew, f.changed, s.came = in, is, j.Size(), now, now, now
	if f.pin != nil {
		f.changed = changedBefore(f.pin, now)
	}
	s.remember(in, is, f)
	if is.First == "" {
		s.learnFirst(f)
	}
	s.fresh = append(s.fresh, in)
	return f
}

// pinOf opens the file that j has open a second time: at path, or wherever the file meant is now.
// It returns nil if it does not find the file.
func pinOf(j *journal.File, path string, meant disk.Identity) (*os.File, disk.Identity) {
	for range 3 { // somebody may be renaming it right now
		name := path
		replaced := j.Replaced()
		if replaced {
			if name = nameOf(filepath.Dir(path), meant); name == "" {
				continue
			}
		}
		pin, err := openFile(name)
		if err != nil {
			continue
		}
		if info, err := pin.Stat(); err == nil {
			who := disk.IdentityOf(info)
			if replaced && who == meant || !replaced && !j.Replaced() && isNow(path, who) {
				return pin, who
			}
		}
		pin.Close()
	}
	return nil, disk.Identity{}
}

// cut makes another input of what a truncated file holds now. The shipper reports what is lost.
func (s *Set) cut(f *file, now time.Time) {
	f.over = true
	if f.pin == nil {
		return // the next look finds the file
	}
	next := &file{path: f.path, pin: f.pin, who: f.who, present: f.present, gone: f.gone, grew: now, changed: now}
	f.pin = nil
	s.came = now
	s.add(next)
}

// finished reports whether a file that is gone will not grow any more.
func (s *Set) finished(f *file, now time.Time) bool {
	since := f.grew
	if f.gone.After(since) {
		since = f.gone
	}
	still := now.Sub(since)
	if still < s.o.Patience.Gone {
		return false
	}
	if writer, known := f.hasWriter(); known {
		return !writer
	}
	return still >= s.o.Patience.GoneUnsure
}

func (f *file) hasWriter() (writer, known bool) {
	if f.pin == nil {
		return false, false
	}
	return disk.HasWriter(f.pin)
}

// end ends the input of f with what the file holds now.
func (s *Set) end(f *file, how int32) {
	f.over = true
	f.in.paused.Store(how)
	if err := f.in.file.StopFollowing(); err != nil {
		s.complain(err)
	}
}

// pause leaves f to the next start, if it ends with a whole line or has stopped growing. It reports
// whether f needs no more attention.
func (s *Set) pause(f *file, now time.Time) bool {
	if f.over {
		return true
	}
	if f.in == nil {
		if err := s.start(f, now); err != nil {
			s.complain(err)
		}
		if f.undecided {
			return false
		}
		if f.in == nil { // it is empty, or an error was logged
			if f.size > 0 {
				s.leave(f.path, fmt.Sprintf("%s is not shipped: its %d bytes are left for the next start", f.path, f.size))
			}
			s.putAside(f.asParked())
			f.over = true
			return true
		}
	}
	s.measure(f, now)
	if f.in.Journal.Ended() {
		s.cut(f, now)
		return false
	}
	if s.readsOn(f, now) {
		return false
	}
	switch {
	case !f.present && s.lost(f):
		s.end(f, finished)
	case f.endsLine(), s.o.Reading.Err() != nil:
		s.end(f, pausedInLine) // later bytes are for the next start
		s.putAside(f.asParked())
	case now.Sub(f.grew) >= s.o.Patience.LastLine:
		s.end(f, paused)
		s.putAside(f.asParked())
	default:
		return false
	}
	return true
}

// asParked returns f as it is put aside until the next start.
func (f *file) asParked() *parked {
	p := &parked{who: f.who, present: true, done: true}
	if f.in != nil {
		p.id = f.in.Journal.ID()
	}
	return p
}

// lost reports whether no later start needs to continue a file that is gone, or none could.
func (s *Set) lost(f *file) bool {
	if writer, known := f.hasWriter(); known && !writer {
		return true
	}
	return nameOf(filepath.Dir(f.in.Journal.FilePath()), f.who) == ""
}

// endsLine reports whether the file ends with a whole line.
func (f *file) endsLine() bool {
	var last [1]byte
	if f.pin == nil || f.size == 0 {
		return true
	}
	_, err := f.pin.ReadAt(last[:], f.size-1)
	return err == nil && last[0] == '\n'
}
