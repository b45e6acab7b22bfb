package run

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
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

// commandOutput is what the command of Exec writes to its stdout and stderr.
type commandOutput struct {
	s       *Session
	command *child.Child
	guard   *guard.Guard // nil if stdout is a FIFO
	stdout  *output
	stderr  *output
}

// output is the command's stdout or stderr. It is either a file, which is also the journal, or a
// FIFO, from which a mover moves the bytes to the journal. Node writes to a file synchronously, so
// nothing it wrote is lost even if it throws. A FIFO may be opened by name, which would truncate a
// file.
type output struct {
	name    string
	command *child.Child
	input   shipper.Input
	file    *journal.Output // its journal if it is a file, else nil; see isFile
	fifo    *journal.Pipe   // its journal if it is a FIFO, else nil
	end     *os.File        // the command's end of the file or FIFO, until the command has it
	copyTo  io.Writer       // nil if it is not copied
	mover   *mover          // nil if it is a file, or if the command has not started yet
	goesOn  atomic.Bool     // of a file, set by finish: some process still writes it
}

// newCommandOutput makes the journals.
func (s *Session) newCommandOutput(opts *ExecOptions, command *child.Child) (*commandOutput, error) {
	o := &commandOutput{
		s: s, command: command,
		stdout: &output{name: "stdout", command: command, copyTo: opts.CopyStdout},
		stderr: &output{name: "stderr", command: command, copyTo: opts.CopyStderr},
	}
	id := journal.NewID()
	shape := s.shapeOf(id)
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
	j := o.stdout.file
	var err error
	o.guard, err = guard.New(command, guard.Options{Limit: s.keep.MaxBytes, Stuck: o.stdout.giveUpCopy, Patience: s.patience.Guard, Log: s.log}, j)
	if err != nil {
		return nil, o.abandonFor(err)
	}
	if !j.PunchesHoles() {
		s.log.Warn(fmt.Sprintf("the file system of %s cannot free parts of a file, so the journal grows with everything the command prints, whatever --journal-max says; use a local disk, or --stdout pipe", s.folder.Path()), logfield.Folder(s.folder.Path()))
	}
	return o, nil
}

// begin makes the journal: a file if asFile is set, else a FIFO.
func (out *output) begin(s *Session, shape batch.Shape, jobOf string, asFile bool) error {
	about := s.newAbout(shape, jobOf, "").encode()
	out.input = shipper.Input{Shape: shape, Primary: true, JobOf: jobOf, Ending: out.ending}
	if asFile {
		// The guard enforces the limit.
		j, end, err := s.folder.NewOutput(shape.Input, about, journal.Options{Sync: s.keep.Sync})
		if err != nil {
			return err
		}
		out.file, out.end, out.input.Journal = j, end, j.Journal
		return nil
	}
	j, end, err := s.folder.NewFIFO(shape.Input, about, s.keep)
	if err != nil {
		return err
	}
	out.fifo, out.end, out.input.Journal = j, end, j.Journal
	if s.folder.Path() != "" && !j.Outlasts() {
		s.log.Warn(fmt.Sprintf("the file system of %s has no FIFOs: if this process is killed, whatever the command then writes to %s is lost; name a folder on a local disk", s.folder.Path(), out.name), logfield.Folder(s.folder.Path()))
	}
	return nil
}

func (out *output) isFile() bool { return out.file != nil }

// started closes the files that only the command should have open, and returns the inputs.
func (o *commandOutput) started() []shipper.Input {
	o.closeFiles()
	if o.stdout.isFile() {
		o.noteProcessGroup()
	}
	return []shipper.Input{o.stdout.start(o.s), o.stderr.start(o.s)}
}

// start starts the copy and the mover.
func (out *output) start(s *Session) shipper.Input {
	in := &out.input
	if out.copyTo != nil {
		in.Tee = feed.StartTee(in.Journal, out.copyTo, s.patience.Feed, s.log)
	}
	if !out.isFile() {
		out.mover = startMover(out.fifo, in.Tee, out.command.Done(), s.log)
		in.Quit = out.mover.quit
	}
	return *in
}

func (o *commandOutput) closeFiles() {
	for _, out := range []*output{o.stdout, o.stderr} {
		if out.end != nil {
			out.end.Close() // an error does not matter: nothing was written through it
		}
	}
}

// abandon removes the journals of a command that was never started.
func (o *commandOutput) abandon() error {
	o.closeFiles()
	for _, out := range []*output{o.stdout, o.stderr} {
		if out.input.Journal == nil {
			continue
		}
		if err := out.input.Journal.Remove(); err != nil {
			return err
		}
	}
	return nil
}

// abandonFor calls abandon, logs its error, and returns err.
func (o *commandOutput) abandonFor(err error) error {
	if failed := o.abandon(); failed != nil {
		o.s.log.Error(failed.Error(), logfield.Of(failed)...)
	}
	return err
}

// noteProcessGroup records in the journal which process group writes the file. If this process is
// killed, the next start finds the group by that and guards it (survivor.go). Otherwise, nobody
// would continue a command that the guard had stopped.
func (o *commandOutput) noteProcessGroup() {
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

// giveUpCopy gives the copy up if a slow reader of it is all that keeps the journal from freeing
// space.
func (out *output) giveUpCopy() {
	if out.input.Tee != nil {
		out.input.Tee.GiveUpIfAlone()
	}
}

// waitForEnd ends the inputs when the command has ended, or when a signal leaves no time to wait
// for that.
func (o *commandOutput) waitForEnd(end *shutdown) {
	select {
	case <-o.command.Done():
		o.logKilled()
		o.noteInterrupt(end)
		o.waitForWriters(end.reading, o.s.patience.Orphans)
		o.finish()
		return
	case <-end.running.Done(): // a second signal: what is not shipped is left
		return
	case <-end.reading.Done():
	}
	// The deadline is near, and the signal has not ended the command. What it has written can still
	// be shipped. If we are PID 1, our exit kills the command, and whatever it wrote until then
	// would be lost. So we kill it now, deliver all of its output, and seal it. Otherwise, the
	// command may outlive us, and the next start ships what it writes from then on.
	if os.Getpid() == 1 {
		o.s.log.Warn("the command did not stop on the signal, and would be killed when this process exits: it is killed now, while there is time to ship what it wrote", logfield.PID(o.command.Pid()))
		o.command.Signal(syscall.SIGKILL)
		select {
		case <-o.command.Done():
			o.waitForWriters(end.running, o.s.patience.Killed)
		case <-end.running.Done():
			return
		}
	}
	o.finish()
}

// logKilled logs that the command was killed, because it could not do so itself. Its exit code
// alone does not say who killed it.
func (o *commandOutput) logKilled() {
	const code = 128 + int(syscall.SIGKILL)
	switch {
	case o.command.EndedBy() == syscall.SIGKILL:
		o.s.log.Warn(fmt.Sprintf("the command was killed by SIGKILL (exit code %d), which this program did not send; in a container, usually because memory ran out: check the container's memory limit", code), zap.Int("code", code), logfield.PID(o.command.Pid()))
	case o.command.Code() == code:
		o.s.log.Warn(fmt.Sprintf("the command exited with %d, as when one of its processes is killed by SIGKILL; in a container, usually because memory ran out: check the container's memory limit", code), zap.Int("code", code), logfield.PID(o.command.Pid()))
	}
}

// noteInterrupt shuts the run down, as a signal does, if Ctrl-C ended a command that had the
// terminal: the kernel sends that SIGINT only to the command's process group. If this process got a
// SIGINT, it has passed it on and is shutting down already.
func (o *commandOutput) noteInterrupt(end *shutdown) {
	if o.command.OnTerminal() && o.command.EndedBy() == syscall.SIGINT && !o.command.Warned() {
		end.interrupt()
	}
}

// waitForWriters gives processes that the command left behind some time to write their last bytes.
// It polls, because the kernel has no event for that.
func (o *commandOutput) waitForWriters(ctx context.Context, patience time.Duration) {
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

// hasWriter reports whether a process has it open for writing. For a file in memory, hasWriter
// cannot tell and returns false. That does not matter: the file is lost with this process.
func (out *output) hasWriter() bool {
	if out.mover != nil {
		return !out.mover.isDone()
	}
	if out.input.Journal.Path() == "" {
		return false
	}
	writer, known := out.file.HasWriter()
	return known && writer
}

// finish ends the inputs with what has been written by now. If some process still writes to one,
// that input is kept for the next start.
func (o *commandOutput) finish() {
	for _, out := range []*output{o.stdout, o.stderr} {
		if out.mover != nil {
			out.mover.finish()
			continue
		}
		out.goesOn.Store(!out.command.Ended() || out.hasWriter())
		if err := out.file.End(); err != nil {
			o.s.log.Error(err.Error(), logfield.Of(err)...)
		}
	}
}

// ending returns what the end of the journal means.
func (out *output) ending() shipper.Ending {
	if out.mover != nil {
		return out.mover.ending()
	}
	if out.goesOn.Load() {
		return shipper.PausedInLine
	}
	return shipper.Finished
}

// failed reports whether some of what the command wrote could not be read. Call it when everything
// is delivered or given up.
func (o *commandOutput) failed() bool {
	failed := false
	for _, out := range []*output{o.stdout, o.stderr} {
		if out.mover != nil && out.mover.hasFailed() {
			failed = true
		}
	}
	return failed
}

// logLeft logs which processes still write after this process has ended, and what happens to that.
func (o *commandOutput) logLeft() {
	who, writes := "processes that the command left behind are still running", "they write"
	if !o.command.Ended() {
		who, writes = fmt.Sprintf("the command (process %d) is still running", o.command.Pid()), "it writes"
	}
	folder := o.s.folder.Path()
	var which, waits []string
	for _, out := range []*output{o.stdout, o.stderr} {
		if o.command.Ended() && out.ending() == shipper.Finished {
			continue // its journal has been removed
		}
		if out.input.Journal.Gone() {
			folder = ""
		}
		which = append(which, out.name)
		if !out.isFile() {
			waits = append(waits, out.name)
		}
		if !out.isFile() && !out.fifo.Outlasts() {
			folder = ""
		}
	}
	var bound string
	if len(waits) > 0 {
		bound = fmt.Sprintf(" (of %s only 1 MiB, in a FIFO, and only while some process has it open)", strings.Join(waits, " and "))
	}
	switch {
	case len(which) == 0:
	case folder == "":
		o.s.log.Warn(fmt.Sprintf("%s; what %s to %s from now on is lost: give --journal-dir a folder that can be written", who, writes, strings.Join(which, " and ")), zap.Int("pid", o.command.Pid()))
	default:
		o.s.log.Warn(fmt.Sprintf("%s; what %s to %s from now on is kept in %s%s: the next start on that folder ships it, or `%s resume --journal-dir %s` does",
			who, writes, strings.Join(which, " and "), folder, bound, program, folder), zap.Int("pid", o.command.Pid()), logfield.Folder(folder))
	}
}
