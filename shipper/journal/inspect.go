package journal

// This file inspects a journal folder from outside: the inputs that another process holds or a dead
// one left. Nothing here writes to the folder or keeps a lock.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Seen is an input as its folder shows it. It does not include bytes in a FIFO, or bytes that the
// owner keeps in memory because the disk has failed.
type Seen struct {
	ID   string
	Path string // the input's folder
	// Delivered means that only the rejects of the input are left, and nothing else is known.
	Delivered bool
	Kind      Kind
	Started   time.Time
	Holder    int // pid of the living owner; 0: nobody holds it; -1: held by an unknown process
	About     []byte
	File      string // the followed file of a File

	Read      int64     // offset after the last byte
	Acked     int64     // offset up to which everything is acknowledged
	Waiting   int64     // bytes that are not acknowledged
	Oldest    time.Time // when the first waiting line arrived; zero if no line waits
	Allocated int64     // disk space that the bytes take
	Limit     int64     // limit on that space; 0: none
	Rejects   int64     // bytes in rejects.jsonl

	Err error // why some of this could not be read
}

// RejectsPath returns the path of the file with the input's rejects.
func (s *Seen) RejectsPath() string { return filepath.Join(s.Path, rejectsName) }

// NoJournalError says that a folder is not a journal folder, or does not exist.
type NoJournalError struct {
	Path    string
	Missing bool
}

func (e *NoJournalError) Error() string {
	if e.Missing {
		return fmt.Sprintf("%s does not exist: no shipper has used it, or the shipper keeps its input in memory, which cannot be seen from outside", e.Path)
	}
	return fmt.Sprintf("%s is not a journal folder: it has no file %q", e.Path, versionName)
}

// View is a read-only view of a journal folder.
type View struct {
	path string
}

// LookInto returns a view of the journal folder dir. It rejects what Open rejects, except that dir
// need not be writable. Where Open would create a journal folder, it returns a [*NoJournalError].
func LookInto(dir string) (*View, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("journal folder %s: %w", dir, err)
	}
	err = ownFolder(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &NoJournalError{Path: path, Missing: true}
	}
	found := false
	if err == nil {
		found, err = readVersion(path)
	}
	if unreadable, ok := errors.AsType[*UnwritableError](err); ok {
		return nil, fmt.Errorf("journal folder %s cannot be read: %w", path, unreadable.Err)
	}
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, &NoJournalError{Path: path}
	}
	return &View{path: path}, nil
}

// Path returns the folder's absolute path.
func (v *View) Path() string { return v.path }

// Writable reports whether the folder's file system is writable.
func (v *View) Writable() bool { return !errors.Is(unix.Access(v.path, unix.W_OK), unix.EROFS) }

// Inputs returns the inputs of the folder, sorted by id, without those being made or removed.
func (v *View) Inputs() ([]Seen, error) {
	entries, err := os.ReadDir(v.path) // sorted by name
	if err != nil {
		return nil, fmt.Errorf("journal folder %s: list it: %w", v.path, err)
	}
	var all []Seen
	for _, e := range entries {
		if !e.IsDir() || !validID(e.Name()) {
			continue
		}
		if seen, ok := v.input(e.Name()); ok {
			all = append(all, seen)
		}
	}
	return all, nil
}

func (v *View) input(id string) (Seen, bool) {
	dir := filepath.Join(v.path, id)
	st := dirStore(dir)
	seen := Seen{ID: id, Path: dir}
	if info, err := os.Lstat(st.path(rejectsName)); err == nil {
		seen.Rejects = info.Size()
	}
	h, state, err := examine(st, id)
	if state != whole {
		seen.Delivered = true
		return seen, seen.Rejects > 0
	}
	seen.Kind, seen.Started, seen.File, seen.Limit = h.kind(), time.UnixMilli(h.Started), h.Path, h.MaxBytes
	seen.Holder = holder(dir, usualPatience)
	err = errors.Join(err, seen.measure(st, h))
	var aboutErr error
	if seen.About, aboutErr = st.read(aboutName, maxAboutBytes); aboutErr != nil {
		err = errors.Join(err, fmt.Errorf("input %s: its options: %w", id, aboutErr))
	}
	if err != nil {
		// The input may have been delivered and removed meanwhile.
		if _, state, _ := examine(st, id); state != whole {
			return Seen{}, false
		}
	}
	seen.Err = err
	return seen, true
}

// measure finds out how far the input is. It reads the cursor before it counts the bytes, so bytes
// acknowledged meanwhile count as waiting, and waiting bytes never count as acknowledged.
func (s *Seen) measure(st store, h header) error {
	cur, ok := peekCursor(st)
	if !ok {
		return fmt.Errorf("input %s: neither %s nor %s in %s is a valid cursor", s.ID, cursorNames[0], cursorNames[1], s.Path)
	}
	s.Acked = cur.Offset
	var line lineSearch
	var written time.Time
	var err error
	if s.Kind == KindFile {
		written, err = s.measureFollowed(h, &line)
	} else {
		written, err = s.measureStored(st, h, &line)
	}
	arr, arrErr := peekArrivals(st, h.Started)
	if arrErr != nil {
		return errors.Join(err, fmt.Errorf("input %s: its index of arrivals: %w", s.ID, arrErr))
	}
	defer arr.close()
	if err != nil && s.Kind == KindFile { // the file is gone: the index has the size last seen
		s.Read = max(s.Acked, arr.latest())
		s.Waiting = s.Read - s.Acked
	}
	// The owner of half a line waits for the rest of it. A process that recovers the input would
	// not.
	if s.Waiting > 0 && (line.found() || s.Holder == 0) {
		s.Oldest = arr.since(s.Acked, written)
	}
	return err
}

// measureFollowed counts the bytes of a followed file and returns when it was last written.
func (s *Seen) measureFollowed(h header, line *lineSearch) (written time.Time, err error) {
	f, _, err := findFollowed(h)
	if err != nil {
		return time.Time{}, fmt.Errorf("input %s: %w", s.ID, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return time.Time{}, fmt.Errorf("input %s: %w", s.ID, err)
	}
	s.Read = max(s.Acked, info.Size())
	s.Waiting = s.Read - s.Acked
	return info.ModTime(), line.search(f, s.Acked)
}

// measureStored counts the bytes in the input's folder. written is when a command last wrote an
// Output, because a command makes no entries in the index of arrivals.
func (s *Seen) measureStored(st store, h header, line *lineSearch) (written time.Time, err error) {
	files, err := st.list()
	if err != nil {
		return time.Time{}, fmt.Errorf("input %s: %w", s.ID, err)
	}
	s.Read = s.Acked
	for _, file := range files {
		if first, ok := offsetOf(file.name, segmentSuffix); ok && file.regular {
			s.Read = max(s.Read, first+file.size)
			s.Waiting += max(0, file.size-max(0, s.Acked-first))
			s.Allocated += file.size
			if err := line.searchIn(st, file.name, max(0, s.Acked-first)); err != nil {
				return time.Time{}, fmt.Errorf("input %s: %w", s.ID, err)
			}
		}
		if file.name == outputName {
			s.Read = max(s.Read, file.size+h.Shift)
			s.Waiting += max(0, file.size+h.Shift-max(s.Acked, h.Start))
			info, err := os.Lstat(st.path(outputName))
			if err != nil {
				return time.Time{}, fmt.Errorf("input %s: %w", s.ID, err)
			}
			written = info.ModTime()
			if sys, ok := info.Sys().(*syscall.Stat_t); ok {
				s.Allocated = sys.Blocks * 512
			}
			if err := line.searchIn(st, outputName, max(s.Acked, h.Start)-h.Shift); err != nil {
				return time.Time{}, fmt.Errorf("input %s: %w", s.ID, err)
			}
		}
	}
	return written, nil
}

// peekArrivals opens the index of arrivals for reading only.
func peekArrivals(st store, start int64) (*arrivals, error) {
	f, err := st.open(arrivalsName, false)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	a := &arrivals{f: f, start: start, now: arrival{0, start}}
	a.n.Store(info.Size() / arrivalBytes)
	return a, nil
}

// since returns when the byte at off arrived. written is when somebody else last wrote the file, or
// zero. The owner notices such bytes later, so bytes beyond the last entry may have arrived after
// it.
func (a *arrivals) since(off int64, written time.Time) time.Time {
	a.seek(off)
	at := time.UnixMilli(a.now.ms)
	if n := a.n.Load(); a.next == n && (n == 0 || off > a.now.off) && written.After(at) {
		return written
	}
	return at
}

// maxLineSearch is the length of the longest line that is shipped whole.
const maxLineSearch = 8 << 20

// lineSearch looks for the end of the first waiting line, in one file after another.
type lineSearch struct {
	newline  bool
	searched int64
}

// found reports whether a whole line waits, or so many bytes that the shipper would not wait for
// the rest of the line.
func (l *lineSearch) found() bool { return l.newline || l.searched >= maxLineSearch }

// searchIn is search for a file of the store, which its owner may remove meanwhile.
func (l *lineSearch) searchIn(st store, name string, from int64) error {
	if l.found() {
		return nil
	}
	f, err := st.open(name, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return l.search(f, from)
}

// search searches f from an offset on.
func (l *lineSearch) search(f *os.File, from int64) error {
	var buf [32 << 10]byte
	for !l.found() {
		n, err := f.ReadAt(buf[:], from)
		l.newline = bytes.IndexByte(buf[:n], '\n') >= 0
		l.searched += int64(n)
		from += int64(n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
