package journal

// This file keeps an input's files in memory.

import (
	"fmt"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"perstack-shipper/shipper/disk"
)

// memoryStore keeps an input's files in memory, as memfds. They have descriptors, so a command can
// write to one, and the kernel frees what is truncated or punched out of them. mu guards the map,
// because a Pipe's writer makes segments while its reader removes others, just as in a folder.
type memoryStore struct {
	mu    sync.Mutex
	files map[string]*os.File // the descriptor that keeps each file alive; open returns duplicates
}

func newMemoryStore() store { return &memoryStore{files: map[string]*os.File{}} }

func (m *memoryStore) dir() string        { return "" }
func (m *memoryStore) path(string) string { return "" }

func (m *memoryStore) create(name string) (*os.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[name] != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	f, err := disk.Memfd("journal-" + name)
	if err != nil {
		return nil, err
	}
	again, err := duplicate(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	m.files[name] = f
	return again, nil
}

func (m *memoryStore) open(name string, _ bool) (*os.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.files[name]
	if f == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return duplicate(f)
}

// openAppend sets O_APPEND on the open file description, which all duplicates share. That is safe
// because the others only pread.
func (m *memoryStore) openAppend(name string) (*os.File, error) {
	f, err := m.open(name, true)
	if err != nil {
		return nil, err
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFL, unix.O_APPEND); err != nil {
		f.Close()
		return nil, fmt.Errorf("append to a file in memory: %w", err)
	}
	return f, nil
}

func (m *memoryStore) read(name string, most int64) ([]byte, error) {
	f, err := m.open(name, false)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, most)
}

func (m *memoryStore) replace(name string, data []byte) error {
	if err := m.remove(name + newSuffix); err != nil && !os.IsNotExist(err) {
		return err
	}
	f, err := m.create(name + newSuffix)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(data, 0); err != nil {
		return err
	}
	return m.rename(name+newSuffix, name)
}

func (m *memoryStore) rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.files[from]
	if f == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	if old := m.files[to]; old != nil {
		old.Close()
	}
	m.files[to] = f
	delete(m.files, from)
	return nil
}

func (m *memoryStore) remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.files[name]
	if f == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	delete(m.files, name)
	return f.Close()
}

func (m *memoryStore) list() ([]storedFile, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []storedFile
	for name, f := range m.files {
		st, err := f.Stat()
		if err != nil {
			return nil, err
		}
		all = append(all, storedFile{name, st.Size(), true})
	}
	return all, nil
}

func (m *memoryStore) syncDir() error { return nil }

// drop closes all files. Closing the last descriptor frees the memory.
func (m *memoryStore) drop() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, f := range m.files {
		f.Close()
		delete(m.files, name)
	}
	return nil
}

func duplicate(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate a descriptor of the journal: %w", err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}
