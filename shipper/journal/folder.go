package journal

// This file opens the journal folder, and lists the inputs in it.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"perstack-shipper/shipper/disk"
)

const (
	versionName   = "version"
	folderVersion = "1"

	// defaultMemory bounds an input in memory if the caller of InMemory sets no bound. It is about
	// a minute of a busy agent.
	defaultMemory = 64 << 20
)

// Folder is a journal folder. It contains inputs, each in a folder of its own. Any goroutine may
// use it.
type Folder struct {
	path      string // "" in memory
	maxMemory int64

	// mu guards what follows, because any goroutine may make and remove inputs.
	mu sync.Mutex
	// ids are the ids of inputs in memory. The file system knows those on disk.
	ids map[string]bool
	// locks are the locks of the inputs held through this Folder, by id. A pid would not do: a
	// process that shares the folder may be in another container and have the same pid.
	locks map[string]*lock

	// worked is set once an input was made or reopened here. If making one fails after that, the
	// disk has failed. Before that, the path of the folder may be wrong.
	worked atomic.Bool
}

// Open opens the journal folder, or creates it and its parents with mode 0700. It changes nothing
// if dir is a symbolic link ([*SymlinkError]), belongs to another user ([*OwnerError]), has another
// version ([*VersionError]) or is not writable ([*UnwritableError]), or if the disk is full
// ([ErrFull]).
func Open(dir string) (*Folder, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, &UnwritableError{dir, err}
	}
	if err := ownFolder(path); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(path, 0o700); err != nil {
			if disk.IsFull(err) {
				return nil, fmt.Errorf("journal folder %s: %w", path, asFull(err))
			}
			return nil, &UnwritableError{path, err}
		}
		err = ownFolder(path)
		if err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	f := &Folder{path: path, ids: map[string]bool{}, locks: map[string]*lock{}}
	found, err := readVersion(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Access(path, unix.W_OK|unix.X_OK); err != nil {
		return nil, &UnwritableError{path, err}
	}
	if !found {
		if err := writeVersion(path); err != nil {
			if disk.IsFull(err) {
				return nil, fmt.Errorf("journal folder %s: %w", path, asFull(err))
			}
			return nil, &UnwritableError{path, err}
		}
	}
	return f, nil
}

// InMemory returns a folder of memfds, for use if no disk is writable. Its contents are lost when
// the process ends. maxBytes bounds each input that has no lower Options.MaxBytes; 0 means 64 MiB.
// InMemory works on Linux only; elsewhere it returns [errors.ErrUnsupported].
func InMemory(maxBytes int64) (*Folder, error) {
	if !disk.HasMemfds {
		return nil, fmt.Errorf("journal in memory: %w on this system; name a writable journal folder", errors.ErrUnsupported)
	}
	if maxBytes < 0 {
		return nil, fmt.Errorf("journal in memory: negative bound %d; give 0 for the default", maxBytes)
	}
	if maxBytes == 0 {
		maxBytes = defaultMemory
	}
	return &Folder{maxMemory: maxBytes, ids: map[string]bool{}}, nil
}

// Path returns the absolute path of the folder, or "" in memory.
func (f *Folder) Path() string { return f.path }

// ownFolder returns an error unless path is a folder of this user, and not a link to one.
func ownFolder(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil {
		return &UnwritableError{path, err}
	}
	if !info.IsDir() {
		return &SymlinkError{path}
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return &OwnerError{Path: path, Owner: int(st.Uid), Want: os.Geteuid()}
	}
	return nil
}

func readVersion(path string) (found bool, err error) {
	data, err := dirStore(path).read(versionName, 256)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, &UnwritableError{path, err}
	}
	if v := strings.TrimSpace(string(data)); v != folderVersion {
		return false, &VersionError{Path: path, Found: v}
	}
	return true, nil
}

// writeVersion writes the version file atomically. Two processes that start at once write the same
// contents, each under a temporary name of its own.
func writeVersion(path string) error {
	f, err := os.CreateTemp(path, versionName+newSuffix)
	if err != nil {
		return err
	}
	_, err = f.WriteString(folderVersion + "\n")
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(path, versionName))
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

// validID reports whether id can be the name of an input's folder: it has no separators and does
// not begin with a dot.
func validID(id string) bool {
	if id == "" || len(id) > 64 || id[0] == '.' {
		return false
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func errInvalidID(id string) error {
	return fmt.Errorf("input %q: an id has 1 to 64 characters of a-z, 0-9, '.', '-' and '_'", id)
}

func (f *Folder) forget(id string) {
	f.mu.Lock()
	delete(f.ids, id)
	f.mu.Unlock()
}

// Left is an input in the folder, whoever owns it now.
type Left struct {
	ID       string
	Kind     Kind
	About    []byte
	Holder   int    // pid of the living owner; 0: nobody holds it; -1: held by an unknown process
	HeldHere bool   // held through this Folder
	Path     string // the input's folder
	File     string // the followed file of a File
	Unacked  int64  // bytes that are there and not acked; 0 for a File that is gone
	Err      error  // why some of this could not be read; Recover may still find more
}

// Leftover lists the inputs of the folder, sorted by id: those of dead processes, of living ones,
// and of this one. It also removes what a crash in the middle of a Remove or a NewPipe left. A
// folder in memory has no leftover inputs.
func (f *Folder) Leftover() ([]Left, error) {
	if f.path == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(f.path) // sorted by name
	if err != nil {
		return nil, fmt.Errorf("journal folder %s: list it: %w", f.path, err)
	}
	var all []Left
	for _, e := range entries {
		if !e.IsDir() || !validID(e.Name()) {
			continue
		}
		if left, ok := f.leftover(e.Name()); ok {
			all = append(all, left)
		}
	}
	return all, nil
}

func (f *Folder) leftover(id string) (left Left, ok bool) {
	dir := filepath.Join(f.path, id)
	st := dirStore(dir)
	left = Left{ID: id, Path: dir}
	h, state, err := examine(st, id)
	switch state {
	case noInput:
		return Left{}, false
	case halfMade, halfRemoved:
		f.clearUp(id)
		return Left{}, false
	}
	left.Kind, left.File, left.Err = h.kind(), h.Path, err
	if left.Holder = holder(dir, usualPatience); left.Holder != 0 {
		left.HeldHere = f.holds(id)
	}
	if left.About, err = st.read(aboutName, maxAboutBytes); err != nil && left.Err == nil {
		left.Err = fmt.Errorf("input %s: its options: %w", id, err)
	}
	left.Unacked, err = unacked(st, h)
	if err != nil && left.Err == nil {
		left.Err = err
	}
	return left, true
}

// clearUp removes an input that a crash left half made or half removed, unless somebody holds it
// now.
func (f *Folder) clearUp(id string) {
	dir := filepath.Join(f.path, id)
	l, err := takeLock(dir, id, usualPatience)
	if err != nil {
		return // its owner is at work on it, or it is gone
	}
	defer l.drop()
	if _, state, _ := examine(dirStore(dir), id); state == halfMade || state == halfRemoved {
		_ = discard(dirStore(dir)) // if this fails, the next start tries again
	}
}

// unacked returns how many bytes an input has beyond its cursor.
func unacked(st store, h header) (int64, error) {
	cur, _ := peekCursor(st)
	if h.kind() == KindFile {
		f, _, err := findFollowed(h)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return 0, fmt.Errorf("input %s: %w", h.ID, err)
		}
		return max(0, info.Size()-cur.Offset), nil
	}
	files, err := st.list()
	if err != nil {
		return 0, fmt.Errorf("input %s: %w", h.ID, err)
	}
	var sum int64
	for _, file := range files {
		if first, ok := offsetOf(file.name, segmentSuffix); ok && file.regular {
			sum += max(0, file.size-max(0, cur.Offset-first))
		}
		if file.name == outputName {
			sum += max(0, file.size+h.Shift-max(cur.Offset, h.Start))
		}
	}
	return sum, nil
}

// folderOf returns the store and the lock of an input on disk. If make is set, it makes the folder.
func (f *Folder) folderOf(id string, make bool) (store, *lock, error) {
	if !validID(id) {
		return nil, nil, errInvalidID(id)
	}
	dir := filepath.Join(f.path, id)
	for {
		if make {
			if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
				return nil, nil, fmt.Errorf("input %s: make its folder: %w", id, asFull(err))
			}
		}
		if err := ownFolder(dir); err != nil {
			if make && errors.Is(err, fs.ErrNotExist) {
				continue // another process that clears up has removed it: make it again
			}
			return nil, nil, fmt.Errorf("input %s: %w", id, err)
		}
		l, err := takeLock(dir, id, usualPatience)
		if make && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if held, ok := errors.AsType[*HeldError](err); ok {
			held.HeldHere = f.holds(id)
		}
		if err != nil {
			return nil, nil, err
		}
		f.trackLock(id, l)
		return dirStore(dir), l, nil
	}
}

// trackLock remembers that this Folder holds the input until its lock is released.
func (f *Folder) trackLock(id string, l *lock) {
	l.gone = func() {
		f.mu.Lock()
		if f.locks[id] == l { // otherwise the input is held again
			delete(f.locks, id)
		}
		f.mu.Unlock()
	}
	f.mu.Lock()
	f.locks[id] = l
	f.mu.Unlock()
}

func (f *Folder) holds(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.locks[id] != nil
}

// parseKind returns the kind with that name.
func parseKind(name string) (Kind, bool) {
	for k, n := range kindNames {
		if n == name {
			return Kind(k), true
		}
	}
	return 0, false
}

// Disk describes the file system of a journal folder.
type Disk struct {
	Type      string // of the file system, such as ext4 or nfs; "" if not known
	Free      int64  // bytes that may still be written
	FreeKnown bool
	// Holes says whether the shipped part of a file can be freed while the file is still being
	// written. Otherwise the file takes its full size until it ends.
	Holes bool
}

// probeBytes is how much Disk writes, which is what a new input takes.
const probeBytes = 64 << 10

// Disk examines the file system of the folder. It writes a file there, syncs it and removes it. It
// returns an error if any of that fails; that may be ErrFull.
func (f *Folder) Disk() (d Disk, err error) {
	if f.path == "" {
		return d, fmt.Errorf("a journal in memory has no disk: %w", errors.ErrUnsupported)
	}
	file, err := os.CreateTemp(f.path, probeName+"-*")
	if err != nil {
		return d, fmt.Errorf("journal folder %s: make a file: %w", f.path, asFull(err))
	}
	defer func() {
		if end := errors.Join(file.Close(), os.Remove(file.Name())); end != nil && err == nil {
			err = fmt.Errorf("journal folder %s: remove a file: %w", f.path, end)
		}
	}()
	d.Type = disk.FileSystem(file)
	if d.Free, d.FreeKnown, err = disk.Free(file); err != nil {
		return d, fmt.Errorf("journal folder %s: %w", f.path, err)
	}
	_, block, err := disk.Blocks(file)
	if err != nil {
		return d, fmt.Errorf("journal folder %s: %w", f.path, err)
	}
	d.Holes = disk.Punches(file, max(block, 512))
	if _, err := file.WriteAt(make([]byte, probeBytes), 0); err != nil {
		return d, fmt.Errorf("journal folder %s: write a file: %w", f.path, asFull(err))
	}
	if err := file.Sync(); err != nil {
		return d, fmt.Errorf("journal folder %s: sync a file: %w", f.path, asFull(err))
	}
	return d, nil
}
