package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"go.uber.org/zap"

	"perstack-shipper/shipper"
	"perstack-shipper/shipper/follow"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/logfield"
)

// leftovers takes over what earlier processes left for this session's target, and notes which of
// their commands are still running.
func (s *Session) leftovers() []shipper.Input {
	s.forgetJournals()
	left, err := s.folder.Leftover()
	if err != nil {
		s.log.Warn(fmt.Sprintf("what earlier processes left in %s cannot be listed: %v", s.folder.Path(), err), logfield.Folder(s.folder.Path()))
	}
	var inputs []shipper.Input
	for _, l := range left {
		if l.Holder != 0 || nothingLeft(l) {
			continue // another process ships it, or nothing is left of it
		}
		if in, ok := s.takeOver(l); ok {
			inputs = append(inputs, in)
		}
	}
	return inputs
}

// takeOver takes over one input, or logs why it stays where it is.
func (s *Session) takeOver(l journal.Left) (in shipper.Input, ok bool) {
	refuse := func(err error) (shipper.Input, bool) {
		s.log.Warn(err.Error(), append(logfield.Of(err), logfield.Input(l.ID), logfield.Folder(l.Path))...)
		return shipper.Input{}, false
	}
	a, err := readAbout(l)
	if err != nil {
		return refuse(err)
	}
	if !sameTarget(a.Target, s.client.Target()) {
		s.log.Warn(fmt.Sprintf("input %s in %s is for %s and waits there; `%s resume --journal-dir %s` ships it, or ships it elsewhere with --log-group, --region or --endpoint-url", l.ID, l.Path, targetName(a.Target), program, s.folder.Path()),
			logfield.Input(l.ID), logfield.Folder(l.Path), logfield.Group(a.Target.Group), logfield.Region(a.Target.Region), logfield.Bytes(l.Unacked))
		return in, false
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel() // a followed file's half line is left to whoever follows the file, or to resume
	found, err := recoverInput(ended, s.folder, l, a, s.patience, s.log)
	if _, held := errors.AsType[*journal.HeldError](err); held {
		return in, false // another process was faster
	}
	if gone, ok := errors.AsType[*goneError](err); ok && !gone.lost {
		s.log.Info(gone.said, logfield.Input(l.ID))
		return in, false
	}
	if err != nil {
		return refuse(err)
	}
	s.log.Info(fmt.Sprintf("input %s of an earlier process is shipped from where it stopped (%d bytes left)", l.ID, l.Unacked), logfield.Input(l.ID), logfield.Bytes(l.Unacked))
	if found.stdout != nil {
		s.noteSurvivor(a.ProcessGroup, found.stdout)
	}
	return found.Input, true
}

// nothingLeft reports whether all of a followed file is shipped. Its cursor stays, for a start that
// follows the file again.
func nothingLeft(l journal.Left) bool {
	return l.Kind == journal.KindFile && l.Unacked == 0 && l.Err == nil
}

// recovered is an input of an earlier process that was taken over.
type recovered struct {
	shipper.Input
	// stdout is the journal of a command's stdout, if that is a file; else nil. The command may
	// still be writing it, so whoever ships it guards the command (noteSurvivor).
	stdout *journal.Output
	mover  *mover // of a FIFO that some process still writes; else nil
}

// recoverInput takes one input over. If a followed file ends in a half line, recoverInput waits a
// moment for the rest of it, unless ctx has ended.
func recoverInput(ctx context.Context, folder *journal.Folder, l journal.Left, a about, patience Patience, log *zap.Logger) (recovered, error) {
	found, err := folder.Recover(l.ID)
	if errors.Is(err, fs.ErrNotExist) && l.Kind == journal.KindFile {
		said, lost, err := follow.Forget(folder, l.ID, l.File)
		if err != nil {
			return recovered{}, err
		}
		return recovered{}, &goneError{said, lost}
	}
	if err != nil {
		return recovered{}, err
	}
	in := recovered{Input: shipper.Input{Journal: found.Base(), Shape: a.Shape, JobOf: a.JobOf, Path: a.Path, Command: a.Command}}
	switch j := found.(type) {
	case *journal.Pipe:
		if j.FIFO() != nil { // the command that writes it is still running
			in.mover = startMover(j, nil, nil, log)
			in.Quit, in.Ending = in.mover.quit, in.mover.ending
		}
	case *journal.Output:
		in.stdout = j
	case *journal.File:
		in.Ending, err = recoverFile(ctx, j, a, patience)
	}
	return in, err
}

// recoverFile ends j, which was just recovered, with what its file holds now.
func recoverFile(ctx context.Context, j *journal.File, a about, patience Patience) (func() shipper.Ending, error) {
	// This makes a process that follows the file wait, instead of failing because the input is
	// held.
	if a.File == nil {
		a.File = &follow.Note{Path: j.FilePath()}
	}
	a.File.Lent = true
	// If the disk is full, the input is shipped nevertheless, which takes no space.
	if err := j.SetAbout(a.encode()); err != nil && !errors.Is(err, journal.ErrFull) {
		return nil, errors.Join(err, j.Close())
	}
	return endingOf(follow.Once(ctx, j, a.File, patience.Follow)), nil
}

// goneError says that a followed file is gone, and that its input was given up.
type goneError struct {
	said string
	lost bool // bytes of it are known to be lost
}

func (e *goneError) Error() string { return e.said }
