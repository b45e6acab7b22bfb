package journal

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// hasBytesOrWriter reports whether a pipe's reading end has anything to give, or may have: bytes are in it, or somebody has it open for writing.
// poll(2) does not tell of a FIFO that had no writer when it was opened; tee(2) does, and takes nothing out.
func hasBytesOrWriter(out *os.File) bool {
	r, w, err := os.Pipe()
	if err != nil {
		return true
	}
	defer r.Close()
	defer w.Close()
	for {
		n, err := unix.Tee(int(out.Fd()), int(w.Fd()), 1, unix.SPLICE_F_NONBLOCK)
		if !errors.Is(err, unix.EINTR) {
			return n > 0 || err != nil // EAGAIN: it is empty, and has a writer
		}
	}
}

// splice moves at most most bytes of the pipe from to the file to at off. The kernel takes them out of the one as it writes them to the other.
func splice(from, to int, off, most int64) (int, error) {
	for {
		n, err := unix.Splice(from, nil, to, &off, int(most), unix.SPLICE_F_NONBLOCK)
		switch {
		case n > 0:
			return int(n), nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return 0, ErrNothing
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM), errors.Is(err, unix.EOPNOTSUPP): // EPERM: a seccomp filter
			return 0, fmt.Errorf("splice: %w: %w", errors.ErrUnsupported, err)
		default:
			return 0, err
		}
	}
}
