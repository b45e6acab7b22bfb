package journal

// The source of a Child and of a File: one file that somebody else writes, and may truncate.

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"
	"time"

	"perstack-shipper/shipper/disk"
)

// sampleBytes is how many of the bytes read last are kept to see whether they are still there. If a
// file is truncated and then grows beyond its old size between two looks, its size does not tell.
const sampleBytes = 64

// growing is a file that grows under us.
//
// mu guards everything below it and is held while the file is read, too: a look at the size, a read
// and the punching of a hole happen one at a time, so that nobody reads a hole as bytes, and the
// arrival of what a look has seen is noted before it can be read. Two or three parties use it: the
// reader, a second reader, the watcher. Whoever writes the file is not one of them.
type growing struct {
	// immutable once set
	id      string
	path    string // for messages; "" in memory
	arr     *arrivals
	bell    *bell
	off     *offsets
	output  *output // what only our own file has; nil of a followed one
	another bool    // it is not the file that was followed before, whatever it holds

	mu     sync.Mutex
	f      *os.File // for reading only: whoever has it open for writing counts as a writer
	shift  int64    // offset of a byte less its place in the file; 0 of a followed one
	seen   int64    // offset after the last byte that a look has found
	readTo int64    // offset after the last byte that was read
	sample []byte   // the bytes before readTo, as they were read: at most sampleBytes
	over   bool     // no more bytes will come
	cut    bool     // it was truncated or rewritten; over, too
	closed bool
}

// attachAt starts at an offset that was acked before. mark is that of the bytes before it then, and
// 0 if it is not known. Bytes up to latest are known to have been there.
func (g *growing) attachAt(off int64, mark uint32, latest int64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	size, err := disk.Size(g.f)
	if err != nil {
		return err
	}
	if g.output != nil && off < g.output.start { // acked up to a truncation that the reader has yet to meet
		off, mark = g.output.start, 0
	}
	g.seen, g.readTo = size+g.shift, off
	seen := max(off, latest)
	if g.another || g.seen < seen || !g.headIsThere() || mark != 0 && g.heldBefore(off) && mark != g.sum(off) {
		g.seen = seen
		g.truncated()
		return nil
	}
	g.sample = g.before(off)
	return nil
}

// heldBefore reports whether the bytes that make a mark at off are still held.
func (g *growing) heldBefore(off int64) bool {
	return g.output == nil || g.output.holeTo <= max(0, off-g.shift-sampleBytes)
}

// look notices growth and truncation. g.mu is held.
func (g *growing) look() {
	if g.over || g.closed {
		return
	}
	size, err := disk.Size(g.f)
	if err != nil {
		return // an fstat of an open file fails on a network file system only, and passes
	}
	size += g.shift
	switch {
	case size < g.seen, size > g.seen && !g.same():
		g.truncated()
	case size > g.seen:
		g.arr.note(g.seen, time.Now().UnixMilli())
		g.seen = size
		g.bell.ring()
	}
}

// same reports whether the sample, and the head of a file of our own, are still in the file.
func (g *growing) same() bool { return g.headIsThere() && g.sampleIsThere() }

func (g *growing) headIsThere() bool { return g.output == nil || g.output.headIsIn(g.f) }

func (g *growing) sampleIsThere() bool { return bytes.HasSuffix(g.before(g.readTo), g.sample) }

// before reads the bytes before off, at most sampleBytes. They are zeros if they cannot be read.
func (g *growing) before(off int64) []byte {
	at := off - g.shift
	b := make([]byte, min(at, sampleBytes))
	_, _ = g.f.ReadAt(b, at-int64(len(b)))
	return b
}

// sum is the mark of a cursor at off.
func (g *growing) sum(off int64) uint32 {
	if g.output == nil {
		return followedMark(g.f, off)
	}
	return max(1, crc32.Checksum(g.before(off), castagnoli))
}

// truncated notes that the file was cut or rewritten. g.mu is held.
func (g *growing) truncated() {
	if g.output != nil {
		g.goOn()
	} else {
		g.over, g.cut = true, true
	}
	g.bell.ring()
}

// finish says that what is there now is all. g.mu is held.
func (g *growing) finish() {
	g.look()
	if g.output != nil && !g.over && !g.same() { // cut, and grown again to the very same size
		g.truncated()
	}
	if !g.over {
		g.over = true
		g.arr.put(g.seen, time.Now().UnixMilli())
		g.bell.ring()
	}
}

func (g *growing) readAt(b []byte, off int64) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return 0, fmt.Errorf("input %s: %w", g.id, os.ErrClosed)
	}
	if off >= g.seen {
		g.look()
	}
	if g.cut || g.output != nil && off < g.output.start {
		return 0, g.lostAfter(off)
	}
	if off >= g.seen || len(b) == 0 {
		return 0, nil
	}
	if g.output != nil && off < g.output.holeTo+g.shift {
		if off < g.off.reclaimable() {
			return 0, fmt.Errorf("input %s: offset %d is %w", g.id, off, ErrAcked)
		}
		return 0, &GapError{g.id, Gap{off, min(g.output.holeTo+g.shift, g.seen)}}
	}
	if g.f == nil { // the file of a recovered input is gone
		return 0, &GapError{g.id, Gap{off, g.seen}}
	}
	b = b[:min(int64(len(b)), g.seen-off)]
	if g.output == nil {
		most, err := g.skipHole(off, len(b))
		if err != nil || most == 0 {
			return 0, err
		}
		b = b[:most]
	}
	n, err := g.f.ReadAt(b, off-g.shift)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("input %s: read %s at %d: %w", g.id, g.path, off, err)
	}
	if n < len(b) || !g.same() { // it was cut before, or while, this was read
		g.truncated()
		return 0, g.lostAfter(off)
	}
	g.learnHead(b, off)
	if end := off + int64(n); end > g.readTo {
		if off != g.readTo {
			g.sample = g.sample[:0]
		}
		g.sample = append(g.sample, b[max(0, n-sampleBytes):]...)
		g.sample = g.sample[max(0, len(g.sample)-sampleBytes):]
		g.readTo = end
	}
	return n, nil
}

func (g *growing) lostAfter(off int64) error {
	if g.output != nil {
		return g.output.cutError(g.id, g.path, off)
	}
	return &TruncatedError{ID: g.id, Path: g.path, At: off, Lost: max(0, g.seen-off)}
}

func (g *growing) size() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.look()
	if g.cut {
		return g.readTo
	}
	return g.seen
}

func (g *growing) ended() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.over
}

// unacked counts the bytes of our own file. What is not acked of a file that was cut cannot be
// acked any more.
func (g *growing) unacked(acked int64) int64 {
	if g.output == nil {
		return 0
	}
	return g.size() - acked
}

func (g *growing) perishable(acked int64) int64 {
	if g.output == nil || g.path != "" && has(g.output.st, outputName) {
		return 0
	}
	return max(0, g.size()-acked)
}

// overtaken returns the truncation that lies after from.
func (g *growing) overtaken(from int64) *CutError {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.output == nil || from >= g.output.start {
		return nil
	}
	return g.output.cutError(g.id, g.path, from)
}

func (g *growing) noteAck(error)          {}
func (g *growing) degraded() *MemoryError { return nil }

// noMark is never the mark of bytes that are there, so that a restart notices the truncation again.
const noMark = 0xffffffff

func (g *growing) mark(off int64) uint32 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cut || g.f == nil || g.closed {
		return noMark
	}
	if g.output != nil && g.output.unkept {
		g.keepCut()
	}
	if g.output != nil && off < g.output.start {
		return 0 // those bytes are gone, and the record says so
	}
	if !g.same() {
		if g.truncated(); g.output != nil {
			return 0
		}
		return noMark
	}
	if off == 0 {
		return 0
	}
	return g.sum(off)
}

func (g *growing) allocated() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.output == nil || g.f == nil || g.closed {
		return 0
	}
	blocks, _, err := disk.Blocks(g.f)
	if err != nil {
		return g.seen - g.output.holeTo - g.shift
	}
	return blocks
}

func (g *growing) free() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.output == nil || g.f == nil || g.closed || g.cut {
		return nil
	}
	return g.output.punch(g.f, min(g.off.reclaimable(), g.readTo)-g.shift, g.seen-g.shift)
}

func (g *growing) sync() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.output == nil || g.f == nil || g.closed {
		return nil
	}
	return g.f.Sync()
}

// close notes up to where bytes were seen: what a later start finds beyond that came afterwards.
func (g *growing) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	if !g.over {
		g.look()
		g.arr.put(g.seen, time.Now().UnixMilli())
	}
	g.closed = true
	if g.f == nil {
		return nil
	}
	return g.f.Close()
}
