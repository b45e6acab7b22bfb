package main

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// feed moves all of from into the pipe to, and closes to. It copies nothing and uses almost no CPU,
// which the measured program needs: the pipe refers to the pages of the file.
func feed(from, to *os.File) error {
	in, out := int(from.Fd()), int(to.Fd()) // blocking from here on
	for {
		n, err := unix.Splice(in, nil, out, nil, 1<<20, unix.SPLICE_F_MOVE)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return errors.Join(os.NewSyscallError("splice", err), to.Close())
		}
		if n == 0 {
			return to.Close()
		}
	}
}
