package shipper

import (
	"bytes"
	"fmt"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/feed"
	"perstack-shipper/shipper/journal"
)

// Input is an input to ship.
type Input struct {
	Journal *journal.Journal
	Shape   batch.Shape
	// Primary inputs are those that the process lives for. Their outcome determines the exit code.
	// Earlier processes left the others.
	Primary bool
	// JobOf names another input, by its id or by the path of its followed file. Lines whose job is
	// unknown take that input's job, as a command's stderr does from its stdout. "" means none.
	JobOf string
	// Path is the path of the followed file, or "".
	Path string
	// Grew is when a followed file last grew, if known.
	Grew time.Time
	// Command is the command line of the process that writes the input, without secrets, for the
	// open record; nil if unknown.
	Command []string
	// Tee, if not nil, also reads the journal. The journal is kept until the Tee is done.
	Tee *feed.Tee
	// Quit, if not nil, stops the goroutine that writes the journal and waits until it has stopped,
	// because a journal must not be closed under its writer. Run calls it when it ends before the
	// input is delivered.
	Quit func()
	// Ending, if not nil, returns what the end of the journal means; nil means Finished. Run's
	// goroutine may call it often, and must get the same answer each time.
	Ending func() Ending
	// Exit, if not nil, returns how the command ended that wrote this input, for the seal. It
	// returns nil while that is unknown.
	Exit func() *Exit
	// Shaped, if not nil, is called with the offset up to which the input is shaped, the state
	// there, and, if a run is in progress, its job.
	Shaped func(offset int64, state batch.State, running bool, job string)
	// Closed, if not nil, is called after the journal was closed or removed.
	Closed func()
}

// Ending is what the end of an input means.
type Ending int

const (
	// Finished means that no more can come. The journal is removed, and the seal says that the
	// input ended.
	Finished Ending = iota
	// Paused means that a later process may continue the input, as with a followed file. The
	// journal keeps its cursor, and the seal does not say that the input ended.
	Paused
	// PausedInLine is Paused with an unfinished last line. Its beginning is also left for a later
	// process.
	PausedInLine
)

// isFollowed reports whether the input is a file that somebody else keeps.
func (in *Input) isFollowed() bool { return in.Journal.Kind() == journal.KindFile }

// isOfExec reports whether exec, in this process or an earlier one, ran the command that writes the
// input.
func (in *Input) isOfExec() bool {
	return in.Command != nil || in.Journal.Kind() == journal.KindOutput
}

// quit stops the goroutine that writes the journal.
func (in *Input) quit() {
	if in.Quit != nil {
		in.Quit()
	}
}

// close closes the journal, which keeps its bytes.
func (in *Input) close() error {
	in.quit()
	err := in.Journal.Close()
	in.closed()
	return err
}

// closed calls Closed, after the journal was closed or removed.
func (in *Input) closed() {
	if in.Closed != nil {
		in.Closed()
	}
}

// input is an Input in progress. The loop owns it. Its bytes pass through four parts: read gives
// them to the shaper a block at a time, wait holds back lines that may still get a job, ack moves
// the cursor past the blocks that CloudWatch has, and seal finally states what was shipped.
type input struct {
	Input
	index  int // in Shipper.inputs, and in the blocks of this input
	shaper *batch.Shaper

	read reading
	wait waiting
	ack  acking
	seal sealing

	streams    []*stream // by route
	opened     int       // how many routes have their open record
	overflowed bool      // the input names too many streams, and that was logged

	tokensBefore map[string]batch.Usage // what each Expert used in earlier processes; for metrics

	done      bool          // nothing is left, and the journal is removed or closed
	stopWatch chan struct{} // closed when done, to end the goroutine that watches the journal
}

func newInput(in Input, from startingPoint, index int, spare *spareWindow) (*input, error) {
	if from.cursor.Input != "" {
		in.Shape.Input = from.cursor.Input
	}
	shaper, err := batch.NewShaper(in.Shape, from.cursor.State, from.cursor.Streams)
	if err != nil {
		return nil, fmt.Errorf("input %s in %s cannot be shipped with the options that it was recorded with; start the version that wrote it on that folder: %w",
			in.Journal.ID(), in.Journal.Path(), err)
	}
	return &input{
		Input: in, index: index, shaper: shaper,
		read: newReading(in, from, spare), ack: newAcking(from), seal: restoreSealing(from.cursor),
		opened: len(from.cursor.Streams), stopWatch: make(chan struct{}),
	}, nil
}

// ended reports whether no more bytes can come.
func (in *input) ended() bool { return in.read.state == truncated || in.Journal.Ended() }

// ending returns what the end of the input means. The end at a truncation is always Finished,
// because the rest of the file is another input.
func (in *input) ending() Ending {
	if in.Ending == nil || in.read.state == truncated {
		return Finished
	}
	return in.Ending()
}

// complete reports whether no more bytes can come, and all of them are shaped except the beginning
// of a line that is left for a later process.
func (in *input) complete() bool {
	if in.done {
		return true
	}
	if in.read.shaping != nil || !in.ended() || !in.read.atEnd() {
		return false
	}
	rest := in.read.window.bytes()
	return len(rest) == 0 ||
		in.wait.state == notWaiting && in.ending() == PausedInLine && bytes.IndexByte(rest, '\n') < 0
}

// caughtUp reports whether all lines that have arrived are acknowledged. More may come.
func (in *input) caughtUp() bool {
	return in.read.shaping == nil && !in.wait.now() && len(in.ack.blocks) == 0 &&
		(in.read.atEnd() || in.read.seen >= in.Journal.Size()) && bytes.IndexByte(in.read.window.bytes(), '\n') < 0
}

// held returns the memory, in bytes, that reading and shaping the input use.
func (in *input) held() int {
	return in.read.window.held() + in.wait.held() + in.shaper.Held()
}

// trimScratch gives back memory that is kept only for reuse. With many inputs read in turn, that
// memory exceeds what the events waiting to be put need. Dropped bytes are read again.
func (in *input) trimScratch() {
	if in.done || in.read.shaping != nil {
		return
	}
	in.shaper.TrimScratch()
	// The bytes must stay if they will be shaped again once their job is known, or if they may be
	// the last of the input.
	if len(in.read.window.bytes()) == 0 || in.wait.state == notWaiting && !in.read.atEnd() {
		in.read.window.give()
	}
}

// tellShaped calls Shaped with how far the input is shaped.
func (in *input) tellShaped(offset int64, state batch.State) {
	if in.Shaped == nil {
		return
	}
	job, running := "", in.newestRuns()
	if jobs := in.shaper.Receipt().Jobs(); running {
		job = jobs[len(jobs)-1].JobID
	}
	in.Shaped(offset, state, running, job)
}
