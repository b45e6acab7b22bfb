package journal

// The disk space of a Child: what is reserved for the child, what it may still write, and how acked
// bytes are given back. The child is stopped and continued elsewhere, in package guard.

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
