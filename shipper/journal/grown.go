package journal

// This file is for a file that somebody else writes and may truncate. It holds what outputFile and
// followedFile share.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"perstack-shipper/shipper/disk"
)

// sampleBytes is how many of the bytes read last are kept to check that they are still in the file.
// If a file is truncated and then grows beyond its old size between two looks, its size does not
// tell.
const sampleBytes = 64

// grownFile is a file that grows under us, as far as this process has seen and read it.
//
// mu guards everything below it and is held while the file is read. So a look at the size, a read
// and the punching of a hole happen one at a time: nobody reads a hole as bytes, and the arrival of
// bytes that a look has found is recorded before anybody can read them. The reader, perhaps a
// second reader, and the watcher contend for it. The program that writes the file does not.
type grownFile struct {
	// immutable once set
	id   string
	path string // for messages; "" in memory
	arr  *arrivals
	bell *bell
	off  *offsets

	mu     sync.Mutex
	f      *os.File // open only for reading, so that it is no writer; nil if the file is gone
	shift  int64    // offset of a byte minus its place in the file; always 0 of a followed file
	seen   int64    // offset after the last byte that a look has found
	readTo int64    // offset after the last byte that was read
	sample []byte   // the bytes before readTo as they were read, at most sampleBytes
	over   bool     // no more bytes will come
	closed bool
}

// measure returns the offset after the last byte of the file. ok is false if that no longer
// matters, because the file is over or closed, or if fstat failed. Fstat of an open file fails only
// on a network file system, and the next look tries again.
func (g *grownFile) measure() (end int64, ok bool) {
	if g.over || g.closed {
		return 0, false
	}
	size, err := disk.Size(g.f)
	return size + g.shift, err == nil
}

// grow records the arrival of the bytes up to end and wakes readers. g.mu is held.
func (g *grownFile) grow(end int64) {
	g.arr.note(g.seen, time.Now().UnixMilli())
	g.seen = end
	g.bell.ring()
}

// end makes the bytes seen so far all there is. g.mu is held.
func (g *grownFile) end() {
	if !g.over {
		g.over = true
		g.recordSeen()
		g.bell.ring()
	}
}

// recordSeen records the offset up to which bytes were seen, so that a later start can tell which
// bytes came afterwards, and whether some are missing.
func (g *grownFile) recordSeen() { g.arr.put(g.seen, time.Now().UnixMilli()) }

// sampleIsThere reports whether the bytes read last are still in the file.
func (g *grownFile) sampleIsThere() bool { return bytes.HasSuffix(g.before(g.readTo), g.sample) }

// before reads the bytes before off, at most sampleBytes. They are zeros if they cannot be read.
func (g *grownFile) before(off int64) []byte {
	at := off - g.shift
	b := make([]byte, min(at, sampleBytes))
	_, _ = g.f.ReadAt(b, at-int64(len(b)))
	return b
}

// read reads at off. It returns less than len(b) if the file was truncated.
func (g *grownFile) read(b []byte, off int64) (int, error) {
	n, err := g.f.ReadAt(b, off-g.shift)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("input %s: read %s at %d: %w", g.id, g.path, off, err)
	}
	return n, nil
}

// keepSample notes that b was read at off.
func (g *grownFile) keepSample(b []byte, off int64) {
	end := off + int64(len(b))
	if end <= g.readTo {
		return
	}
	if off != g.readTo {
		g.sample = g.sample[:0]
	}
	g.sample = append(g.sample, b[max(0, len(b)-sampleBytes):]...)
	g.sample = g.sample[max(0, len(g.sample)-sampleBytes):]
	g.readTo = end
}

func (g *grownFile) errClosed() error { return fmt.Errorf("input %s: %w", g.id, os.ErrClosed) }

func (g *grownFile) ended() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.over
}

// closeFile closes the file if there is one. g.mu is held.
func (g *grownFile) closeFile() error {
	g.closed = true
	if g.f == nil {
		return nil
	}
	return g.f.Close()
}

func (g *grownFile) noteAck(error)          {}
func (g *grownFile) degraded() *MemoryError { return nil }
