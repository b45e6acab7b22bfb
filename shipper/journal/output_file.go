package journal

// This file reads a command's stdout, as the source of an Output.

import (
	"fmt"
	"hash/crc32"

	"perstack-shipper/shipper/disk"
)

// outputFile is a file of ours that a command writes as its stdout. The input goes on when the
// command truncates it: see cut.go.
type outputFile struct {
	grownFile

	// immutable once set
	journal *Journal // its header records truncations
	st      store
	who     disk.Identity // of the file, wherever it is moved to

	// guarded by mu
	outputSpace
	outputCuts
	outputWriter
}

// start begins reading at off, an offset that was acked before. mark is the mark of the bytes
// before off at that time, or 0 if it is not known. Bytes up to latest are known to have been
// there.
func (o *outputFile) start(off int64, mark uint32, latest int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	size, err := disk.Size(o.f)
	if err != nil {
		return err
	}
	if off < o.cutEnd { // acked up to a truncation that the reader has yet to meet
		off, mark = o.cutEnd, 0
	}
	o.seen, o.readTo = size+o.shift, off
	if least := max(off, latest); o.seen < least || !o.headIsThere() || mark != 0 && o.hasMarkedBytes(off) && mark != o.sum(off) {
		o.seen = least
		o.truncated()
		return nil
	}
	o.sample = o.before(off)
	return nil
}

// hasMarkedBytes reports whether the bytes that the mark at off is made of were not given back yet.
func (o *outputFile) hasMarkedBytes(off int64) bool {
	return o.holeTo <= max(0, off-o.shift-sampleBytes)
}

// sum is the mark of a cursor at off.
func (o *outputFile) sum(off int64) uint32 {
	return max(1, crc32.Checksum(o.before(off), castagnoli))
}

// look notices growth and truncation. o.mu is held.
func (o *outputFile) look() {
	switch end, ok := o.measure(); {
	case !ok || end == o.seen:
	case end < o.seen || !o.same():
		o.truncated()
	default:
		o.grow(end)
	}
}

// same reports whether the head of the file and the bytes read last are still there.
func (o *outputFile) same() bool { return o.headIsThere() && o.sampleIsThere() }

// truncated goes on behind a truncation. o.mu is held.
func (o *outputFile) truncated() {
	o.goOn()
	o.bell.ring()
}

// finish makes the bytes in the file now all there is. o.mu is held.
func (o *outputFile) finish() {
	o.look()
	if !o.over && !o.same() { // truncated, and grown again to exactly the same size
		o.truncated()
	}
	o.end()
}

func (o *outputFile) poll() fileState {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.look()
	o.endIfAbandoned()
	return fileState{seen: o.seen, over: o.over}
}

func (o *outputFile) readAt(b []byte, off int64) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return 0, o.errClosed()
	}
	if off >= o.seen {
		o.look()
	}
	if off < o.cutEnd {
		return 0, o.cutError(off)
	}
	if off >= o.seen || len(b) == 0 {
		return 0, nil
	}
	if freed := o.holeTo + o.shift; off < freed {
		if off < o.off.reclaimable() {
			return 0, fmt.Errorf("input %s: offset %d is %w", o.id, off, ErrAcked)
		}
		return 0, &GapError{o.id, Gap{off, min(freed, o.seen)}}
	}
	if o.f == nil { // the file of a recovered input is gone
		return 0, &GapError{o.id, Gap{off, o.seen}}
	}
	b = b[:min(int64(len(b)), o.seen-off)]
	n, err := o.read(b, off)
	if err != nil {
		return 0, err
	}
	if n < len(b) || !o.same() { // it was truncated before or during this read
		o.truncated()
		return 0, o.cutError(off)
	}
	o.learnHead(b, off)
	o.keepSample(b, off)
	return n, nil
}

func (o *outputFile) size() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.look()
	return o.seen
}

func (o *outputFile) unacked(acked int64) int64 { return o.size() - acked }

func (o *outputFile) perishable(acked int64) int64 {
	if o.path != "" && has(o.st, outputName) {
		return 0
	}
	return max(0, o.size()-acked)
}

func (o *outputFile) mark(off int64) uint32 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.f == nil || o.closed {
		return noMark
	}
	if o.unrecorded {
		o.recordCut()
	}
	if off < o.cutEnd {
		return 0 // those bytes are gone, and the header says so
	}
	if !o.same() {
		o.truncated()
		return 0
	}
	if off == 0 {
		return 0
	}
	return o.sum(off)
}

func (o *outputFile) allocated() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.f == nil || o.closed {
		return 0
	}
	blocks, _, err := disk.Blocks(o.f)
	if err != nil {
		return o.seen - o.holeTo - o.shift
	}
	return blocks
}

func (o *outputFile) sync() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.f == nil || o.closed {
		return nil
	}
	return o.f.Sync()
}

func (o *outputFile) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil
	}
	if !o.over {
		o.look()
		o.recordSeen()
	}
	return o.closeFile()
}
