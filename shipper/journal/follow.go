package journal

// This file is for a File: its segment is somebody else's file, which is read and never changed.
// The folder has only what a restart needs.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"perstack-shipper/shipper/disk"
)

// File is an input that somebody else writes, to a file that this process only reads.
type File struct {
	*Journal
	file *followedFile // src
}

// run starts the background work.
func (j *File) run() {
	j.Journal.run()
	j.done.Go(func() { j.file.watch(j.stop, j.poll) })
}

// poll looks at the file and at its path.
func (j *File) poll() fileState {
	now := j.file.poll()
	now.replaced = j.Replaced()
	return now
}

// Follow makes an input of the regular file at path. If the folder has an input with that id,
// Follow goes on with it at its cursor, and ignores about and o. If path names another file than
// the one that was followed, the first ReadAt returns [ErrTruncated], even if the two look the
// same: the new one may only begin the same way, and a repeat can be noticed while a loss cannot. A
// [*HeldError] means that another process follows the file with this folder.
func (f *Folder) Follow(id, path string, about []byte, o Options) (*File, error) {
	return f.FollowFrom(id, path, about, o, Cursor{})
}

// FollowFrom is Follow with the cursor at which a new input begins. The bytes before it are not
// wanted.
func (f *Folder) FollowFrom(id, path string, about []byte, o Options, from Cursor) (*File, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("follow %s: %w", path, err)
	}
	if f.path != "" {
		base, err := f.reopen(id)
		if err == nil {
			return followOn(base, path)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	file, who, err := openFollowed(path)
	if err != nil {
		return nil, err
	}
	base, err := f.begin(id, KindFile, about, o)
	if err != nil {
		file.Close()
		return nil, err
	}
	j := &File{Journal: base}
	j.header.Path, j.header.Dev, j.header.Ino, j.header.Born = path, who.Dev, who.Ino, disk.Birth(file)
	j.follow(file)
	if err := j.startAt(from); err != nil {
		return nil, j.abandon(err)
	}
	if err := j.commit(); err != nil {
		return nil, err
	}
	j.run()
	return j, nil
}

// startAt begins a new input at from.
func (j *File) startAt(from Cursor) error {
	if from.Offset == 0 {
		return nil
	}
	if err := j.file.start(from.Offset, 0, 0, false); err != nil {
		return err
	}
	j.found = from
	j.offsets.startAt(from.Offset)
	return j.cur.put(from, j.src.mark(from.Offset))
}

// followOn is Follow for an input that the folder already has.
func followOn(base *Journal, path string) (*File, error) {
	j := &File{Journal: base}
	err := func() error {
		if j.kind != KindFile {
			return fmt.Errorf("the folder has a %s with that id; choose another id", j.kind)
		}
		j.header.Path = path
		file, is, err := findFollowed(j.header)
		if errors.Is(err, errIsAnother) {
			file, _, err = openFollowed(path)
		}
		if err != nil {
			return err
		}
		return j.resume(file, is)
	}()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("input %s: follow %s: %w", j.id, path, err), j.abortOpen())
	}
	j.opened()
	j.run()
	return j, nil
}

// attach opens the followed file for Recover, which knows only the recorded path. It does not
// accept another file there.
func (j *File) attach() error {
	if j.header.Path == "" {
		// Not ErrNotExist: the input existed, and its bytes may be lost.
		j.damage.note("%s has none of its bytes and does not say which file it followed; follow that file again, or delete the folder", j.st.dir())
		return j.damage
	}
	file, is, err := findFollowed(j.header)
	if err == nil && is == mayBeSame && !sameBytes(file, j.found.Offset, j.cur.mark) {
		file.Close()
		err = errIsAnother
	}
	if errors.Is(err, errIsAnother) {
		return notThere(j.header.Path, j.found.Offset)
	}
	if err != nil {
		return err
	}
	return j.resume(file, is)
}

// resume continues reading file at the cursor.
func (j *File) resume(file *os.File, is sameness) error {
	if j.fallback != "" {
		j.fallback += "; starting at the beginning of the file, so acked bytes are repeated"
	}
	j.follow(file)
	if err := j.file.start(j.found.Offset, j.cur.mark, j.arr.latest(), is == isAnother); err != nil {
		return err
	}
	if is == mayBeSame && !j.file.isTruncated {
		return j.adopt()
	}
	return nil
}

// adopt records the identity of the file, which is followed from now on.
func (j *File) adopt() error {
	who, err := disk.Identify(j.file.f)
	if err != nil {
		return err
	}
	j.header.Dev, j.header.Ino, j.header.Born = who.Dev, who.Ino, disk.Birth(j.file.f)
	return j.writeHeader()
}

func (j *File) follow(file *os.File) {
	j.file = &followedFile{grownFile: grownFile{id: j.id, path: j.header.Path, arr: j.arr, bell: &j.bell, off: &j.offsets, f: file}}
	j.src = j.file
}

// StopFollowing ends the input: the bytes in the file now are all that is wanted.
func (j *File) StopFollowing() error {
	j.file.mu.Lock()
	defer j.file.mu.Unlock()
	j.file.finish()
	return nil
}

// Replaced reports whether the path names another file now, or none, because the followed file was
// renamed or deleted. The followed file is still read to its end; its successor is a new input.
func (j *File) Replaced() bool {
	j.file.mu.Lock()
	defer j.file.mu.Unlock()
	if j.file.closed {
		return false
	}
	mine, err := j.file.f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(j.header.Path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist) // any other error says nothing about the file
	}
	return !os.SameFile(mine, there)
}

// openFollowed opens a file for reading. It follows links, because the path is the user's. It
// rejects a FIFO, and does not block on one.
func openFollowed(path string) (*os.File, disk.Identity, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, disk.Identity{}, fmt.Errorf("follow: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("it is not a regular file (%s)", info.Mode().Type())
	}
	if err != nil {
		f.Close()
		return nil, disk.Identity{}, fmt.Errorf("follow %s: %w", path, err)
	}
	return f, disk.IdentityOf(info), nil
}
