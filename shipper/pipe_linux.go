package shipper

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"perstack-shipper/shipper/journal"
)

// stoppable reads a file whose reads may block for ever, until a context ends: it polls, so that nothing has to be closed under a reader.
type stoppable struct {
	ctx  context.Context
	f    *os.File
	stop *os.File // readable when the context has ended
}

// Stoppable returns a reader of f that returns io.EOF when ctx ends, and a function that lets go of what it needs. It takes a pipe's capacity as far up
// as the kernel allows: what is in there is safe from a writer that throws.
func Stoppable(ctx context.Context, f *os.File) (io.Reader, func(), error) {
	// The limit is /proc/sys/fs/pipe-max-size, 1 MiB unless somebody changed it; less is no harm.
	for size := moveBytes; size > 64<<10; size /= 2 {
		if _, err := unix.FcntlInt(f.Fd(), unix.F_SETPIPE_SZ, size); !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENOMEM) {
			break
		}
	}
	stop, signal, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	after := context.AfterFunc(ctx, func() { signal.Close() })
	return &stoppable{ctx: ctx, f: f, stop: stop}, func() {
		if after() {
			signal.Close()
		}
		stop.Close()
	}, nil
}

// Read implements io.Reader.
func (s *stoppable) Read(p []byte) (int, error) {
	for {
		if err := s.wait(); err != nil {
			return 0, err
		}
		n, err := unix.Read(int(s.f.Fd()), p)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
			continue
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// moveTo implements mover.
func (s *stoppable) moveTo(j *journal.Journal) (int, error) {
	for {
		if err := s.wait(); err != nil {
			return 0, err
		}
		if n, err := j.Take(int(s.f.Fd()), moveBytes); !errors.Is(err, journal.ErrNothing) {
			return n, err
		}
	}
}

// wait waits until there is something to read; io.EOF says that the context has ended.
func (s *stoppable) wait() error {
	fds := []unix.PollFd{{Fd: int32(s.f.Fd()), Events: unix.POLLIN}, {Fd: int32(s.stop.Fd()), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); errors.Is(err, unix.EINTR) {
			continue
		} else if err != nil {
			return os.NewSyscallError("poll", err)
		}
		if s.ctx.Err() != nil {
			return io.EOF
		}
		return nil
	}
}
