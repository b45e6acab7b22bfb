package disk

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// HasBytesOrWriter reports whether bytes are in the pipe of which out is the reading end, or
// somebody has it open for writing; true where that cannot be told. poll(2) says nothing of a FIFO
// that had no writer when it was opened; tee(2) does, and takes nothing out.
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
			return n > 0 || err != nil // EAGAIN: it is empty and has a writer
		}
	}
}

// Splice moves at most most bytes out of the pipe from to the file to, at off: the kernel takes
// them out of the one as it writes them to the other. It returns 0 and no error when no writer is
// left, [ErrPipeEmpty] when nothing is there now, and [errors.ErrUnsupported] where from is no
// pipe, or this cannot be done on the file system or under a seccomp filter.
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
