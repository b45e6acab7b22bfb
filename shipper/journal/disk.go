package journal

import (
	"errors"
	"fmt"
	"os"

	"perstack-shipper/shipper/disk"
)

// Disk is what a journal folder lies on.
type Disk struct {
	Type      string // of the file system, such as ext4 or nfs; "" where that is not known
	Free      int64  // bytes that may still be written
	FreeKnown bool
	// Holes says whether what is shipped of a file is given back while the file is still written.
	// Without, it takes room until its end.
	Holes bool
}

// tried is how much Disk writes: what an input takes at its start.
const tried = 64 << 10

// Disk looks at what the folder lies on. It writes a file there, syncs it and removes it. If any of
// that fails, that is the error, which may be ErrFull.
func (f *Folder) Disk() (d Disk, err error) {
	if f.path == "" {
		return d, fmt.Errorf("a journal in memory lies on no disk: %w", errors.ErrUnsupported)
	}
	file, err := os.CreateTemp(f.path, probeName+"-*")
	if err != nil {
		return d, fmt.Errorf("journal folder %s: make a file: %w", f.path, full(err))
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
	if _, err := file.WriteAt(make([]byte, tried), 0); err != nil {
		return d, fmt.Errorf("journal folder %s: write a file: %w", f.path, full(err))
	}
	if err := file.Sync(); err != nil {
		return d, fmt.Errorf("journal folder %s: sync a file: %w", f.path, full(err))
	}
	return d, nil
}
