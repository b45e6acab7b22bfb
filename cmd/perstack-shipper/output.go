package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/config"
	"perstack-shipper/shipper"
	"perstack-shipper/shipper/child"
	"perstack-shipper/shipper/journal"
)

// output is what the command of exec writes: two journals that are its stdout and stderr themselves, and those that they become when it truncates them.
type output struct {
	s              *session
	command        *child.Child
	guard          *child.Guard
	tee            bool
	stdout, stderr *os.File // the command's; ours until it is started
	inputs         []shipper.Input

	// mu guards what follows: Run's goroutine finds truncations while the command's end is waited for.
	mu    sync.Mutex
	now   map[string]*written // by the id of the input that it began as
	ended bool
}

// written is a journal that the command writes now.
type written struct {
	*journal.Journal
	tee  *shipper.Tee
	goes bool // somebody goes on writing it when this process has ended
}

// newOutput makes the journals.
func (s *session) newOutput(options *config.Exec, command *child.Child) (*output, error) {
	o := &output{s: s, command: command, now: map[string]*written{}, tee: isTerminal(os.Stdout)}
	if options.Tee != nil {
		o.tee = *options.Tee
	}
	id := journal.NewID()
	shape := s.shape(id, options.Events)
	var err error
	if o.stdout, err = o.add(shape, ""); err != nil {
		return nil, err
	}
	shape.Input, shape.Source = id+".err", "stderr"
	if o.stderr, err = o.add(shape, id); err != nil {
		o.abandon()
		return nil, err
	}
	out, errs := o.inputs[0].Journal, o.inputs[1].Journal
	o.guard, err = child.NewGuard(command, child.GuardOptions{Limit: int64(options.JournalMax), Stuck: o.letGo, Log: s.log}, out, errs)
	if err != nil {
		o.abandon()
		return nil, err
	}
	if !out.PunchesHoles() {
		s.log.Warn(fmt.Sprintf("the file system of %s gives nothing back of a file that is being written: the journal grows to all that the command writes, whatever --journal-max says; name a folder on a local disk", s.folder.Path()))
	}
	return o, nil
}

// add makes one journal. The limit on their size is the guard's business, for it holds for both together.
func (o *output) add(shape batch.Shape, jobOf string) (*os.File, error) {
	j, file, err := o.s.folder.NewChild(shape.Input, o.s.aboutInput(shape, jobOf, ""), journal.Options{Sync: o.s.keep.Sync})
	if err != nil {
		return nil, err
	}
	o.now[shape.Input] = &written{Journal: j}
	o.inputs = append(o.inputs, shipper.Input{Journal: j, Shape: shape, Own: true, JobOf: jobOf, Ending: o.ending(o.now[shape.Input])})
	return file, nil
}

// ending says what the end of a journal means.
func (o *output) ending(w *written) func() shipper.Ending {
	return func() shipper.Ending {
		o.mu.Lock()
		defer o.mu.Unlock()
		if w.goes {
			return shipper.PausedInLine
		}
		return shipper.Finished
	}
}

// started lets go of the files that are the command's now, and returns the inputs.
func (o *output) started() []shipper.Input {
	o.closeFiles()
	o.noteGroup()
	if o.tee {
		for i, to := range []*os.File{os.Stdout, os.Stderr} {
			in := &o.inputs[i]
			in.Tee = shipper.StartTee(in.Journal, to, o.s.log)
			o.now[in.Shape.Input].tee = in.Tee
		}
	}
	return o.inputs
}

func (o *output) closeFiles() {
	for _, f := range []*os.File{o.stdout, o.stderr} {
		if f != nil {
			f.Close() // nothing was written through it
		}
	}
}

// abandon removes the journals of a command that was never started, and returns the exit code of that.
func (o *output) abandon() int {
	o.closeFiles()
	for _, in := range o.inputs {
		if err := in.Journal.Remove(); err != nil {
			return fail(err)
		}
	}
	return exitOK
}

// noteGroup keeps for the next start who writes the journals. If this process were killed while the guard has stopped the command, nobody else would
// continue it.
func (o *output) noteGroup() {
	for _, in := range o.inputs {
		if err := changeAbout(in.Journal, func(a *about) { a.Group = o.command.Pid() }); err != nil {
			o.s.log.Error(err.Error())
		}
	}
}

// changeAbout changes the snapshot of an input.
func changeAbout(j *journal.Journal, change func(*about)) error {
	var a about
	if err := json.Unmarshal(j.About(), &a); err != nil {
		return fmt.Errorf("the options of input %s: %w", j.ID(), err)
	}
	change(&a)
	return j.SetAbout(a.encode())
}

// letGo lets go of what keeps the journals from giving room back, but for CloudWatch.
func (o *output) letGo() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, w := range o.now {
		if w.tee != nil {
			w.tee.GiveUpIfAlone()
		}
	}
}

// waitForWriters gives those that the command left behind some time to write their last. There is no event to wait for: the kernel tells when asked.
func (o *output) waitForWriters(ctx context.Context, patience time.Duration) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	for pause := time.Millisecond; o.hasWriter(); pause = min(2*pause, 20*time.Millisecond) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (o *output) hasWriter() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, w := range o.now {
		if w.writer() {
			return true
		}
	}
	return false
}

// writer reports whether somebody has it open for writing. In memory that cannot be told, nor would it matter.
func (w *written) writer() bool {
	if w.Path() == "" {
		return false
	}
	writer, known := w.HasWriter()
	return known && writer
}

// end ends the inputs: what was written till now is all that this process ships. One that somebody goes on writing is kept for the next start.
func (o *output) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	for _, w := range o.now {
		o.endOne(w)
	}
}

func (o *output) endOne(w *written) {
	w.goes = !o.command.Ended() || w.writer()
	if err := w.EndChild(); err != nil {
		o.s.log.Error(err.Error())
	}
}

// sayLeft says what of the command goes on when this process has ended.
func (o *output) sayLeft() {
	o.mu.Lock()
	defer o.mu.Unlock()
	who := "what the command left behind goes on"
	if !o.command.Ended() {
		who = fmt.Sprintf("the command (process %d) goes on", o.command.Pid())
	}
	var which []string
	for _, name := range slices.Sorted(maps.Keys(o.now)) {
		switch {
		case !o.now[name].goes && o.command.Ended():
		case strings.HasSuffix(name, ".err"):
			which = append(which, "stderr")
		default:
			which = append(which, "stdout")
		}
	}
	folder := o.s.folder.Path()
	for _, w := range o.now {
		if w.Gone() {
			folder = ""
		}
	}
	switch {
	case len(which) == 0:
	case folder == "":
		o.s.log.Warn(fmt.Sprintf("%s; what it writes to %s from here on is lost: give --journal-dir a folder that can be written", who, strings.Join(which, " and ")))
	default:
		o.s.log.Warn(fmt.Sprintf("%s; what it writes to %s from here on is kept in %s: the next start on that folder ships it, or `%s resume --journal-dir %s` does",
			who, strings.Join(which, " and "), folder, config.Program, folder))
	}
}

// successor is the input of what the command writes after it truncated one.
func (o *output) successor(of shipper.Input) (shipper.Input, error) {
	next, err := o.s.successor(of)
	if err != nil || !of.Own {
		return next, err
	}
	next.Tee = of.Tee.Succeed(next.Journal)
	w := &written{Journal: next.Journal, tee: next.Tee}
	next.Ending = o.ending(w)
	o.mu.Lock()
	for name, was := range o.now {
		if was.Journal == of.Journal {
			o.now[name] = w
		}
	}
	if o.ended {
		o.endOne(w)
	}
	o.mu.Unlock()
	o.guard.Add(next.Journal)
	return next, nil
}

// successor is the input of what the output of a command holds after it was truncated.
func (s *session) successor(of shipper.Input) (shipper.Input, error) {
	id := journal.NewID()
	if strings.HasSuffix(of.Shape.Input, ".err") {
		id += ".err"
	}
	j, err := of.Journal.Succeed(id)
	if err != nil {
		return shipper.Input{}, err
	}
	next := of
	next.Journal, next.Shape.Input, next.Tee = j, id, nil
	if next.JobOf == "" {
		next.JobOf = of.Shape.Input
	}
	err = changeAbout(j, func(a *about) { a.Shape, a.JobOf = next.Shape, next.JobOf })
	if err != nil {
		return shipper.Input{}, errors.Join(err, j.Close())
	}
	s.moved(of.Journal, j)
	return next, nil
}
