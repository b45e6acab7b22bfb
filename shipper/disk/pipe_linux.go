//go:build !portable

package disk

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// EnlargePipe raises the capacity of the pipe f to size, or as far as the kernel allows. The limit
// is /proc/sys/fs/pipe-max-size, by default 1 MiB. A smaller pipe works too.
func EnlargePipe(f *os.File, size int) {
	for ; size > 64<<10; size /= 2 {
		if _, err := unix.FcntlInt(f.Fd(), unix.F_SETPIPE_SZ, size); !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENOMEM) {
			return
		}
	}
}

// InPipe returns how many bytes are in the pipe f.
func InPipe(f *os.File) int {
	n, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCINQ)
	if err != nil {
		return 0
	}
	return n
}

// HasBytesOrWriter reports whether the pipe with the reading end out has bytes in it, or some
// process has it open for writing. It returns true if it cannot tell. It uses tee(2), which takes
// nothing out of the pipe, because poll(2) does not report hang-up for a FIFO that had no writer
// when it was opened.
func HasBytesOrWriter(out *os.File) bool {
	r, w, err := os.Pipe()
	if err != nil {
		return true
	}
	defer r.Close()
	defer w.Close()
	for {
		n, err := unix.Tee(int(out.Fd()), int(w.Fd()), 1, unix.SPLICE_F_NONBLOCK)
		if !errors.Is(err, unix.EINTR) {
			return n > 0 || err != nil // EAGAIN: it is empty but has a writer
		}
	}
}

// Splice moves at most most bytes from the pipe from to the file to, at off. The kernel removes
// them from the pipe as it writes them to the file. It returns 0 and no error if no writer is left,
// [ErrPipeEmpty] if the pipe is empty now, and [errors.ErrUnsupported] if from is not a pipe, or if
// the file system or a seccomp filter does not allow this.
func Splice(from, to int, off, most int64) (int, error) {
	for {
		n, err := unix.Splice(from, nil, to, &off, int(most), unix.SPLICE_F_NONBLOCK)
		switch {
		case n > 0:
			return int(n), nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return 0, ErrPipeEmpty
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP),
			errors.Is(err, unix.EPERM): // a seccomp filter
			return 0, fmt.Errorf("splice: %w: %w", errors.ErrUnsupported, err)
		default:
			return 0, err
		}
	}
}
