package journal

// A Child: the one segment of the input is the child's stdout itself, which the child writes
// without us. Here the input is made, taken over after a crash (attach) and ended. child_room.go
// gives its space back, child_writer.go finds out whether somebody still writes it, and growing.go
// reads it.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"perstack-shipper/shipper/disk"
)

var outputName = offsetName(0, outputSuffix)

// output is what a file of our own has that a followed one has not. growing.mu guards it.
type output struct {
	st       store
	who      disk.Identity // of the file, wherever it is moved to
	maxBytes int64
	block    int64 // bytes; holes are multiples of it
	step     int64

	punches   bool  // the file system can; found out when the input was opened
	holeTo    int64 // place in the file up to which all but the head was given back; 0: nothing was
	reserved  int64 // place in the file up to which blocks are allocated ahead, as far as we did it
	noReserve bool  // the file system cannot
	orphaned  bool  // it was taken over: its writer is no child of ours, and nobody says when that ends

	head   []byte // what the file begins with, as far as it is known
	start  int64  // offset of the first byte since the file was last truncated; 0: it never was
	cuts   int64  // offsets before start that stand for truncations and not for bytes
	keep   func(shift int64, o *output) (kept bool)
	unkept bool // what keep should have recorded is not on disk

	// Of an orphaned one, where the file system cannot tell whether somebody writes it.
	unsure     time.Duration // how long its size must stay the same for it to have ended
	stillSize  int64         // its size at the latest look
	stillSince time.Time     // when it got that size, or when all processes were last looked at

	hasWriter func(*os.File) (writer, known bool)
}

// Child is an input whose one segment is the stdout of a child process.
type Child struct {
	*Journal
	grown *growing // src
}

// run starts the background work.
func (j *Child) run() {
	j.Journal.run()
	j.done.Go(func() { j.grown.watch(j.stop, func() bool { return false }) })
}

// NewChild makes an input whose bytes a child writes. The file is for the child's stdout
// ([os/exec.Cmd].Stdout). It is opened with O_APPEND, and the caller closes its own copy after the
// start. Readers see what the child writes without its help or ours.
func (f *Folder) NewChild(id string, about []byte, o Options) (*Child, *os.File, error) {
	base, err := f.begin(id, KindChild, about, o)
	if err != nil {
		return nil, nil, err
	}
	j := &Child{Journal: base}
	file, err := j.st.create(outputName)
	if err == nil {
		_, err = file.Write(outputHead(id))
		err = errors.Join(err, file.Close())
	}
	if err == nil {
		j.header.Shift = -int64(len(outputHead(id)))
		err = j.openOutput()
	}
	if err != nil {
		return nil, nil, j.abandon(err)
	}
	w, err := j.st.openAppend(outputName)
	if err != nil {
		return nil, nil, j.abandon(err)
	}
	if err := j.commit(); err != nil {
		w.Close()
		return nil, nil, err
	}
	j.run()
	return j, w, nil
}

// openOutput opens the existing file for reading, and finds out what the file system can do.
func (j *Child) openOutput() error {
	j.grown = j.newGrowing()
	file, err := j.st.open(outputName, false)
	if err != nil {
		return err
	}
	g := j.grown
	_, block, err := disk.Blocks(file)
	if err != nil {
		file.Close()
		return err
	}
	who, err := disk.Identify(file)
	if err != nil {
		file.Close()
		return err
	}
	g.f, g.path = file, j.st.path(outputName)
	g.output = &output{
		st: j.st, who: who, maxBytes: j.header.MaxBytes, block: max(block, 512), step: punchStep, unsure: unsureEnd, hasWriter: disk.HasWriter,
		head: outputHead(j.id), start: j.header.Start, cuts: j.header.Cuts, keep: j.keepCut,
	}
	switch {
	case j.header.Start > 0: // our head went with the first truncation, unless it is recorded
		g.output.head = j.header.Head
		if len(j.header.Head) == 0 && j.found.Offset > j.header.Start { // an older program recorded none
			g.output.head = headOf(file)
		}
	case j.header.Shift == 0 && g.output.headIsIn(file): // the header was lost
		j.header.Shift = -int64(len(g.output.head))
	}
	g.shift = j.header.Shift
	if j.header.MaxBytes > 0 {
		g.output.step = min(punchStep, max(j.header.MaxBytes/16, g.output.block))
	}
	g.output.punches = probePunch(j.st, g.output.block)
	return nil
}

// newGrowing makes g the source of j.
func (j *Journal) newGrowing() *growing {
	g := &growing{id: j.id, arr: j.arr, bell: &j.bell, off: &j.offsets}
	j.src = g
	return g
}

// EndChild says that the child is dead, and that what it wrote so far is all. An orphan that still
// has the file open is not waited for: see HasWriter.
func (j *Child) EndChild() error {
	j.grown.mu.Lock()
	defer j.grown.mu.Unlock()
	j.grown.finish()
	return nil
}

// attach opens the output of a recovered input, whose child may still write it: the input ends when
// nobody does any more. What was punched out of its front was acked.
func (j *Child) attach() error {
	err := j.openOutput()
	if errors.Is(err, fs.ErrNotExist) {
		j.outputIsGone()
		return nil
	}
	if err != nil {
		return fmt.Errorf("its output in %s: %w", j.st.dir(), err)
	}
	files, err := j.st.list()
	if err != nil {
		return err
	}
	for _, file := range files {
		if file.name != outputName && !known(file) {
			j.damage.Foreign = append(j.damage.Foreign, file.name)
		}
	}
	g := j.grown
	g.output.orphaned = true
	g.output.holeTo = disk.FirstData(g.f)
	held := max(g.output.start, g.output.holeTo+g.shift) // offset of the first byte that is held
	switch off := j.found.Offset; {
	case j.fallback != "":
		j.found.Offset = held
		j.fallback += fmt.Sprintf("; starting at offset %d, the first that is held: what came before it was acked, and what was acked after it is repeated", j.found.Offset)
	case off < g.output.holeTo+g.shift && off >= g.output.start:
		j.fallback = fmt.Sprintf("the cursor is at %d, before the first byte that is held, %d: the %d bytes between were acked and the newer cursor lost, or are missing",
			off, held, held-off)
		j.damage.Gaps = append(j.damage.Gaps, Gap{off, held})
	}
	if err := g.attachAt(j.found.Offset, j.cur.mark, j.arr.latest()); err != nil {
		return err
	}
	g.endIfAbandoned()
	return nil
}

// outputIsGone ends an input whose file is gone. What the file is known to have held is missing.
func (j *Child) outputIsGone() {
	if j.grown == nil {
		j.grown = j.newGrowing()
	}
	g := j.grown
	g.output = &output{st: j.st}
	g.over, g.path = true, j.st.path(outputName)
	g.seen, g.readTo = j.found.Offset, j.found.Offset
	latest := j.arr.latest()
	j.damage.note("its output is gone, so how many bytes came after offset %d is not known (the index of arrivals knows %d)", g.seen, max(0, latest-g.seen))
	if latest > g.seen {
		j.damage.Gaps = append(j.damage.Gaps, Gap{g.seen, latest})
		g.seen = latest
	}
}
