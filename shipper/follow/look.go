package follow

// This file looks at the paths and identifies the files there.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"perstack-shipper/shipper/disk"
)

// isNow reports whether path is a name of the file who.
func isNow(path string, who disk.Identity) bool {
	info, err := os.Stat(path)
	return err == nil && disk.IdentityOf(info) == who
}

// nameOf returns a name of the file who in dir, or "" if it has none.
func nameOf(dir string, who disk.Identity) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && disk.IdentityOf(info) == who {
			return filepath.Join(dir, e.Name())
		}
	}
	return ""
}

// wants reports whether a file with this path is asked for. It ignores that a stderr needs the
// stdout beside it.
func (s *Set) wants(path string) bool {
	for _, p := range s.o.Paths {
		if path == p || filepath.Dir(path) == p && (matches(path) || isStderr(path)) {
			return true
		}
	}
	return false
}

// check returns why a path cannot be followed, before anything is read.
func (s *Set) check(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && strings.ContainsAny(path, patternChars):
		return &InputError{path, "is a pattern, and patterns are not expanded: " + insteadOf(path)}
	case errors.Is(err, fs.ErrNotExist) && s.o.Wait:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return &InputError{path, "does not exist: create it, or use --input-wait to wait for it"}
	case err != nil:
		return &InputError{path, fmt.Sprintf("cannot be accessed (%v): make it readable", err)}
	case info.IsDir():
		_, err = os.ReadDir(path)
	case info.Mode().IsRegular():
		var f *os.File
		if f, err = openFile(path); err == nil {
			f.Close()
		}
	case info.Mode()&fs.ModeNamedPipe != 0:
		err = unix.Access(path, unix.R_OK|unix.W_OK)
	default:
		return &InputError{path, "is not a file, FIFO or folder: name one"}
	}
	if err != nil {
		return &InputError{path, fmt.Sprintf("cannot be read (%v): make it readable, and a FIFO writable as well", err)}
	}
	return nil
}

// patternChars are characters that make a path a pattern if no such file exists. Waiting for a file
// of that name would take forever.
const patternChars = "*?["

// insteadOf says what to name instead of a pattern.
func insteadOf(pattern string) string {
	if dir := filepath.Dir(pattern); !strings.ContainsAny(dir, patternChars) {
		return fmt.Sprintf("name the folder %s, whose *.jsonl and *.log files are all followed, or name each file", dir)
	}
	return "name each folder, whose *.jsonl and *.log files are all followed, or name each file"
}

func openFile(path string) (*os.File, error) {
	// With O_NONBLOCK, a FIFO in the file's place does not block us.
	return os.OpenFile(path, os.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
}

// look finds files that are new or gone, and advances every file. The error says that another
// process has an input.
func (s *Set) look(now time.Time) error {
	began := time.Now()
	for _, f := range s.files {
		f.present = false
	}
	for _, f := range s.fifos {
		f.present = false
	}
	for _, p := range s.parked {
		p.present = false
	}
	s.refused = false
	err := s.wakeAll(now, true)
	for _, path := range s.o.Paths {
		err = errors.Join(err, s.lookAt(path, now))
	}
	err = errors.Join(err, s.wakeAll(now, false))
	for i := 0; i < len(s.files); i++ { // step may append files
		err = errors.Join(err, s.step(s.files[i], now))
	}
	s.dropOver()
	if !s.stopping {
		s.park(now)
	}
	s.parked = slices.DeleteFunc(s.parked, func(p *parked) bool { return p.id == "" && !p.present && s.unpark(p) })
	if !s.stopping {
		s.stepFIFOs(now)
	}
	if s.watch != nil {
		s.watch.took = time.Since(began)
	}
	return err
}

func (s *Set) lookAt(path string, now time.Time) error {
	info, err := os.Stat(path)
	var entries []os.DirEntry
	if err == nil && info.IsDir() {
		entries, err = os.ReadDir(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		s.unseen(path, err)
	case info.IsDir():
		delete(s.unread, path)
		for _, e := range entries {
			name := filepath.Join(path, e.Name())
			if matches(name) || isStderr(name) && (hasStdout(entries, e.Name()) || s.isFollowed(name)) {
				s.candidate(name, now)
			}
		}
	case info.Mode().IsRegular():
		s.candidate(path, now)
	// Nobody can have written to a FIFO without a reader.
	case info.Mode()&fs.ModeNamedPipe != 0 && s.stopping:
	case info.Mode()&fs.ModeNamedPipe != 0 && s.filesOnly:
	case info.Mode()&fs.ModeNamedPipe != 0:
		return s.candidateFIFO(path, info, now)
	default:
		s.cannotRead(&InputError{path, "is no longer a file, FIFO or folder: put one there"})
	}
	return nil
}

// unseen keeps files from counting as gone while their path cannot be accessed.
func (s *Set) unseen(path string, err error) {
	s.cannotRead(&InputError{path, fmt.Sprintf("cannot be accessed (%v): make it readable", err)})
	for _, f := range s.files {
		f.present = f.present || f.path == path || filepath.Dir(f.path) == path
	}
	for _, p := range s.parked {
		p.present = p.present || p.path == path || filepath.Dir(p.path) == path
	}
	for _, f := range s.fifos {
		f.present = f.present || f.path == path
	}
}

// cannotRead logs why a path cannot be read now. The path counts as not shipped unless it becomes
// readable.
func (s *Set) cannotRead(err *InputError) {
	s.unread[err.Path] = err
	s.complain(err)
}

// candidate starts following a file, unless it is followed already.
func (s *Set) candidate(path string, now time.Time) {
	info, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.cannotRead(&InputError{path, fmt.Sprintf("cannot be accessed (%v) and is not shipped: make it readable", err)})
		return
	}
	if err != nil || !info.Mode().IsRegular() {
		return // it was removed in the meantime, or it is a folder with a name like that
	}
	if f := s.byIdentity[disk.IdentityOf(info)]; f != nil {
		delete(s.unread, path)
		f.present, f.path = true, path
		return
	}
	if s.isParked(disk.IdentityOf(info), info) || s.crowded() {
		return // there is no room to follow it now; a later look finds it
	}
	opened, err := openFile(path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.cannotRead(&InputError{path, fmt.Sprintf("cannot be read (%v) and is not shipped: make it readable", err)})
		}
		return
	}
	delete(s.unread, path)
	if info, err = opened.Stat(); err != nil || !info.Mode().IsRegular() {
		opened.Close()
		return
	}
	who := disk.IdentityOf(info)
	if f := s.byIdentity[who]; f != nil { // a followed file was just renamed to this name
		opened.Close()
		f.present, f.path = true, path
		return
	}
	s.add(&file{path: path, pin: opened, who: who, present: true, grew: now, changed: now})
}

func (s *Set) add(f *file) {
	s.files = append(s.files, f)
	if f.pin != nil {
		s.byIdentity[f.who] = f
	}
}

// dropOver forgets the files that have ended.
func (s *Set) dropOver() {
	kept := s.files[:0]
	for _, f := range s.files {
		if !f.over {
			kept = append(kept, f)
			continue
		}
		if s.byIdentity[f.who] == f {
			delete(s.byIdentity, f.who)
		}
		f.unpin()
	}
	clear(s.files[len(kept):])
	s.files = kept
}
