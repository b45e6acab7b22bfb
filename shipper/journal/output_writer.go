package journal

// This file finds out whether somebody still writes an Output. The shipper that started the command
// knows when it ends. A shipper that took the input over has to find out: it asks the kernel, then
// looks at the processes of this machine, then at the clock.

import (
	"os"
	"time"

	"perstack-shipper/shipper/disk"
)

// quietEnd is how long the output of a command that outlived its shipper must stay the same size to
// count as complete. It applies if the file system cannot tell who writes the file, as EFS cannot,
// and no process of this machine has it open. If one has, the command may think as long as it
// likes.
const quietEnd = 30 * time.Second

// outputWriter has what is known about the processes that write an outputFile.
type outputWriter struct {
	// orphaned says that the input was recovered. Its writer is no child of ours, so we must find
	// out when it ends.
	orphaned  bool
	hasWriter func(*os.File) (writer, known bool)

	// For an orphaned file whose file system cannot tell whether somebody writes it.
	quietEnd   time.Duration
	quietSize  int64     // size at the latest look
	quietSince time.Time // when it got that size, or when all processes were last looked at
}

// HasWriter reports whether any process, including this one, has the file open for writing. If the
// file system cannot tell, it reports whether another process of this machine has. known is false
// if that cannot be told either.
func (j *Output) HasWriter() (writer, known bool) {
	o := j.file
	o.mu.Lock() // our own opening for a hole would count
	defer o.mu.Unlock()
	if o.f == nil || o.closed {
		return false, false
	}
	if writer, known = o.hasWriter(o.f); !known && o.st.dir() != "" {
		return disk.OthersWrite(o.who, outputName)
	}
	return writer, known
}

// WrittenBy reports whether the process pid has the file open for writing, as far as this process
// may see that. It may be called after Close.
func (j *Output) WrittenBy(pid int) bool { return disk.ProcessWrites(pid, j.file.who, outputName) }

// endIfAbandoned ends a recovered input when no process writes it any more. The watcher calls it at
// each poll (watch.go). o.mu is held, or nobody else has o yet.
func (o *outputFile) endIfAbandoned() {
	if o.over || o.closed || !o.orphaned {
		return
	}
	writer, known := o.hasWriter(o.f)
	if !known {
		writer = o.mayHaveWriter(time.Now())
	}
	if !writer {
		o.finish()
	}
}

// mayHaveWriter stands in for hasWriter if the file system cannot tell. It returns true until the
// file has not grown for quietEnd and no process of this machine has it open. o.mu is held.
func (o *outputFile) mayHaveWriter(now time.Time) bool {
	if o.quietSince.IsZero() || o.seen != o.quietSize {
		o.quietSize, o.quietSince = o.seen, now
	}
	if now.Sub(o.quietSince) < o.quietEnd {
		return true
	}
	o.quietSince = now // inspecting all processes is expensive: wait as long before the next time
	writer, known := disk.OthersWrite(o.who, outputName)
	return known && writer
}
