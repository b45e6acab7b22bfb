package journal

// This file is the place of one input's files: a folder, or memory. The rest of the package uses
// the interface store, so an input in memory runs the same code.

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Names of an input's files.
const (
	lockName     = "lock"
	inputName    = "input"
	aboutName    = "about"
	arrivalsName = "arrivals"
	rejectsName  = "rejects.jsonl"
	finishedName = "finished"
	probeName    = "probe"
	fifoName     = "fifo"

	segmentSuffix = ".segment"
	outputSuffix  = ".output"
	newSuffix     = ".new" // a file that is about to replace another

	// offsetDigits is the number of digits of an offset in a name. A uint64 has as many, so names
	// sort like offsets.
	offsetDigits = 20
)

var cursorNames = [2]string{"cursor.a", "cursor.b"}

type store interface {
	dir() string             // returns "" in memory
	path(name string) string // for messages and watching; returns "" in memory
	create(name string) (*os.File, error)
	open(name string, write bool) (*os.File, error)
	openAppend(name string) (*os.File, error) // for a command: blocking, O_APPEND
	read(name string, most int64) ([]byte, error)
	replace(name string, data []byte) error // atomic
	rename(from, to string) error
	remove(name string) error
	list() ([]storedFile, error)
	syncDir() error
	drop() error // removes the empty folder itself
}

// storedFile is one file of a store.
type storedFile struct {
	name    string
	size    int64
	regular bool
}

// has reports whether the store has the file. If that cannot be checked, it returns true.
func has(st store, name string) bool {
	f, err := st.open(name, false)
	if err == nil {
		f.Close()
	}
	return !errors.Is(err, fs.ErrNotExist)
}

// dirStore is a folder. It opens files without following links: the folder is ours alone, and none
// of our files is a link.
type dirStore string

// openFlags has NONBLOCK so that opening a FIFO of that name does not block.
const openFlags = unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK

func (d dirStore) dir() string             { return string(d) }
func (d dirStore) path(name string) string { return filepath.Join(string(d), name) }

func (d dirStore) create(name string) (*os.File, error) {
	return os.OpenFile(d.path(name), os.O_RDWR|os.O_CREATE|os.O_EXCL|openFlags, 0o600)
}

func (d dirStore) open(name string, write bool) (*os.File, error) {
	mode := os.O_RDONLY
	if write {
		mode = os.O_RDWR
	}
	f, err := os.OpenFile(d.path(name), mode|openFlags, 0)
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		f.Close()
		if err == nil {
			err = fmt.Errorf("%s is not a regular file", d.path(name))
		}
		return nil, err
	}
	return f, nil
}

func (d dirStore) openAppend(name string) (*os.File, error) {
	return os.OpenFile(d.path(name), os.O_WRONLY|os.O_APPEND|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
}

func (d dirStore) read(name string, most int64) ([]byte, error) {
	f, err := d.open(name, false)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, most)
}

func readAll(f *os.File, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.NewSectionReader(f, 0, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s is larger than %d bytes", f.Name(), most)
	}
	return data, err
}

func (d dirStore) replace(name string, data []byte) error {
	next := d.path(name + newSuffix)
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) { // left by a crash
		return err
	}
	f, err := d.create(name + newSuffix)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(next, d.path(name))
	}
	if err != nil {
		err = errors.Join(err, os.Remove(next))
	}
	return err
}

func (d dirStore) rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }
func (d dirStore) remove(name string) error     { return os.Remove(d.path(name)) }
func (d dirStore) drop() error                  { return os.Remove(string(d)) }

func (d dirStore) list() ([]storedFile, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, err
	}
	all := make([]storedFile, 0, len(entries))
	for _, e := range entries {
		info, err := e.Info() // an lstat
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		all = append(all, storedFile{e.Name(), info.Size(), info.Mode().IsRegular()})
	}
	return all, nil
}

func (d dirStore) syncDir() error {
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// offsetName returns the name of the file whose first byte is at off.
func offsetName(off int64, suffix string) string {
	return fmt.Sprintf("%0*d%s", offsetDigits, off, suffix)
}

// offsetOf returns the offset of the first byte of the file called name. ok is false if name is not
// made by offsetName.
func offsetOf(name, suffix string) (off int64, ok bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != offsetDigits {
		return 0, false
	}
	off, err := strconv.ParseInt(digits, 10, 64)
	return off, err == nil && off >= 0
}
