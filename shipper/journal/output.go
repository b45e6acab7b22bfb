package journal

// This file makes an Output, takes it over after a crash (attach) and ends it. Its single segment
// is the stdout of a command, which writes the file without us. output_file.go reads it,
// output_room.go manages its disk space, and output_writer.go finds out whether somebody still
// writes it.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"perstack-shipper/shipper/disk"
)

var outputName = offsetName(0, outputSuffix)

// Output is an input whose single segment is the stdout of a command.
type Output struct {
	*Journal
	file *outputFile // src
}

// run starts the background work.
func (j *Output) run() {
	j.Journal.run()
	j.done.Go(func() { j.file.watch(j.stop, j.file.poll) })
}

// NewOutput makes an input that a command writes. The returned file is for the command's stdout
// ([os/exec.Cmd].Stdout). It is opened with O_APPEND, and the caller closes it once the command has
// started. Readers see what the command writes without its help or ours.
func (f *Folder) NewOutput(id string, about []byte, o Options) (*Output, *os.File, error) {
	base, err := f.begin(id, KindOutput, about, o)
	if err != nil {
		return nil, nil, err
	}
	j := &Output{Journal: base}
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

// openOutput opens the existing file for reading and finds out what its file system can do.
func (j *Output) openOutput() error {
	o := &outputFile{
		grownFile:    grownFile{id: j.id, path: j.st.path(outputName), arr: j.arr, bell: &j.bell, off: &j.offsets},
		journal:      j.Journal,
		st:           j.st,
		outputWriter: outputWriter{quietEnd: quietEnd, hasWriter: disk.HasWriter},
	}
	j.file, j.src = o, o
	file, err := j.st.open(outputName, false)
	if err != nil {
		return err
	}
	_, block, err := disk.Blocks(file)
	if err != nil {
		file.Close()
		return err
	}
	o.who, err = disk.Identify(file)
	if err != nil {
		file.Close()
		return err
	}
	o.f = file
	o.openSpace(j.header.MaxBytes, max(block, 512))
	j.openHead()
	return nil
}

// End makes the bytes in the file now all there is, because the command has ended. A process that
// it left behind and that still has the file open does not matter: see HasWriter.
func (j *Output) End() error {
	j.file.mu.Lock()
	defer j.file.mu.Unlock()
	j.file.finish()
	return nil
}

// attach opens the output of a recovered input, whose command may still write it. The input ends
// when no process writes it any more. The bytes punched out of its front were acked.
func (j *Output) attach() error {
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
		if file.name != outputName && !isOurs(file) {
			j.damage.Foreign = append(j.damage.Foreign, file.name)
		}
	}
	o := j.file
	o.orphaned = true
	o.holeTo = disk.FirstData(o.f)
	first := max(o.cutEnd, o.holeTo+o.shift) // offset of the first byte in the journal
	switch off := j.found.Offset; {
	case j.fallback != "":
		j.found.Offset = first
		j.fallback += fmt.Sprintf("; starting at offset %d, the first in the journal: earlier bytes were acked, and later ones that were acked are repeated", first)
	case off < o.holeTo+o.shift && off >= o.cutEnd:
		j.fallback = fmt.Sprintf("the cursor is at %d, before the first byte in the journal, %d: the %d bytes between were acked and the newer cursor was lost, or they are missing",
			off, first, first-off)
		j.damage.Gaps = append(j.damage.Gaps, Gap{off, first})
	}
	if err := o.start(j.found.Offset, j.cur.mark, j.arr.latest()); err != nil {
		return err
	}
	o.endIfAbandoned()
	return nil
}

// outputIsGone ends an input whose file is gone. The bytes that the file is known to have had are
// missing.
func (j *Output) outputIsGone() {
	o := j.file
	o.over = true
	o.seen, o.readTo = j.found.Offset, j.found.Offset
	latest := j.arr.latest()
	j.damage.note("its output is gone, so the number of bytes after offset %d is not known (the index of arrivals has %d)", o.seen, max(0, latest-o.seen))
	if latest > o.seen {
		j.damage.Gaps = append(j.damage.Gaps, Gap{o.seen, latest})
		o.seen = latest
	}
}
