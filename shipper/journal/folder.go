package journal

// The journal folder: opening it, and which inputs are in it.

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

	// defaultMemory bounds an input in memory if InMemory is given no bound: about a minute of a
	// busy agent.
	defaultMemory = 64 << 20
)

// Folder holds inputs, each in a folder of its own. Any goroutine may use it.
type Folder struct {
	path      string // "" in memory
	maxMemory int64

	// Guarded by mu, because inputs are made and removed by whoever does so: the ids in memory. On
	// disk the file system knows them, but for those that it did not take.
	mu  sync.Mutex
	ids map[string]bool
	// own are the locks of the inputs that are held through this Folder, by their ids. A pid does
	// not tell: whoever shares the folder may be in another container and have the same one.
	locks map[string]*lock

	worked atomic.Bool // an input was made here, or gone on with: when that fails now, it is the disk that has failed, and not the folder's name that is wrong
}

// Open opens the journal folder, or makes it with its parents, mode 0700. Before it touches
// anything, it refuses a symbolic link ([*SymlinkError]), a folder of another user ([*OwnerError]),
// one of another version ([*VersionError]), one that cannot be written ([*UnwritableError]), and a
// full disk ([ErrFull]).
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

// InMemory returns a folder of memfds, for where no disk can be written: what it holds dies with
// the process. maxBytes bounds each input that has no lower Options.MaxBytes; 0 means 64 MiB. It is
// for Linux only: elsewhere it returns [errors.ErrUnsupported].
func InMemory(maxBytes int64) (*Folder, error) {
	if !disk.HasMemfds {
		return nil, fmt.Errorf("journal in memory: %w on this system; name a journal folder that can be written", errors.ErrUnsupported)
	}
	if maxBytes < 0 {
		return nil, fmt.Errorf("journal in memory: negative bound %d; give 0 for the default", maxBytes)
	}
	if maxBytes == 0 {
		maxBytes = defaultMemory
	}
	return &Folder{maxMemory: maxBytes, ids: map[string]bool{}}, nil
}

// Path of the folder, absolute; "" in memory.
func (f *Folder) Path() string { return f.path }

// ownFolder returns an error unless path is a folder of this user, and no link to one.
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

// writeVersion writes the file as a whole. Two processes that start at once write the same, each
// under a name of its own.
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

// validID reports whether id can be the name of a folder here: no separators, no hidden names.
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

func (f *Folder) forget(id string) {
	f.mu.Lock()
	delete(f.ids, id)
	f.mu.Unlock()
}

// Left is an input that is in the folder, whoever owns it now.
type Left struct {
	ID       string
	Kind     Kind
	About    []byte
	Holder   int    // pid of the living owner; 0 = free; -1 = held, by whom is not known
	HeldHere bool   // it is held by way of this Folder
	Path     string // the input's folder
	File     string // the followed file, of a File
	Unacked  int64  // bytes held and not acked; of a File that is gone, 0
	Err      error  // what could not be read of it; Recover may still find more
}

// Leftover lists the inputs of the folder, sorted by id: those of dead processes, of living ones,
// and its own. In memory there are none. What a crash left of a Remove or of a NewPipe is cleared
// away by the way.
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
	if left.Holder = holder(dir); left.Holder != 0 {
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

// clearUp removes what a crash left half made or half removed, unless somebody owns it now.
func (f *Folder) clearUp(id string) {
	dir := filepath.Join(f.path, id)
	l, err := takeLock(dir, id)
	if err != nil {
		return // its owner is at work, or it is gone
	}
	defer l.drop()
	if _, state, _ := examine(dirStore(dir), id); state == halfMade || state == halfRemoved {
		_ = discard(dirStore(dir)) // what cannot be removed now is tried again by the next start
	}
}

// unacked returns how many bytes an input holds beyond its cursor.
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

// folderOf returns the store and the lock of the id on disk. It makes the folder if make is set.
func (f *Folder) folderOf(id string, make bool) (store, *lock, error) {
	if !validID(id) {
		return nil, nil, fmt.Errorf("input %q: an id is 1 to 64 characters of a-z, 0-9, '.', '-' and '_'", id)
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
				continue // removed by another process that clears up: make it again
			}
			return nil, nil, fmt.Errorf("input %s: %w", id, err)
		}
		l, err := takeLock(dir, id)
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

// trackLock remembers that the input is held for as long as its lock is.
func (f *Folder) trackLock(id string, l *lock) {
	l.gone = func() {
		f.mu.Lock()
		if f.locks[id] == l { // else it is held anew
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

// parseKind returns the kind of that name.
func parseKind(name string) (Kind, bool) {
	for k, n := range kindNames {
		if n == name {
			return Kind(k), true
		}
	}
	return 0, false
}

// Disk is what a journal folder lies on.
type Disk struct {
	Type      string // of the file system, such as ext4 or nfs; "" where that is not known
	Free      int64  // bytes that may still be written
	FreeKnown bool
	// Holes says whether what is shipped of a file is given back while the file is still written.
	// Without, it takes room until its end.
	Holes bool
}

// probeBytes is how much Disk writes: what an input takes at its start.
const probeBytes = 64 << 10

// Disk looks at what the folder lies on. It writes a file there, syncs it and removes it. If any of
// that fails, that is the error, which may be ErrFull.
func (f *Folder) Disk() (d Disk, err error) {
	if f.path == "" {
		return d, fmt.Errorf("a journal in memory lies on no disk: %w", errors.ErrUnsupported)
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
