package journal

// This file manages the disk space of an Output: what is reserved for the command, what it may
// still write, and how acked bytes are given back. Package guard stops the command and continues
// it.

import (
	"errors"
	"fmt"
	"math"
	"os"

	"perstack-shipper/shipper/disk"
)

// punchStep is how many acked bytes are worth a hole while more are coming. A hole costs an open
// and a change of the file's extents.
const punchStep = 256 << 10

// outputSpace says what an outputFile takes on disk, and what is reserved for it.
type outputSpace struct {
	maxBytes int64
	block    int64 // bytes; holes are multiples of it
	step     int64 // acked bytes that are worth a hole while more are coming

	punches   bool  // the file system can punch holes; found out when the input was opened
	holeTo    int64 // place in the file up to which all but the head was given back; 0: nothing
	reserved  int64 // place in the file up to which we have allocated blocks
	noReserve bool  // the file system cannot allocate blocks ahead
}

// openSpace finds out what the file system can do.
func (o *outputFile) openSpace(maxBytes, block int64) {
	o.maxBytes, o.block, o.step = maxBytes, block, punchStep
	if maxBytes > 0 {
		o.step = min(punchStep, max(maxBytes/16, block))
	}
	o.punches = probePunch(o.st, block)
}

// Reserve allocates blocks ahead of what the command writes, up to n bytes or the limit. It returns
// how many bytes the command may write now without needing new blocks: fewer near MaxBytes, and 0
// if the file system cannot reserve. [ErrFull] says that the disk has no room for them.
func (j *Output) Reserve(n int64) (ahead int64, err error) {
	o := j.file
	o.mu.Lock()
	defer o.mu.Unlock()
	o.look()
	if o.over || o.closed {
		return 0, nil
	}
	ahead, err = o.reserve(o.seen-o.shift, n)
	if err != nil {
		return ahead, fmt.Errorf("input %s: reserve %d bytes in %s: %w", j.id, n, j.st.dir(), asFull(err))
	}
	return ahead, nil
}

// reserve allocates blocks for n bytes behind size.
func (o *outputFile) reserve(size, n int64) (ahead int64, err error) {
	from := max(size, o.reserved)
	to := size + n
	if o.maxBytes > 0 {
		blocks, _, err := disk.Blocks(o.f)
		if err != nil {
			return from - size, err
		}
		to = min(to, from+o.maxBytes-blocks)
	}
	if to <= from || o.noReserve {
		return from - size, nil
	}
	w, err := o.writable()
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

// Headroom returns how many bytes the command may write before it reaches MaxBytes or the end of
// the disk, or [math.MaxInt64] if neither is known. Only an output in memory has a MaxBytes: on
// disk package guard has the limit. Reserved blocks count as free, because they are the command's.
// Stop the command while some room is left: it does not check for itself.
func (j *Output) Headroom() (int64, error) {
	o := j.file
	o.mu.Lock()
	defer o.mu.Unlock()
	o.look()
	if o.over || o.closed {
		return math.MaxInt64, nil
	}
	room, err := o.headroom(o.seen - o.shift)
	if err != nil {
		return 0, fmt.Errorf("input %s: how much room is left: %w", j.id, err)
	}
	return room, nil
}

func (o *outputFile) headroom(size int64) (int64, error) {
	ahead, room := max(0, o.reserved-size), int64(math.MaxInt64)
	if o.maxBytes > 0 {
		blocks, _, err := disk.Blocks(o.f)
		if err != nil {
			return 0, err
		}
		room = o.maxBytes - blocks + ahead
	}
	free, known, err := disk.Free(o.f)
	if err != nil {
		return 0, err
	}
	if known {
		room = min(room, free+ahead)
	}
	return max(0, room), nil
}

// Ahead returns how many bytes the command may write before it needs blocks that are not reserved
// for it.
func (j *Output) Ahead() int64 {
	o := j.file
	o.mu.Lock()
	defer o.mu.Unlock()
	return max(0, o.reserved-(o.seen-o.shift))
}

// writable opens the output for writing, for an instant. If its name is gone or not writable, it
// reopens the file by its descriptor. Otherwise no space could be given back once somebody has
// removed the folder, and the command would stay stopped for ever.
func (o *outputFile) writable() (*os.File, error) {
	w, err := o.st.open(outputName, true)
	if err == nil {
		return w, nil
	}
	if again, aerr := disk.Reopen(o.f); aerr == nil {
		return again, nil
	}
	return nil, err
}

// PunchesHoles reports whether acked bytes are given back while the command runs. If not, its file
// grows until the end.
func (j *Output) PunchesHoles() bool { return j.file.punches }

// free gives back the acked bytes, except for the first block, which holds the head, and the sample
// before the place it frees up to. Holes grow from the front, in blocks, and in steps while more
// bytes are coming.
func (o *outputFile) free() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.f == nil || o.closed || !o.punches {
		return nil
	}
	acked, size := min(o.off.reclaimable(), o.readTo)-o.shift, o.seen-o.shift
	from, to := max(o.holeTo, o.block), (acked-sampleBytes)/o.block*o.block
	if to <= from || to-from < o.step && acked < size {
		return nil
	}
	w, err := o.writable()
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

// probePunch tries a hole in a file of its own and checks that blocks came back: some file systems
// accept the call and do nothing.
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
