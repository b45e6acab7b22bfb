package journal

// A Child: the one segment of the input is the child's stdout itself. The child writes it without
// us; here it is read, watched, given back by punching holes, and kept from filling the disk.

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"time"

	"perstack-shipper/shipper/disk"
)

// punchStep is how many acked bytes are worth a hole while more are coming. A hole costs an open
// and a change of the file's extents.
const punchStep = 256 << 10

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
	orphaned  bool  // its writer is no child of ours: whether one is left has to be probed

	head   []byte // what the file begins with, as far as it is known
	start  int64  // offset of the first byte since the file was last truncated; 0: it never was
	cuts   int64  // offsets before start that stand for truncations and not for bytes
	keep   func(shift int64, o *output) (kept bool)
	unkept bool // what keep should have recorded is not on disk

	unsure    time.Duration // how long it must stand still to have ended where the file system cannot tell
	stillAt   int64         // its size, and since when it has that
	still     time.Time
	hasWriter func(*os.File) (writer, known bool)
}

// unsureEnd is how long the output of a command that outlived its shipper must stand still to count
// as complete, if the file system cannot tell who writes it, as EFS cannot, and no process of this
// machine has it open. If one has, the command may think as long as it likes.
const unsureEnd = 30 * time.Second

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

// probePunch tries a hole in a file of its own and looks whether blocks came back: some file
// systems accept the call and do nothing.
func probePunch(st store, block int64) bool {
	_ = st.remove(probeName) // left by a crash
	f, err := st.create(probeName)
	if err != nil {
		return false
	}
	defer func() {
		f.Close()
		_ = st.remove(probeName)
	}()
	return disk.Punches(f, block)
}

// Reserve allocates blocks ahead of what the child writes, up to n bytes or the limit. It returns
// how many bytes the child may write now without needing new blocks: fewer near MaxBytes, and 0
// where the file system cannot reserve. [ErrFull] says that the disk has no room for it.
func (j *Child) Reserve(n int64) (ahead int64, err error) {
	g := j.grown
	g.mu.Lock()
	defer g.mu.Unlock()
	g.look()
	if g.over || g.closed {
		return 0, nil
	}
	ahead, err = g.output.reserve(g.f, g.seen-g.shift, n)
	if err != nil {
		return ahead, fmt.Errorf("input %s: reserve %d bytes in %s: %w", j.id, n, j.st.dir(), full(err))
	}
	return ahead, nil
}

func (o *output) reserve(f *os.File, size, n int64) (ahead int64, err error) {
	from := max(size, o.reserved)
	to := size + n
	if o.maxBytes > 0 {
		blocks, _, err := disk.Blocks(f)
		if err != nil {
			return from - size, err
		}
		to = min(to, from+o.maxBytes-blocks)
	}
	if to <= from || o.noReserve {
		return from - size, nil
	}
	w, err := o.writable(f)
	if err != nil {
		return from - size, err
	}
	defer w.Close()
	switch err := disk.Reserve(w, from, to-from); {
	case errors.Is(err, errors.ErrUnsupported):
		o.noReserve = true
	case err != nil:
		return from - size, err
	default:
		o.reserved = to
	}
	return max(o.reserved, size) - size, nil
}

// Headroom returns how many bytes the child may write before MaxBytes or the end of the disk is
// reached, and [math.MaxInt64] if neither is known. What was reserved counts as free, because it is
// the child's. Stop the child while some is left, because it does not ask.
func (j *Child) Headroom() (int64, error) {
	g := j.grown
	g.mu.Lock()
	defer g.mu.Unlock()
	g.look()
	if g.over || g.closed {
		return math.MaxInt64, nil
	}
	room, err := g.output.headroom(g.f, g.seen-g.shift)
	if err != nil {
		return 0, fmt.Errorf("input %s: how much room is left: %w", j.id, err)
	}
	return room, nil
}

// Ahead returns how many bytes the child may write before it needs blocks that are not reserved for
// it.
func (j *Child) Ahead() int64 {
	g := j.grown
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(0, g.output.reserved-(g.seen-g.shift))
}

// writable opens the output for writing, for an instant. If its name is gone or cannot be written,
// it is found by the descriptor of f: otherwise nothing could be given back of a file whose folder
// somebody has removed, and its writer would be stopped for ever.
func (o *output) writable(f *os.File) (*os.File, error) {
	w, err := o.st.open(outputName, true)
	if err == nil {
		return w, nil
	}
	if again, aerr := disk.Reopen(f); aerr == nil {
		return again, nil
	}
	return nil, err
}

func (o *output) headroom(f *os.File, size int64) (int64, error) {
	ahead, room := max(0, o.reserved-size), int64(math.MaxInt64)
	if o.maxBytes > 0 {
		blocks, _, err := disk.Blocks(f)
		if err != nil {
			return 0, err
		}
		room = o.maxBytes - blocks + ahead
	}
	free, known, err := disk.Free(f)
	if err != nil {
		return 0, err
	}
	if known {
		room = min(room, free+ahead)
	}
	return max(0, room), nil
}

// PunchesHoles reports whether acked bytes are given back while the child runs. If not, its file
// grows until the end.
func (j *Child) PunchesHoles() bool {
	return j.grown.output.punches
}

// punch gives back what is before the place off in the file, except for the first block, which
// holds the head, and the sample before off. Holes grow from the front, in blocks, and in steps
// while more is coming. growing.mu is held.
func (o *output) punch(f *os.File, off, size int64) error {
	from, to := max(o.holeTo, o.block), (off-sampleBytes)/o.block*o.block
	if !o.punches || to <= from || to-from < o.step && off < size {
		return nil
	}
	w, err := o.writable(f)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := disk.Punch(w, from, to-from); err != nil {
		return err
	}
	o.holeTo = to
	return nil
}

// EndChild says that the child is dead, and that what it wrote so far is all. An orphan that still
// has the file open is not waited for: see HasWriter.
func (j *Child) EndChild() error {
	j.grown.mu.Lock()
	defer j.grown.mu.Unlock()
	j.grown.finish()
	return nil
}

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

// probeWriter ends a recovered input when nobody writes it any more. g.mu is held, or nobody else
// has g yet.
func (g *growing) probeWriter() {
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

// mayHaveWriter returns what can be said without the file system's help. g.mu is held.
func (g *growing) mayHaveWriter(now time.Time) bool {
	o := g.output
	if o.still.IsZero() || g.seen != o.stillAt {
		o.stillAt, o.still = g.seen, now
	}
	if now.Sub(o.still) < o.unsure {
		return true
	}
	o.still = now // to look at all processes costs something
	writer, known := disk.OthersWrite(o.who, outputName)
	return known && writer
}

// attach opens the output of a recovered input. What was punched out of its front was acked.
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
	g.probeWriter()
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
