package journal

// Whether somebody still writes a Child. Its shipper is told when its own child ends, but a shipper
// that took the input over must ask: the kernel, then the processes of this machine, then the
// clock.

import (
	"time"

	"perstack-shipper/shipper/disk"
)

// unsureEnd is how long the output of a command that outlived its shipper must stand still to count
// as complete, if the file system cannot tell who writes it, as EFS cannot, and no process of this
// machine has it open. If one has, the command may think as long as it likes.
const unsureEnd = 30 * time.Second

// HasWriter reports whether anybody, this process included, has the child's file open for writing;
// where the file system cannot tell, whether another process of this machine has. known is false
// where that cannot be told either.
func (j *Child) HasWriter() (writer, known bool) {
	g := j.grown
	g.mu.Lock() // our own opening for a hole would count
	defer g.mu.Unlock()
	if g.f == nil || g.closed {
		return false, false
	}
	if writer, known = g.output.hasWriter(g.f); !known && g.output.st.dir() != "" {
		return disk.OthersWrite(g.output.who, outputName)
	}
	return writer, known
}

// WrittenBy reports whether the process pid has the child's file open for writing, as far as this
// process may see that. It may be called after Close, too.
func (j *Child) WrittenBy(pid int) bool {
	j.grown.mu.Lock()
	who := j.grown.output.who
	j.grown.mu.Unlock()
	return disk.ProcessWrites(pid, who, outputName)
}

// endIfAbandoned ends a recovered input when nobody writes it any more. The watcher calls it at
// each poll (watch.go). g.mu is held, or nobody else has g yet.
func (g *growing) endIfAbandoned() {
	if g.over || g.closed || g.output == nil || !g.output.orphaned {
		return
	}
	writer, known := g.output.hasWriter(g.f)
	if !known {
		writer = g.mayHaveWriter(time.Now())
	}
	if !writer {
		g.finish()
	}
}

// mayHaveWriter stands in for hasWriter where the file system cannot tell: it is true until the
// file has stood still for the time unsure and no process of this machine has it open. g.mu is
// held.
func (g *growing) mayHaveWriter(now time.Time) bool {
	o := g.output
	if o.stillSince.IsZero() || g.seen != o.stillSize {
		o.stillSize, o.stillSince = g.seen, now
	}
	if now.Sub(o.stillSince) < o.unsure {
		return true
	}
	o.stillSince = now // looking at all processes is expensive: not before another such time
	writer, known := disk.OthersWrite(o.who, outputName)
	return known && writer
}
