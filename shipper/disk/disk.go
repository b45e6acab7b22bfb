// Package disk provides facts about the kernel and file systems for packages journal and follow:
// which file is which, what it takes on disk, who has it open for writing, and how to move bytes
// without copying them. It knows nothing about journals.
//
// Files named _linux have what only Linux can do. On macOS, disk_other.go answers "not known" or
// [errors.ErrUnsupported], so that callers need only one code path. It exists because people try
// things on a Mac: the pipe and the readers need nothing that only Linux has, and exec refuses to
// start. The build tag portable selects disk_other.go on Linux, for tests.
//
//	disk.go             Identity, Size, IsFull, Failed
//	space.go            Blocks, Punches, FirstData, NextHole, NextData, Free
//	space_linux.go      Punch, Reserve, FileSystem
//	file_linux.go       Birth, Reopen, Memfd
//	dying_linux.go      IsDying
//	writer_linux.go     KnowsWriters, HasWriter, ProcessWrites, OthersWrite
//	pipe_linux.go       EnlargePipe, InPipe, Splice, HasBytesOrWriter
package disk

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Identity distinguishes a file from all others for as long as it exists. An open descriptor
// prevents its numbers from being reused. No file has the zero Identity.
type Identity struct{ Dev, Ino uint64 }

// IdentityOf returns the identity of the file that info describes.
func IdentityOf(info os.FileInfo) Identity {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return Identity{}
	}
	return Identity{uint64(st.Dev), uint64(st.Ino)}
}

// Identify returns the identity of an open file.
func Identify(f *os.File) (Identity, error) {
	info, err := f.Stat()
	if err != nil {
		return Identity{}, err
	}
	return IdentityOf(info), nil
}

// Size returns the size of f. Unlike [os.File.Stat] it does not allocate, because callers use it
// often. A nil file counts as closed.
func Size(f *os.File) (int64, error) {
	if f == nil {
		return 0, os.ErrClosed
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, fmt.Errorf("fstat %s: %w", f.Name(), err)
	}
	return st.Size, nil
}

// IsFull reports whether err means that there is no room: the disk is full, the user's quota is
// used up, or the file is as large as files may be.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// Failed reports whether err comes from the operating system and is not about a lack of room: see
// [IsFull].
func Failed(err error) bool {
	_, ok := errors.AsType[syscall.Errno](err)
	return ok && !IsFull(err)
}

// ErrPipeEmpty means that a pipe is empty now. Wait for bytes.
var ErrPipeEmpty = errors.New("the pipe is empty")
