package journal

// A Pipe that a child fills through a FIFO in the input's folder. The child holds the FIFO open at
// both ends: it gets no EPIPE when its shipper dies, what it wrote last stays in there, and whoever
// recovers the input reads on. When nobody holds it any more, because both child and shipper are
// gone, the kernel drops what is in it.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"perstack-shipper/shipper/disk"
)

// fifoMode is the mode of all files in the folder.
const fifoMode = 0o600

// NewFIFO makes a Pipe whose bytes a child writes. in is for the child's stdout or stderr. It
// blocks, and is open for reading, too; the caller closes its own copy after the start, and moves
// what comes out of FIFO to the journal, with Take. In memory, and where the file system has no
// FIFOs, it is a pipe without a name, which ends with this process.
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

// FIFO returns the end that a child's bytes come out of. It is nil if NewFIFO did not make the
// input, or the input was recovered and no writer was left. Close closes it; nobody may be reading
// it then.
func (j *Pipe) FIFO() *os.File { return j.pipe.fifo }

// Outlasts reports whether a later start finds what the child writes to the FIFO after this process
// is gone. It does not if the FIFO has no name.
func (j *Pipe) Outlasts() bool { return j.named }

// HasWriter reports whether anybody, this process included, has the FIFO open for writing, or
// something is still in it. known is false of a Pipe that has no FIFO.
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
	} // else the child dies of SIGPIPE if we are gone before it, as in any pipe
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

// openBoth opens a FIFO at both ends, which on Linux does not wait. [os.OpenFile] would make it
// non-blocking for the child, too.
func openBoth(path string, flags int) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|flags, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// openOut opens a FIFO for reading without waiting for a writer. It returns errNoFIFO if it is
// something else.
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

// attachFIFO lets a recovered Pipe go on if somebody still holds its FIFO.
func (j *Pipe) attachFIFO(p *pipe) error {
	out, err := openOut(j.st.path(fifoName))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFIFO) { // what else has its name is known as foreign
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

// writeOn makes the last segment the active one again.
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
