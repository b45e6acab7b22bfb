package journal

// This file handles the truncation of an Output. The truncated file is the command's stdout, and
// opening /dev/stdout by name with O_TRUNC empties it. The input goes on all the same: later
// contents of the file have offsets behind everything that was seen before.

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/shipper/disk"
	"perstack-shipper/shipper/logfield"
)

// outputCuts says what an outputFile begins with, and how it was truncated.
type outputCuts struct {
	head       []byte // first bytes of the file, as far as they are known
	cutEnd     int64  // offset of the first byte since the file was last truncated; 0: it never was
	cuts       int64  // offsets before cutEnd that stand for truncations and not for bytes
	unrecorded bool   // the header on disk lacks the latest of this
}

// outputHead is the first line of an output. A file that was emptied does not begin with it,
// however long the file has grown, so no truncation goes unnoticed. It is a line of JSON because
// people read the file with jq.
func outputHead(id string) []byte {
	return fmt.Appendf(nil, `{"type":"shipper.output","input":%q}`+"\n", id)
}

// onlyHead reports whether an output holds no more than its head, or the beginning of it, because
// the command has not written anything.
func onlyHead(st store, output storedFile, id string) bool {
	head := outputHead(id)
	if output.size > int64(len(head)) {
		return false
	}
	data, err := st.read(output.name, output.size)
	return err == nil && bytes.HasPrefix(head, data)
}

// openHead finds out what the file begins with, and which offset its first byte has.
func (j *Output) openHead() {
	o := j.file
	o.head, o.cutEnd, o.cuts = outputHead(j.id), j.header.Start, j.header.Cuts
	switch {
	case o.cutEnd > 0: // our head went with the first truncation, unless the header has one
		o.head = j.header.Head
		if len(o.head) == 0 && j.found.Offset > o.cutEnd { // an older program recorded none
			o.head = headOf(o.f)
		}
	case j.header.Shift == 0 && o.headIsThere(): // the header was lost
		j.header.Shift = -int64(len(o.head))
	}
	o.shift = j.header.Shift
}

// headOf reads the first bytes of an output that has no head of ours.
func headOf(f *os.File) []byte {
	b := make([]byte, sampleBytes)
	n, _ := f.ReadAt(b, 0) // an unknown head is not compared
	return b[:n]
}

func (o *outputFile) headIsThere() bool {
	b := make([]byte, len(o.head))
	_, _ = o.f.ReadAt(b, 0) // bytes that cannot be read do not compare equal
	return bytes.Equal(b, o.head)
}

// goOn gives the bytes in the file after a truncation offsets of their own. The truncation itself
// takes one offset, so that every reader meets it, even one that had read everything. o.mu is held.
func (o *outputFile) goOn() {
	size, err := disk.Size(o.f)
	if err != nil {
		return // fstat of an open file failed; the next look tries again
	}
	from := int64(0) // place in the file where the unread bytes begin
	if len(o.head) > 0 && o.headIsThere() {
		// Only the end of the file was cut off.
		if from = o.readTo - o.shift; from > size || !o.sampleIsThere() {
			from = size
		}
	}
	if o.off.reclaimable() >= o.cutEnd {
		o.cuts = 0
	}
	o.cuts++
	o.cutEnd = o.seen + 1
	o.shift = o.cutEnd - from
	if from == 0 {
		o.head = nil // learnHead learns the new one
	}
	o.holeTo, o.reserved = 0, 0
	o.sample, o.readTo, o.seen = o.sample[:0], o.cutEnd, o.cutEnd
	o.arr.note(o.seen, time.Now().UnixMilli())
	o.seen = o.shift + size
	o.recordCut()
}

// learnHead learns the head of a file that was emptied when its first bytes are read for the first
// time: b was read at off. The head is recorded before anybody can ship those bytes. Otherwise, if
// the file is emptied once more while no shipper runs, and is longer than before when the next one
// starts, it would look like the one that was read, and new lines would get the numbers of lines
// that were shipped. o.mu is held.
func (o *outputFile) learnHead(b []byte, off int64) {
	if o.cutEnd == 0 || o.shift != o.cutEnd {
		return // it was not emptied
	}
	known, at := int64(len(o.head)), off-o.shift
	if known >= sampleBytes || at > known || at+int64(len(b)) <= known {
		return
	}
	o.head = append(o.head[:at:at], b[:min(int64(len(b)), sampleBytes-at)]...)
	o.recordCut()
}

// recordCut writes the truncation and the new head to the header for the next start. A failure does
// not stop the input: each ack tries again. If none succeeds, the next start finds the truncation
// again and ships the contents of the file a second time. o.mu is held.
func (o *outputFile) recordCut() {
	j := o.journal
	j.header.Shift, j.header.Start, j.header.Cuts, j.header.Head = o.shift, o.cutEnd, o.cuts, o.head
	err := j.writeHeader()
	if o.unrecorded = err != nil; o.unrecorded {
		j.noteFailure(fmt.Errorf("input %s: record that its output was truncated: %w", j.id, asFull(err)))
	}
}

func (o *outputFile) overtaken(from int64) *CutError {
	o.mu.Lock()
	defer o.mu.Unlock()
	if from >= o.cutEnd {
		return nil
	}
	return o.cutError(from)
}

// cutError says that reading at off met the latest truncation.
func (o *outputFile) cutError(off int64) *CutError {
	return &CutError{ID: o.id, Path: o.path, Gap: Gap{off, o.cutEnd}, Lost: max(0, o.cutEnd-off-o.cuts)}
}

// CutError says that the command's stdout, which is a file, was truncated while the command wrote
// it. At most the bytes [From, To) are missing. Continue reading at To.
type CutError struct {
	ID   string
	Path string // of the file; "" in memory
	Gap
	Lost int64 // at least how many bytes are lost: those that were seen in the file and never read
}

// Error also names the remedy, an option of exec: only exec's stdout can be truncated.
func (e *CutError) Error() string {
	lost := "everything seen of it had been read, but what was written since then is lost"
	if e.Lost > 0 {
		lost = fmt.Sprintf("at least %d bytes that had not been read yet are lost", e.Lost)
	}
	file := e.Path
	if file == "" {
		file = "which is kept in memory"
	}
	return fmt.Sprintf("input %s: the command's stdout (%s) was truncated, as opening /dev/stdout by name does: output may be lost: %s; "+
		"use exec --stdout pipe for such a command", e.ID, file, lost)
}

// LogFields implements logfield.Named.
func (e *CutError) LogFields() []zap.Field {
	return []zap.Field{logfield.Input(e.ID), logfield.Path(e.Path), logfield.Bytes(e.Lost)}
}

// Overtaken returns the truncation that the cursor had not passed when the input was recovered, or
// nil. How much an earlier process had read and shipped before the truncation is not known, even if
// no byte is known to be lost, so the lines that follow cannot continue its count.
func (j *Journal) Overtaken() *CutError { return j.src.overtaken(j.found.Offset) }

// SeenBefore returns the offset up to which an earlier process may have read, or 0 if this process
// made the input.
func (j *Journal) SeenBefore() int64 { return j.seenBefore }

// Is makes errors.Is(err, ErrTruncated) true.
func (e *CutError) Is(target error) bool { return target == ErrTruncated }
