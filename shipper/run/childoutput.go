package run

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/batch"
	"perstack-shipper/shipper"
	"perstack-shipper/shipper/child"
	"perstack-shipper/shipper/feed"
	"perstack-shipper/shipper/guard"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/logfield"
)

// childOutput is what the command of Exec writes.
type childOutput struct {
	s       *Session
	command *child.Child
	guard   *guard.Guard // nil if no part is a file
	stdout  *part
	stderr  *part
}

// part is the command's stdout or stderr. It is a file, which is the journal itself, or a FIFO,
// from which a mover takes the bytes to the journal. Node writes to a file synchronously, so that
// not even a throw loses what was written; a FIFO may be opened by name, which empties a file.
type part struct {
	name    string
	command *child.Child
	input   shipper.Input
	child   *journal.Output // its journal if it is a file, else nil: see isFile
	fifo    *journal.Pipe   // its journal if it is a FIFO, else nil
	end     *os.File        // the command's end of the file or FIFO; ours until the command is started
	copyTo  io.Writer       // nil if it is not copied
	mover   *mover          // nil if it is a file, or not started yet
	ended   atomic.Bool     // whether it goes on is known
	goesOn  atomic.Bool     // somebody goes on writing it when this process has ended
}

// newChildOutput makes the journals.
func (s *Session) newChildOutput(opts *ExecOptions, command *child.Child) (*childOutput, error) {
	o := &childOutput{
		s: s, command: command,
		stdout: &part{name: "stdout", command: command, copyTo: opts.CopyStdout},
		stderr: &part{name: "stderr", command: command, copyTo: opts.CopyStderr},
	}
	id := journal.NewID()
	shape := s.shape(id)
	if err := o.stdout.begin(s, shape, "", !opts.PipeStdout); err != nil {
		return nil, err
	}
	shape.Input, shape.Source = id+".err", "stderr"
	if err := o.stderr.begin(s, shape, id, false); err != nil {
		return nil, o.abandonFor(err)
	}
	if !o.stdout.isFile() {
		return o, nil
	}
	j := o.stdout.child
	var err error
	o.guard, err = guard.New(command, guard.Options{Limit: s.keep.MaxBytes, Stuck: o.stdout.giveUpCopy, Patience: s.patience.Guard, Log: s.log}, j)
	if err != nil {
		return nil, o.abandonFor(err)
	}
	if !j.PunchesHoles() {
		s.log.Warn(fmt.Sprintf("the file system of %s cannot free space in a file that is being written: the journal grows to everything that the command writes to stdout, whatever --journal-max says; name a folder on a local disk, or use --stdout pipe", s.folder.Path()), logfield.Folder(s.folder.Path()))
	}
	return o, nil
}

// begin makes the journal of a part: a file if asFile, else a FIFO.
func (p *part) begin(s *Session, shape batch.Shape, jobOf string, asFile bool) error {
	about := s.newAbout(shape, jobOf, "").encode()
	p.input = shipper.Input{Shape: shape, Primary: true, JobOf: jobOf, Ending: p.ending}
	if asFile {
		j, out, err := s.folder.NewOutput(shape.Input, about, journal.Options{Sync: s.keep.Sync}) // the guard keeps its limit
		if err != nil {
			return err
		}
		p.child, p.end, p.input.Journal = j, out, j.Journal
		return nil
	}
	j, out, err := s.folder.NewFIFO(shape.Input, about, s.keep)
	if err != nil {
		return err
	}
	p.fifo, p.end, p.input.Journal = j, out, j.Journal
	if s.folder.Path() != "" && !j.Outlasts() {
		s.log.Warn(fmt.Sprintf("the file system of %s has no FIFOs: if this process is killed, what the command writes to %s after that is lost; name a folder on a local disk", s.folder.Path(), p.name), logfield.Folder(s.folder.Path()))
	}
	return nil
}

func (p *part) isFile() bool { return p.child != nil }

// started lets go of the files that are the command's now, and returns the inputs.
func (o *childOutput) started() []shipper.Input {
	o.closeFiles()
	if o.stdout.isFile() {
		o.noteProcessGroup()
	}
	return []shipper.Input{o.stdout.start(o.s), o.stderr.start(o.s)}
}

// start begins to copy and to move what the command writes.
func (p *part) start(s *Session) shipper.Input {
	in := &p.input
	if p.copyTo != nil {
		in.Tee = feed.StartTee(in.Journal, p.copyTo, s.patience.Feed, s.log)
	}
	if !p.isFile() {
		p.mover = startMover(p.fifo, in.Tee, p.command.Done(), s.log)
		in.Quit = p.mover.quit
	}
	return *in
}

func (o *childOutput) closeFiles() {
	for _, p := range []*part{o.stdout, o.stderr} {
		if p.end != nil {
			p.end.Close() // nothing was written through it
		}
	}
}

// abandon removes the journals of a command that was never started.
func (o *childOutput) abandon() error {
	o.closeFiles()
	for _, p := range []*part{o.stdout, o.stderr} {
		if p.input.Journal == nil {
			continue
		}
		if err := p.input.Journal.Remove(); err != nil {
			return err
		}
	}
	return nil
}

// abandonFor is abandon because of err, which it returns. What cannot be removed is reported.
func (o *childOutput) abandonFor(err error) error {
	if failed := o.abandon(); failed != nil {
		o.s.log.Error(failed.Error(), logfield.Of(failed)...)
	}
	return err
}

// noteProcessGroup records in the journal which processes write the file. If this process is
// killed, the next start finds them by that and guards them (survivor.go): otherwise nobody would
// continue a command that the guard had stopped.
func (o *childOutput) noteProcessGroup() {
	j := o.stdout.input.Journal
	a, err := decodeAbout(j.About())
	if err == nil {
		a.ProcessGroup = o.command.Pid()
		err = j.SetAbout(a.encode())
	}
	if err != nil {
		o.s.log.Error(fmt.Sprintf("the options of input %s: %v", j.ID(), err), logfield.Input(j.ID()))
	}
}

// giveUpCopy gives the copy up if nothing but a slow reader of it keeps the journal from giving
// room back.
func (p *part) giveUpCopy() {
	if p.input.Tee != nil {
		p.input.Tee.GiveUpIfAlone()
	}
}

// waitForWriters gives processes that the command left behind some time to write their last. There
// is no event to wait for: the kernel tells when asked.
func (o *childOutput) waitForWriters(ctx context.Context, patience time.Duration) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	for pause := time.Millisecond; o.stdout.hasWriter() || o.stderr.hasWriter(); pause = min(2*pause, 20*time.Millisecond) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// hasWriter reports whether somebody has it open for writing. Of a file in memory that cannot be
// told, nor would it matter.
func (p *part) hasWriter() bool {
	if p.mover != nil {
		return !p.mover.isDone()
	}
	if p.input.Journal.Path() == "" {
		return false
	}
	writer, known := p.child.HasWriter()
	return known && writer
}

// finish ends the inputs: what was written until now is all that this process ships. If somebody
// goes on writing one, it is kept for the next start.
func (o *childOutput) finish() {
	for _, p := range []*part{o.stdout, o.stderr} {
		if p.mover != nil {
			p.mover.finish()
			continue
		}
		p.goesOn.Store(!p.command.Ended() || p.hasWriter())
		p.ended.Store(true)
		if err := p.child.End(); err != nil {
			o.s.log.Error(err.Error(), logfield.Of(err)...)
		}
	}
}

// ending says what the end of the journal means.
func (p *part) ending() shipper.Ending {
	if !p.ended.Load() { // a FIFO's mover has ended, and nobody else takes anything out of the FIFO now
		writer, _ := p.fifo.HasWriter()
		p.goesOn.Store(writer)
		p.ended.Store(true)
	}
	if p.goesOn.Load() {
		return shipper.PausedInLine
	}
	return shipper.Finished
}

// failed reports whether some of what the command wrote could not be read. Call it when all is
// delivered or given up.
func (o *childOutput) failed() bool {
	for _, p := range []*part{o.stdout, o.stderr} {
		if p.mover != nil {
			if p.mover.quit(); p.mover.failed {
				return true
			}
		}
	}
	return false
}

// sayLeft says what of the command goes on when this process has ended.
func (o *childOutput) sayLeft() {
	who := "what the command left behind goes on"
	if !o.command.Ended() {
		who = fmt.Sprintf("the command (process %d) goes on", o.command.Pid())
	}
	folder := o.s.folder.Path()
	var which, waits []string
	for _, p := range []*part{o.stdout, o.stderr} {
		if o.command.Ended() && !p.goesOn.Load() {
			continue // its journal is removed by now
		}
		if p.input.Journal.Gone() {
			folder = ""
		}
		which = append(which, p.name)
		if !p.isFile() {
			waits = append(waits, p.name)
		}
		if !p.isFile() && !p.fifo.Outlasts() {
			folder = ""
		}
	}
	var bound string
	if len(waits) > 0 {
		bound = fmt.Sprintf(" (of %s only 1 MiB, in a FIFO, and only while somebody has that open)", strings.Join(waits, " and "))
	}
	switch {
	case len(which) == 0:
	case folder == "":
		o.s.log.Warn(fmt.Sprintf("%s; what it writes to %s from here on is lost: give --journal-dir a folder that can be written", who, strings.Join(which, " and ")), zap.Int("pid", o.command.Pid()))
	default:
		o.s.log.Warn(fmt.Sprintf("%s; what it writes to %s from here on is kept in %s%s: the next start on that folder ships it, or `%s resume --journal-dir %s` does",
			who, strings.Join(which, " and "), folder, bound, program, folder), zap.Int("pid", o.command.Pid()), logfield.Folder(folder))
	}
}
