package journal

// This file is for a Pipe that a command fills through a FIFO in the input's folder. The command
// has both ends of the FIFO open. So it gets no EPIPE if its shipper dies, the bytes it wrote last
// stay in the FIFO, and the process that recovers the input reads on. When nobody has the FIFO open
// any more, because both the command and the shipper are gone, the kernel drops its contents.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"perstack-shipper/shipper/disk"
)

// fifoMode is the mode of every file in the folder.
const fifoMode = 0o600

// NewFIFO makes a Pipe whose bytes a command writes. in is for the command's stdout or stderr. It
// is blocking and open for both reading and writing. The caller closes it once the command has
// started, and uses Take to move the bytes that come out of FIFO to the journal. In memory, and on
// a file system without FIFOs, it is an unnamed pipe, which ends with this process.
func (f *Folder) NewFIFO(id string, about []byte, o Options) (j *Pipe, in *os.File, err error) {
	j, err = f.NewPipe(id, about, o)
	if err != nil {
		return nil, nil, err
	}
	if j.pipe.fifo, in, err = j.makeFIFO(); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("input %s: make its FIFO: %w", id, asFull(err)), j.Remove())
	}
	return j, in, nil
}

// FIFO returns the reading end of the FIFO. It is nil if NewFIFO did not make the input, or if the
// input was recovered and no writer was left. Close closes it; nobody may be reading it then.
func (j *Pipe) FIFO() *os.File { return j.pipe.fifo }

// Outlasts reports whether a later start finds the bytes that the command writes to the FIFO after
// this process is gone. It does not if the FIFO has no name.
func (j *Pipe) Outlasts() bool { return j.named }

// HasWriter reports whether any process, including this one, has the FIFO open for writing, or
// bytes are still in it. known is false if the Pipe has no FIFO.
func (j *Pipe) HasWriter() (writer, known bool) {
	if j.pipe.fifo == nil {
		return false, false
	}
	return disk.HasBytesOrWriter(j.pipe.fifo), true
}

func (j *Pipe) makeFIFO() (out, in *os.File, err error) {
	if j.st.dir() != "" {
		path := j.st.path(fifoName)
		err := unix.Mkfifo(path, fifoMode)
		if err == nil {
			j.named = true
			return openFIFO(path)
		}
		if disk.IsFull(err) {
			return nil, nil, err
		}
	}
	out, in, err = os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	if both, err := openBoth(fmt.Sprintf("/proc/self/fd/%d", in.Fd()), 0); err == nil {
		in.Close()
		in = both
	} // otherwise, if we end first, the command dies of SIGPIPE, as with any pipe
	return out, in, nil
}

func openFIFO(path string) (out, in *os.File, err error) {
	if in, err = openBoth(path, unix.O_NOFOLLOW); err != nil {
		return nil, nil, err
	}
	if out, err = openOut(path); err != nil {
		in.Close()
		return nil, nil, err
	}
	return out, in, nil
}

// openBoth opens a FIFO for reading and writing, which does not block on Linux. [os.OpenFile] would
// make it non-blocking, also for the command.
func openBoth(path string, flags int) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|flags, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// openOut opens a FIFO for reading without waiting for a writer. It returns errNoFIFO if path is
// not a FIFO.
func openOut(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || info.Mode()&fs.ModeNamedPipe == 0 {
		f.Close()
		return nil, errors.Join(err, fmt.Errorf("%s: %w", path, errNoFIFO))
	}
	return f, nil
}

var errNoFIFO = errors.New("it is not a FIFO")

// attachFIFO makes a recovered Pipe go on if some process still has its FIFO open.
func (j *Pipe) attachFIFO(p *pipe) error {
	out, err := openOut(j.st.path(fifoName))
	// Another kind of file with that name was reported as foreign.
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFIFO) {
		return nil
	}
	if err != nil {
		return err
	}
	if !disk.HasBytesOrWriter(out) {
		return out.Close()
	}
	if err := p.writeOn(); err != nil {
		out.Close()
		return err
	}
	j.pipe.fifo = out
	return nil
}

// writeOn makes the last segment active again.
func (p *pipe) writeOn() (err error) {
	n, size := len(p.segs), p.bytes.Load()
	if n > 0 && p.segs[n-1].end == size {
		s := p.segs[n-1]
		if s.f, err = s.in.open(s.name, true); err != nil {
			return err
		}
		s.fd = int(s.f.Fd())
		p.active = s
	} else if p.active, err = newSegment(p.st, size); err != nil { // some of its bytes are missing
		return err
	} else {
		p.segs = append(p.segs, p.active)
	}
	p.opened++
	p.over.Store(false)
	return nil
}
