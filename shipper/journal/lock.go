package journal

// This file is the lock of an input: an flock on a file in its folder, which has the owner's pid in
// it for people. The kernel releases the lock when the owner dies, however it dies.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"perstack-shipper/shipper/disk"
)

// lockPatience is how long to wait for a lock that somebody holds.
type lockPatience struct {
	// Checking who holds an input (Leftover) takes the lock for an instant. A start that collides
	// with that tries again.
	tries int
	pause time.Duration

	// death is how long to wait for the lock of an owner that was killed. The kernel closes a
	// process's files some time after the signal, and later on a busy machine.
	death time.Duration
}

var usualPatience = lockPatience{tries: 5, pause: 10 * time.Millisecond, death: time.Second}

type lock struct {
	f        *os.File // nil in memory
	deferred bool     // release does nothing; drop releases
	gone     func()   // called once the lock is released, if not nil
}

// takeLock takes the lock of the input in dir, and makes the lock file if it is missing. It returns
// [io/fs.ErrNotExist] if dir does not exist.
func takeLock(dir, id string, patience lockPatience) (*lock, error) {
	path := filepath.Join(dir, lockName)
	began := time.Now()
	for try := 1; ; try++ {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|openFlags, 0o600)
		if err != nil {
			return nil, fmt.Errorf("input %s: lock: %w", id, asFull(err))
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil && stillThere(f, path) {
			writePid(f)
			return &lock{f: f}, nil
		}
		pid := readPid(f)
		f.Close()
		switch {
		case err == nil: // its owner has removed the file meanwhile: the next try makes a new one
		case !errors.Is(err, unix.EWOULDBLOCK):
			return nil, fmt.Errorf("input %s: lock %s: %w; a journal needs a file system with locks, so name another folder", id, path, err)
		case try >= patience.tries && (time.Since(began) >= patience.death || !disk.IsDying(pid)):
			return nil, &HeldError{ID: id, Dir: dir, Pid: pid}
		default:
			time.Sleep(patience.pause)
		}
	}
}

// holder returns the pid of the living owner of the input in dir, 0 if there is none, and -1 if
// there is one and its pid is not known.
func holder(dir string, patience lockPatience) int {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDONLY|openFlags, 0)
	if err != nil {
		return 0
	}
	defer f.Close() // releases the lock
	for began := time.Now(); ; time.Sleep(patience.pause) {
		// The lock is shared, so that two processes that check do not collide.
		if unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil {
			return 0
		}
		if pid := readPid(f); time.Since(began) >= patience.death || !disk.IsDying(pid) {
			return pid
		}
	}
}

// stillThere reports whether path still names the open file f.
func stillThere(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(mine, there)
}

// writePid writes the pid, which is only for people and HeldError: on a full disk the lock works
// without it. The fixed width overwrites an older pid completely.
func writePid(f *os.File) { _, _ = f.WriteAt(fmt.Appendf(nil, "%10d\n", os.Getpid()), 0) }

func readPid(f *os.File) int {
	var buf [11]byte
	n, _ := f.ReadAt(buf[:], 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil || pid <= 0 {
		return -1
	}
	return pid
}

// replaced reports whether the lock's path names another file. If it names none, somebody has
// removed just the file.
func (l *lock) replaced(path string) bool {
	if l.f == nil {
		return false
	}
	mine, err := l.f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && !os.SameFile(mine, there)
}

func (l *lock) release() error {
	if l.f == nil || l.deferred {
		return nil
	}
	err := l.f.Close()
	if l.gone != nil {
		l.gone()
		l.gone = nil
	}
	return err
}

// deferRelease postpones release until drop.
func (l *lock) deferRelease() { l.deferred = true }

// drop releases the lock, deferred or not.
func (l *lock) drop() error {
	l.deferred = false
	if err := l.release(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}
