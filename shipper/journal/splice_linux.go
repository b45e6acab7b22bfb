package journal

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

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
