package journal

// A File: somebody else's file is the segment. It is read, never changed; the folder keeps only what a restart needs.

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"perstack-shipper/shipper/disk"
)

// idLineBytes is how much of a first line makes the id. A first line as long as a block would else hold the start up.
const idLineBytes = 64 << 10

// Follow makes an input of the regular file at path, or goes on with it at the cursor when the folder has an input of that id: then about
// and o are what that one had. Where path names another file than the one that was followed, the first ReadAt says ErrTruncated: what looks
// the same may be another story that begins the same way, and a repeat can be told where a loss cannot. *HeldError when another process follows it with this folder.
func (f *Folder) Follow(id, path string, about []byte, o Options) (*Journal, error) {
	return f.FollowFrom(id, path, about, o, Cursor{})
}

// FollowFrom is Follow with the cursor at which a new input begins: what the file has before it is not wanted.
func (f *Folder) FollowFrom(id, path string, about []byte, o Options, from Cursor) (*Journal, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("follow %s: %w", path, err)
	}
	if f.path != "" {
		j, err := f.reopen(id)
		if err == nil {
			return j.followOn(path)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	file, who, err := openFollowed(path)
	if err != nil {
		return nil, err
	}
	j, err := f.begin(id, File, about, o)
	if err != nil {
		file.Close()
		return nil, err
	}
	j.rec.Path, j.rec.Dev, j.rec.Ino, j.rec.Born = path, who.Dev, who.Ino, disk.Birth(file)
	j.follow(file)
	if err := j.startAt(from); err != nil {
		return nil, j.abandon(err)
	}
	if err := j.commit(); err != nil {
		return nil, err
	}
	return j, nil
}

// startAt makes from the cursor of a new input.
func (j *Journal) startAt(from Cursor) error {
	if from.Offset == 0 {
		return nil
	}
	if err := j.grown.attachAt(from.Offset, 0, 0); err != nil {
		return err
	}
	j.found = from
	j.acked.Store(from.Offset)
	j.persisted.Store(from.Offset)
	return j.cur.put(from, j.src.mark(from.Offset))
}

// followOn is Follow for an input that the folder has.
func (j *Journal) followOn(path string) (*Journal, error) {
	err := func() error {
		if j.kind != File {
			return fmt.Errorf("%w: it is a %s; take another id", ErrKind, j.kind)
		}
		j.rec.Path = path
		file, is, err := findFollowed(j.rec)
		if errors.Is(err, errIsAnother) {
			file, _, err = openFollowed(path)
		}
		if err != nil {
			return err
		}
		return j.settleFollowed(file, is)
	}()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("journal input %s: follow %s: %w", j.id, path, err), j.letGo())
	}
	j.settled()
	j.start()
	return j, nil
}

// attachFollowed is for Recover, which has no path but the recorded one: another file there does not count.
func (j *Journal) attachFollowed() error {
	if j.rec.Path == "" {
		// Not ErrNotExist: there was an input, and its bytes may be lost.
		j.damage.note("no bytes of it are in %s, nor which file it followed; follow that file again, or delete the folder", j.st.dir())
		return j.damage
	}
	file, is, err := findFollowed(j.rec)
	if err == nil && is == mayBeSame && !sameBytes(file, j.found.Offset, j.cur.mark) {
		file.Close()
		err = errIsAnother
	}
	if errors.Is(err, errIsAnother) {
		return notThere(j.rec.Path, j.found.Offset)
	}
	if err != nil {
		return err
	}
	return j.settleFollowed(file, is)
}

// settleFollowed goes on with file at the cursor.
func (j *Journal) settleFollowed(file *os.File, is sameness) error {
	if j.fallback != "" {
		j.fallback += "; starting at the beginning of the file, so what was acked is repeated"
	}
	j.follow(file)
	j.grown.another = is == isAnother
	if err := j.attachGrown(); err != nil {
		return err
	}
	if is == mayBeSame && !j.grown.cut {
		return j.adopt()
	}
	return nil
}

// adopt records the identity of the file that is followed from now on.
func (j *Journal) adopt() error {
	who, err := disk.Identify(j.grown.f)
	if err != nil {
		return err
	}
	j.rec.Dev, j.rec.Ino, j.rec.Born = who.Dev, who.Ino, disk.Birth(j.grown.f)
	return j.writeRecord()
}

func (j *Journal) follow(file *os.File) {
	j.newGrowing()
	j.grown.f, j.grown.path = file, j.rec.Path
}

// StopFollowing says that what is in the file now is all that is wanted. Only for a File.
func (j *Journal) StopFollowing() error {
	if j.kind != File {
		return fmt.Errorf("journal input %s: stop following: %w", j.id, ErrKind)
	}
	j.grown.mu.Lock()
	defer j.grown.mu.Unlock()
	j.grown.finish()
	return nil
}

// Replaced says that the path names another file now, or none: the followed one was renamed or deleted. It is still read to its end;
// its successor is a new input. Only for a File.
func (j *Journal) Replaced() bool {
	if j.kind != File {
		return false
	}
	j.grown.mu.Lock()
	defer j.grown.mu.Unlock()
	if j.grown.closed {
		return false
	}
	mine, err := j.grown.f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(j.rec.Path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist) // an error of another sort says nothing of the file
	}
	return !os.SameFile(mine, there)
}

// openFollowed opens a file for reading. A link to it is followed: the path is the user's. A FIFO is not waited for, and refused.
func openFollowed(path string) (*os.File, disk.Identity, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, disk.Identity{}, fmt.Errorf("follow: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("it is no regular file (%s)", info.Mode().Type())
	}
	if err != nil {
		f.Close()
		return nil, disk.Identity{}, fmt.Errorf("follow %s: %w", path, err)
	}
	return f, disk.IdentityOf(info), nil
}

// FileID is the id for following a file: 8 characters from a hash of its absolute path and its first line (of a longer one the first
// 64 KiB). first is that line's own digest. ErrNoLine when that line is not complete yet: wait.
func FileID(path string) (id, first string, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return "", "", fmt.Errorf("the id of %s: %w", path, err)
	}
	f, _, err := openFollowed(path)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	line, err := firstLine(f)
	if err != nil {
		return "", "", fmt.Errorf("the id of %s: %w", path, err)
	}
	return idOf(sha256.Sum256(fmt.Appendf(nil, "%s\x00%s", path, line))), lineDigest(line), nil
}

// FirstLine is the digest of the first line of an open file, as FileID returns it.
func FirstLine(f *os.File) (string, error) {
	line, err := firstLine(f)
	if err != nil {
		return "", fmt.Errorf("the first line of %s: %w", f.Name(), err)
	}
	return lineDigest(line), nil
}

// firstLine reads the first line, without its newline, and of a longer one the first 64 KiB.
func firstLine(f *os.File) ([]byte, error) {
	line, err := io.ReadAll(io.NewSectionReader(f, 0, idLineBytes))
	if err != nil {
		return nil, err
	}
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		return line[:end], nil
	}
	if len(line) < idLineBytes {
		return nil, ErrNoLine
	}
	return line, nil
}

func lineDigest(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:16])
}
