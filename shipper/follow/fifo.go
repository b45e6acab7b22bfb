package follow

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"perstack-shipper/shipper/disk"
	"perstack-shipper/shipper/journal"
)

// fifo is a FIFO that is being read. It is also open for writing, so that it does not end while
// writers come and go.
type fifo struct {
	path string
	who  disk.Identity
	in   *Input
	// w is the writing end. It is nil once it was closed, so that the last writer ends the FIFO.
	w       *os.File
	stop    context.CancelFunc // ends reading at once
	present bool
	size    int64
	grew    time.Time
}

// candidateFIFO starts reading a FIFO, unless it is being read already.
func (s *Set) candidateFIFO(path string, info os.FileInfo, now time.Time) error {
	for _, f := range s.fifos {
		if f.who == disk.IdentityOf(info) {
			f.present = true
			return nil
		}
	}
	f, err := s.openFIFO(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was removed in the meantime
	}
	// The open FIFOs stay open, because closing them would kill their writers.
	if errors.Is(err, journal.ErrFull) && len(s.fifos) > 0 {
		s.complain(err)
		return nil
	}
	if wrong, ok := errors.AsType[*InputError](err); ok && s.begun {
		s.cannotRead(wrong)
		return nil
	}
	if err != nil {
		return err
	}
	delete(s.unread, path)
	s.fifos, s.fresh, s.came = append(s.fifos, f), append(s.fresh, f.in), now
	return nil
}

// openFIFO makes the journal first. If there were no room for it, the FIFO would have to be closed
// again. That would kill any process that had opened it for writing, and lose what it had written.
func (s *Set) openFIFO(path string) (*fifo, error) {
	id := journal.NewID()
	j, err := s.o.Folder.NewPipe(id, s.o.About(id, Note{Path: path}, nil), s.o.Journal)
	if err != nil {
		return nil, fmt.Errorf("FIFO %s: %w", path, err)
	}
	f, r, err := holdFIFO(path)
	if err != nil {
		return nil, errors.Join(err, j.Remove())
	}
	reading, stop := context.WithCancel(s.o.Reading)
	f.stop, f.in = stop, &Input{Journal: j.Journal, Pipe: j, Path: path, FIFO: r, Reading: reading, live: s.live}
	s.live.Add(1)
	return f, nil
}

// holdFIFO opens both ends of a FIFO and locks it.
func holdFIFO(path string) (f *fifo, r *os.File, err error) {
	const flags = unix.O_CLOEXEC | unix.O_NONBLOCK
	// With O_NONBLOCK, opening does not wait for a writer.
	r, err = os.OpenFile(path, os.O_RDONLY|flags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	if err != nil {
		return nil, nil, &InputError{path, fmt.Sprintf("cannot be read (%v): make it readable and writable", err)}
	}
	w, err := os.OpenFile(path, os.O_WRONLY|flags, 0)
	if err != nil {
		r.Close()
		return nil, nil, &InputError{path, fmt.Sprintf("cannot be kept open (%v): make it writable", err)}
	}
	f = &fifo{path: path, w: w, present: true}
	err = func() error {
		info, err := r.Stat()
		other, werr := w.Stat()
		if err = errors.Join(err, werr); err != nil {
			return err
		}
		if f.who = disk.IdentityOf(info); info.Mode()&fs.ModeNamedPipe == 0 || disk.IdentityOf(other) != f.who {
			return fs.ErrNotExist // it was just replaced; the next look finds its successor
		}
		// Two readers of one FIFO would each get some of the bytes.
		if err := unix.Flock(int(r.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
			return &InputError{path, "is already read by another process: stop that process or name another FIFO"}
		}
		return nil
	}()
	if err != nil {
		r.Close()
		w.Close()
		return nil, nil, err
	}
	return f, r, nil
}

// release lets the FIFO end when its last writer closes it, or at once.
func (f *fifo) release(now bool) {
	if f.w != nil {
		f.w.Close()
		f.w = nil
	}
	if now {
		f.stop()
	}
}

// stepFIFOs notices growth, and releases FIFOs that are gone or have ended.
func (s *Set) stepFIFOs(now time.Time) {
	kept := s.fifos[:0]
	for _, f := range s.fifos {
		if size := f.in.Journal.Size(); size != f.size {
			f.size, f.grew, s.came = size, now, now
		}
		if !f.present || f.in.Journal.Ended() {
			f.release(false)
			continue
		}
		kept = append(kept, f)
	}
	clear(s.fifos[len(kept):])
	s.fifos = kept
}
