package feed

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"perstack-shipper/shipper/disk"
	"perstack-shipper/shipper/journal"
)

// stoppable reads a file whose reads may block forever, until a context ends. It polls, so that
// nobody has to close a file that is being read.
type stoppable struct {
	ctx  context.Context
	f    *os.File
	stop *os.File // readable when the context has ended

	stopping bool
	left     int // bytes that were in f when the context ended and are still unread
}

// Stoppable returns a reader of f and a function that releases the reader's resources. When ctx
// ends, the reader reads what is in f at that moment and then returns io.EOF. If f is a pipe,
// Stoppable raises its capacity as far as the kernel allows, because bytes in the pipe are safe
// even if their writer throws.
func Stoppable(ctx context.Context, f *os.File) (io.Reader, func(), error) {
	disk.EnlargePipe(f, moveBytes)
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
		s.left -= n
		return n, nil
	}
}

// moveTo implements directReader.
func (s *stoppable) moveTo(j *journal.Pipe) (int, error) {
	for {
		if err := s.wait(); err != nil {
			return 0, err
		}
		n, err := j.Take(int(s.f.Fd()), moveBytes)
		if !errors.Is(err, journal.ErrNothing) {
			s.left -= n
			return n, err
		}
		s.left = 0
	}
}

// wait waits until there is something to read. It returns io.EOF when the context has ended and
// everything that was in f at that moment has been read.
func (s *stoppable) wait() error {
	fds := []unix.PollFd{{Fd: int32(s.f.Fd()), Events: unix.POLLIN}, {Fd: int32(s.stop.Fd()), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); errors.Is(err, unix.EINTR) {
			continue
		} else if err != nil {
			return os.NewSyscallError("poll", err)
		}
		if s.ctx.Err() == nil {
			return nil
		}
		if !s.stopping {
			s.stopping, s.left = true, inPipe(s.f)
		}
		if s.left <= 0 || fds[0].Revents == 0 {
			return io.EOF
		}
		return nil
	}
}

// inPipe returns how many bytes are in a pipe, as far as [disk.InPipe] can tell, or 0 if f is not a
// pipe.
func inPipe(f *os.File) int {
	if info, err := f.Stat(); err != nil || info.Mode()&fs.ModeNamedPipe == 0 {
		return 0
	}
	return disk.InPipe(f)
}
