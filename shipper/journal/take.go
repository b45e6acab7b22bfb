package journal

// Taking bytes straight from a pipe into the journal, so that a kill finds none of them in between.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"perstack-shipper/shipper/disk"
)

// ErrNothing says that the pipe has no bytes now; wait for some.
var ErrNothing = disk.ErrPipeEmpty

// Take moves at most most bytes from the pipe with the descriptor from to the journal. At no moment
// are they in neither: bytes on their way to a Write are lost to a kill that comes first, and wait
// long while the journal is full. Take does not wait. [io.EOF] says that no writer is left,
// [ErrNothing] that nothing is there now, [ErrFull] the same as in Write, and
// [errors.ErrUnsupported] (at the first call, or when the disk has failed) that from is no pipe or
// that the file system cannot do this: then read, and Write. The goroutine that writes may call it,
// before End.
func (j *Pipe) Take(from int, most int) (int, error) {
	return j.pipe.take(from, int64(most))
}

func (p *pipe) take(from int, most int64) (int, error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	if p.over.Load() || p.active == nil {
		return 0, fmt.Errorf("input %s: write after its end: %w", p.id, os.ErrClosed)
	}
	p.arr.note(p.bytes.Load(), time.Now().UnixMilli())
	for {
		var why error // of put, which says more about the pipe than about the disk
		n, err := p.writeSome(most, func(fd int, off, most int64) (int, error) {
			n, err := disk.Splice(from, fd, off, most)
			if n == 0 && err == nil {
				err = io.EOF
			}
			why = err
			return n, err
		})
		switch {
		case n > 0:
			p.bell.ring()
			return n, nil
		case errors.Is(why, io.EOF), errors.Is(why, ErrNothing), errors.Is(why, errors.ErrUnsupported):
			return 0, why
		case err != nil && p.failure.Load() != nil && !errors.Is(err, ErrFull): // it was not the disk that failed, or not only: what cannot be spliced can be read
			return 0, fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
		case err != nil:
			return 0, err
		}
		// It has made room, or found another place: once more.
	}
}
