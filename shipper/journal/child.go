package journal

// A Child: the input's one segment is the child's stdout (or stderr) itself. The child writes it without us; here it is read, watched,
// given back by punching holes, and kept from filling the disk.

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"time"
)

// punchStep is how many acked bytes are worth a hole while more is coming: a hole costs an open and a change of the file's extents.
const punchStep = 256 << 10

var outputName = offsetName(0, outputSuffix)

// output is what a file of our own has beyond a followed one. Guarded by growing.mu.
type output struct {
	st       store
	who      identity // of the file, wherever it is moved to
	maxBytes int64
	block    int64 // bytes; holes are multiples of it
	step     int64

	punches   bool  // the file system can; found out when the input was opened
	punched   int64 // all before it was given back
	reserved  int64 // offset up to which blocks are allocated ahead, as far as we did it
	noReserve bool  // the file system cannot
	orphaned  bool  // its writer is no child of ours: whether one is left has to be probed

	unsure    time.Duration // how long it must stand still to have ended where the file system cannot tell
	stillAt   int64         // its size, and since when it has that
	still     time.Time
	hasWriter func(*os.File) (writer, known bool)
}

// unsureEnd is how long the output of a command that outlived its shipper must stand still to be taken for all where the file system cannot tell who writes
// it, as EFS cannot, and no process of this machine has it open. Where one has, the command may think as long as it likes.
const unsureEnd = 30 * time.Second

// NewChild makes an input whose bytes a child writes. The file is for the child's stdout or stderr (exec.Cmd.Stdout): opened
// O_APPEND; the caller closes its own copy after the start. Readers see what the child writes without its or our help.
func (f *Folder) NewChild(id string, about []byte, o Options) (*Journal, *os.File, error) {
	j, err := f.begin(id, Child, about, o)
	if err != nil {
		return nil, nil, err
	}
	file, err := j.st.create(outputName)
	if err == nil {
		err = file.Close()
	}
	if err == nil {
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
	return j, w, nil
}

// openOutput opens the file that is there, for reading, and finds out what the file system can.
func (j *Journal) openOutput() error {
	j.newGrowing()
	file, err := j.st.open(outputName, false)
	if err != nil {
		return err
	}
	g := j.grown
	_, block, err := blocksOf(file)
	if err != nil {
		file.Close()
		return err
	}
	who, err := identify(file)
	if err != nil {
		file.Close()
		return err
	}
	g.f, g.path = file, j.st.path(outputName)
	g.own = &output{st: j.st, who: who, maxBytes: j.rec.MaxBytes, block: max(block, 512), step: punchStep, unsure: unsureEnd, hasWriter: HasWriter}
	if j.rec.MaxBytes > 0 {
		g.own.step = min(punchStep, max(j.rec.MaxBytes/16, g.own.block))
	}
	g.own.punches = probePunch(j.st, g.own.block)
	return nil
}

func (j *Journal) newGrowing() {
	j.grown = &growing{id: j.id, arr: j.arr, bell: &j.bell, freeable: j.freeable}
	j.src = j.grown
}

// probePunch tries a hole on a file of its own, and looks whether blocks came back: some file systems take the call and do nothing.
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
	return punches(f, block)
}

// punches tries a hole in f, an empty file.
func punches(f *os.File, block int64) bool {
	if _, err := f.WriteAt(make([]byte, 2*block), 0); err != nil {
		return false
	}
	before, _, err := blocksOf(f)
	if err != nil || punch(f, 0, block) != nil {
		return false
	}
	after, _, err := blocksOf(f)
	return err == nil && after < before
}

// Reserve allocates blocks ahead of what the child writes, up to n bytes or the limit, and says how many bytes it may write now without
// needing new ones: fewer near MaxBytes, 0 where the file system cannot reserve. ErrFull when the disk has no room for it. Only for a Child.
func (j *Journal) Reserve(n int64) (ahead int64, err error) {
	if j.kind != Child {
		return 0, fmt.Errorf("journal input %s: reserve: %w", j.id, ErrKind)
	}
	g := j.grown
	g.mu.Lock()
	defer g.mu.Unlock()
	g.look()
	if g.over || g.closed {
		return 0, nil
	}
	ahead, err = g.own.reserve(g.f, g.seen, n)
	if err != nil {
		return ahead, fmt.Errorf("journal input %s: reserve %d bytes in %s: %w", j.id, n, j.st.dir(), full(err))
	}
	return ahead, nil
}

func (o *output) reserve(f *os.File, size, n int64) (ahead int64, err error) {
	from := max(size, o.reserved)
	to := size + n
	if o.maxBytes > 0 {
		blocks, _, err := blocksOf(f)
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
	switch err := reserve(w, from, to-from); {
	case errors.Is(err, errors.ErrUnsupported):
		o.noReserve = true
	case err != nil:
		return from - size, err
	default:
		o.reserved = to
	}
	return max(o.reserved, size) - size, nil
}

// Headroom is how many bytes the child may write before MaxBytes or the end of the disk is reached; math.MaxInt64 when neither is
// known. What was reserved counts as free: it is the child's. Stop the child while there is some left, for it does not ask. Only for a Child.
func (j *Journal) Headroom() (int64, error) {
	if j.kind != Child {
		return 0, fmt.Errorf("journal input %s: headroom: %w", j.id, ErrKind)
	}
	g := j.grown
	g.mu.Lock()
	defer g.mu.Unlock()
	g.look()
	if g.over || g.closed {
		return math.MaxInt64, nil
	}
	room, err := g.own.headroom(g.f, g.seen)
	if err != nil {
		return 0, fmt.Errorf("journal input %s: how much room is left: %w", j.id, err)
	}
	return room, nil
}

// writable opens the output for writing, for an instant. Where its name is gone or cannot be written, it is found by the descriptor of f: else nothing
// could be given back of a file whose folder somebody has removed, and its writer would be stopped for ever.
func (o *output) writable(f *os.File) (*os.File, error) {
	w, err := o.st.open(outputName, true)
	if err == nil {
		return w, nil
	}
	if again, aerr := reopen(f); aerr == nil {
		return again, nil
	}
	return nil, err
}

func (o *output) headroom(f *os.File, size int64) (int64, error) {
	ahead, room := max(0, o.reserved-size), int64(math.MaxInt64)
	if o.maxBytes > 0 {
		blocks, _, err := blocksOf(f)
		if err != nil {
			return 0, err
		}
		room = o.maxBytes - blocks + ahead
	}
	free, known, err := diskFree(f)
	if err != nil {
		return 0, err
	}
	if known {
		room = min(room, free+ahead)
	}
	return max(0, room), nil
}

// PunchesHoles says whether acked bytes of a Child are given back while it runs. Where not, its file grows until the end. True of a Pipe.
func (j *Journal) PunchesHoles() bool {
	return j.kind == Pipe || j.kind == Child && j.grown.own.punches
}

// punch gives back what is before off, but for the sample that says whether the file was rewritten. Holes grow from the front, in blocks, and in
// steps while more is coming. growing.mu is held.
func (o *output) punch(f *os.File, off, size int64) error {
	to := (off - sampleBytes) / o.block * o.block
	if !o.punches || to <= o.punched || to-o.punched < o.step && off < size {
		return nil
	}
	w, err := o.writable(f)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := punch(w, o.punched, to-o.punched); err != nil {
		return err
	}
	o.punched = to
	return nil
}

// EndChild says that the child is dead, and that what it wrote till now is all: an orphan that still has the file open is not waited for
// (see HasWriter). Only for a Child.
func (j *Journal) EndChild() error {
	if j.kind != Child {
		return fmt.Errorf("journal input %s: end of a child: %w", j.id, ErrKind)
	}
	j.grown.mu.Lock()
	defer j.grown.mu.Unlock()
	j.grown.finish()
	return nil
}

// HasWriter says whether anybody has the child's file open for writing, this process included; where the file system cannot tell, whether another process of
// this machine has. known is false where that cannot be told either, and for other kinds.
func (j *Journal) HasWriter() (writer, known bool) {
	if j.kind != Child {
		return false, false
	}
	g := j.grown
	g.mu.Lock() // our own opening for a hole would count
	defer g.mu.Unlock()
	if g.f == nil || g.closed {
		return false, false
	}
	if writer, known = g.own.hasWriter(g.f); !known && g.own.st.dir() != "" {
		return othersWrite(g.own.who)
	}
	return writer, known
}

// WrittenBy reports whether the process pid has the child's file open for writing, as far as this process may see that. It may be asked after Close, too.
func (j *Journal) WrittenBy(pid int) bool {
	if j.kind != Child || j.grown == nil {
		return false
	}
	j.grown.mu.Lock()
	who := j.grown.own.who
	j.grown.mu.Unlock()
	return processWrites(pid, who)
}

// probeWriter ends a recovered input when nobody writes it any more. g.mu is held, or nobody else has g yet.
func (g *growing) probeWriter() {
	if g.over || g.closed || g.own == nil || !g.own.orphaned {
		return
	}
	writer, known := g.own.hasWriter(g.f)
	if !known {
		writer = g.mayHaveWriter(time.Now())
	}
	if !writer {
		g.finish()
	}
}

// mayHaveWriter is what can be said without the file system's help. g.mu is held.
func (g *growing) mayHaveWriter(now time.Time) bool {
	o := g.own
	if o.still.IsZero() || g.seen != o.stillAt {
		o.stillAt, o.still = g.seen, now
	}
	if now.Sub(o.still) < o.unsure {
		return true
	}
	o.still = now // to look at all processes costs something
	writer, known := othersWrite(o.who)
	return known && writer
}

// attachOutput opens the output of a recovered input. What was punched out of its front was acked.
func (j *Journal) attachOutput() error {
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
	g.own.orphaned = true
	g.own.punched = firstData(g.f)
	switch off := j.found.Offset; {
	case j.fallback != "":
		j.found.Offset = g.own.punched
		j.fallback += fmt.Sprintf("; starting at offset %d, the first that is held: what came before it was acked, and what was acked after it is repeated", j.found.Offset)
	case off < g.own.punched:
		j.fallback = fmt.Sprintf("the cursor is at %d, before the first byte that is held, %d: the %d bytes between were acked and the newer cursor lost, or are missing",
			off, g.own.punched, g.own.punched-off)
		j.damage.Gaps = append(j.damage.Gaps, Gap{off, g.own.punched})
	}
	if err := j.attachGrown(); err != nil {
		return err
	}
	g.probeWriter()
	return nil
}

// attachGrown goes on at the cursor, and says so when the file is not what it was.
func (j *Journal) attachGrown() error {
	if err := j.grown.attachAt(j.found.Offset, j.cur.mark, j.arr.latest()); err != nil {
		return err
	}
	if j.grown.cut && j.fallback == "" && j.kind == Child { // of a followed file ReadAt says it
		j.fallback = fmt.Sprintf("%s was truncated or rewritten while nobody looked; the cursor was at %d", j.grown.path, j.found.Offset)
	}
	return nil
}

// outputIsGone: the input has ended. Its bytes moved to a successor, which is no loss, or are missing.
func (j *Journal) outputIsGone() {
	if j.grown == nil {
		j.newGrowing()
	}
	g := j.grown
	g.own = &output{st: j.st}
	g.over, g.path = true, j.st.path(outputName)
	g.seen, g.readTo = j.found.Offset, j.found.Offset
	if j.rec.Successor != "" {
		j.fallback = fmt.Sprintf("its output was truncated at a time and goes on as input %s", j.rec.Successor)
		return
	}
	latest := j.arr.latest()
	j.damage.note("its output is gone, so how many bytes came after offset %d is not known (the index of arrivals knows %d)", g.seen, max(0, latest-g.seen))
	if latest > g.seen {
		j.damage.Gaps = append(j.damage.Gaps, Gap{g.seen, latest})
		g.seen = latest
	}
}

// Succeed makes, after ErrTruncated, a new input of what the file holds now, from its start; with the options and the snapshot of this
// one (see SetAbout). The child's file moves there; a followed one stays where it is. This input has ended: ack what was read, then Remove it.
func (j *Journal) Succeed(id string) (*Journal, error) {
	if j.grown == nil {
		return nil, fmt.Errorf("journal input %s: succeed: %w", j.id, ErrKind)
	}
	if !j.grown.wasCut() {
		return nil, fmt.Errorf("journal input %s: succeed: it was not truncated; go on with it", j.id)
	}
	next, err := j.folder.begin(id, j.kind, j.About(), j.rec.options())
	if err != nil {
		return nil, err
	}
	next.rec.Path, next.rec.Dev, next.rec.Ino, next.rec.Born = j.rec.Path, j.rec.Dev, j.rec.Ino, j.rec.Born
	if err := next.writeRecord(); err != nil { // before the bytes move there: what is abandoned must hold none
		return nil, next.abandon(err)
	}
	if j.kind == Child {
		err = j.moveOutput(next)
	} else {
		err = j.followAgain(next)
	}
	if err != nil {
		return nil, next.abandon(err)
	}
	next.start()
	return next, nil
}

// moveOutput gives the child's file to next. The record of this input says so first: a crash after it finds no loss where there is none.
func (j *Journal) moveOutput(next *Journal) error {
	j.rec.Successor = next.id
	if err := j.writeRecord(); err != nil {
		return err
	}
	j.grown.mu.Lock()
	err := j.st.move(outputName, next.st)
	orphaned := j.grown.own.orphaned
	j.grown.mu.Unlock()
	if err != nil {
		return err
	}
	if err := next.openOutput(); err != nil {
		return errors.Join(err, next.st.move(outputName, j.st)) // bytes are not abandoned
	}
	g := next.grown
	g.own.orphaned = orphaned
	g.own.punched = firstData(g.f) // not 0 when somebody cut only the end
	return g.attachAt(0, 0, 0)
}
