package journal

// Truncation of a Child's output. The file is the command's stdout, and opening /dev/stdout by name
// with O_TRUNC empties it. The input goes on all the same: what the file holds from then on has
// offsets behind everything that was seen before.

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/shipper/disk"
	"perstack-shipper/shipper/logfield"
)

// outputHead is what the output of an input begins with. A file that was emptied does not, however
// long it is by now, so no truncation goes unnoticed. It is a line of JSON because people read the
// file with jq.
func outputHead(id string) []byte {
	return fmt.Appendf(nil, `{"type":"shipper.output","input":%q}`+"\n", id)
}

// onlyHead reports whether an output holds no more than its head, or the beginning of that, because
// nothing was written to it yet.
func onlyHead(st store, output stored, id string) bool {
	head := outputHead(id)
	if output.size > int64(len(head)) {
		return false
	}
	data, err := st.read(output.name, output.size)
	return err == nil && bytes.HasPrefix(head, data)
}

// headOf reads the first bytes of an output that has no head of ours.
func headOf(f *os.File) []byte {
	b := make([]byte, sampleBytes)
	n, _ := f.ReadAt(b, 0) // a head that is not known is one that is not compared
	return b[:n]
}

func (o *output) headIsIn(f *os.File) bool {
	b := make([]byte, len(o.head))
	_, _ = f.ReadAt(b, 0) // what cannot be read does not compare equal
	return bytes.Equal(b, o.head)
}

// goOn gives what the file holds after a truncation offsets of its own. The truncation itself takes
// one offset, so that every reader meets it, even one that had read everything. growing.mu is held.
func (g *growing) goOn() {
	size, err := disk.Size(g.f)
	if err != nil {
		return // of an open file; the next look tries it again
	}
	o := g.output
	from := int64(0) // place in the file at which what was not read begins
	if len(o.head) > 0 && o.headIsIn(g.f) {
		// Only its end was cut off.
		if from = g.readTo - g.shift; from > size || !g.sampleIsThere() {
			from = size
		}
	}
	if g.off.reclaimable() >= o.start {
		o.cuts = 0
	}
	o.cuts++
	o.start = g.seen + 1
	g.shift = o.start - from
	if from == 0 {
		o.head = nil // learnHead learns what it begins with now
	}
	o.holeTo, o.reserved = 0, 0
	g.sample, g.readTo, g.seen = g.sample[:0], o.start, o.start
	g.arr.note(g.seen, time.Now().UnixMilli())
	g.seen = g.shift + size
	g.keepCut()
}

// learnHead notes what an emptied file begins with now, as that is read for the first time: b was
// read at off. It is recorded before anybody can ship those bytes. Otherwise a file that is emptied
// once more while no shipper runs, and is longer than before when the next one starts, would look
// like the one that was read, and new lines would get the numbers of lines that were shipped.
// growing.mu is held.
func (g *growing) learnHead(b []byte, off int64) {
	o := g.output
	if o == nil || o.start == 0 || g.shift != o.start {
		return // it was not emptied
	}
	known, at := int64(len(o.head)), off-g.shift
	if known >= sampleBytes || at > known || at+int64(len(b)) <= known {
		return
	}
	o.head = append(o.head[:at:at], b[:min(int64(len(b)), sampleBytes-at)]...)
	g.keepCut()
}

// keepCut records a truncation, and what the file begins with since, for the next start. growing.mu
// is held.
func (g *growing) keepCut() { g.output.unkept = !g.output.keep(g.shift, g.output) }

// keepCut is output.keep. If the truncation cannot be recorded, that is no error: each ack tries it
// again, and if none succeeds, the next start finds the truncation again and ships what the file
// holds a second time.
func (j *Child) keepCut(shift int64, o *output) (kept bool) {
	j.header.Shift, j.header.Start, j.header.Cuts, j.header.Head = shift, o.start, o.cuts, o.head
	if err := j.writeHeader(); err != nil {
		j.setTrouble(fmt.Errorf("input %s: record that its output was truncated: %w", j.id, full(err)))
		return false
	}
	return true
}

// CutError says that the file that is a command's stdout was truncated while the command wrote it.
// At most the bytes [From, To) are missing; reading goes on at To.
type CutError struct {
	ID   string
	Path string // of the file; "" in memory
	Gap
	Lost int64 // bytes that the file was seen to hold and that were not read: at least so many are lost
}

func (o *output) cutError(id, path string, off int64) *CutError {
	return &CutError{ID: id, Path: path, Gap: Gap{off, o.start}, Lost: o.lostFrom(off)}
}

// lostFrom returns how many bytes from off on are lost at least.
func (o *output) lostFrom(off int64) int64 { return max(0, o.start-off-o.cuts) }

// Error names the remedy, too. It is one of exec, whose stdout alone can be truncated.
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
// nil. How much an earlier process had read and shipped before the truncation is not known, not
// even where no byte is known to be lost, so the lines that follow cannot go on with its count.
func (j *Journal) Overtaken() *CutError { return j.src.overtaken(j.found.Offset) }

// SeenBefore returns the offset up to which an earlier process may have read; 0 if this one made
// the input.
func (j *Journal) SeenBefore() int64 { return j.seenBefore }

// Is makes errors.Is(err, ErrTruncated) true.
func (e *CutError) Is(target error) bool { return target == ErrTruncated }
