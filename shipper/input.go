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
	// Primary: the process lives for the input, and its end and fate make the exit code. Others are
	// what earlier processes left.
	Primary bool
	// JobOf names the input whose job this one's lines take while they know none: its id or, of a
	// followed file, its path. A process's stderr waits for its stdout like this. "": none.
	JobOf string
	// Path is the followed file's, or "".
	Path string
	// Grew is when a followed file last grew, as far as that is known.
	Grew time.Time
	// Command is the command line of the process that writes the input, without secrets, for the
	// open record; nil where it is not known.
	Command []string
	// Tee, if not nil, reads the journal too. The journal is kept until the Tee is done.
	Tee *feed.Tee
	// Quit, if not nil, stops whoever writes the journal and returns when that is done, because a
	// journal must not be closed under its writer. Run calls it when it ends before the input is
	// delivered.
	Quit func()
	// Ending, if not nil, is asked what the end of the journal means; nil: Finished. The goroutine
	// of Run asks, possibly often, and must get the same answer each time.
	Ending func() Ending
	// Exit, if not nil, says for the seal how the command ended whose output this is. It returns
	// nil while that is not known.
	Exit func() *Exit
	// Shaped, if not nil, is told how far the input is shaped, the state there, and, if a run is
	// under way, its job.
	Shaped func(offset int64, state batch.State, running bool, job string)
	// Closed, if not nil, is called when the journal was closed or removed.
	Closed func()
}

// Ending is what the end of an input means.
type Ending int

const (
	// Finished: no more can come. The journal is removed, and the seal says that the input ended.
	Finished Ending = iota
	// Paused: it may go on another day, as a followed file may. The journal keeps its cursor, and
	// the seal does not say that the input ended.
	Paused
	// PausedInLine is Paused while the last line was being written: the beginning of that line is
	// left for another day, too.
	PausedInLine
)

// quit stops whoever writes the journal.
func (in *Input) quit() {
	if in.Quit != nil {
		in.Quit()
	}
}

// close closes the journal, which keeps what is there.
func (in *Input) close() error {
	in.quit()
	err := in.Journal.Close()
	in.closed()
	return err
}

// closed says that the journal is closed, or removed.
func (in *Input) closed() {
	if in.Closed != nil {
		in.Closed()
	}
}

// input is an Input under way. The loop owns it. Its bytes pass through four parts: read gives
// them to the shaper a block at a time, wait holds lines back that may still get a job, ack moves
// the cursor behind the blocks that CloudWatch has, and seal says in the end what was shipped.
type input struct {
	Input
	index  int // in Shipper.inputs, and of its blocks
	shaper *batch.Shaper

	read reading
	wait waiting
	ack  acking
	seal sealing

	streams    []*stream // by route
	opened     int       // routes that have their open record
	overflowed bool      // it names too many streams, and the log says so

	tokensBefore map[string]batch.Usage // by Expert, of earlier processes; kept for metrics

	done     bool          // nothing is left: the journal is removed, or closed
	released chan struct{} // closed when done: nobody need watch the journal any more
}

func newInput(in Input, from start, index int, spare *spare) (*input, error) {
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
		opened: len(from.cursor.Streams), released: make(chan struct{}),
	}, nil
}

// ended reports whether no more bytes can come.
func (in *input) ended() bool { return in.read.state == truncated || in.Journal.Ended() }

// ending is what the end of the input means. After a truncation, the rest of the file is another
// input.
func (in *input) ending() Ending {
	if in.Ending == nil || in.read.state == truncated {
		return Finished
	}
	return in.Ending()
}

// complete reports whether no more bytes can come and all that are to be shipped are shaped: every
// one, but for the beginning of a line where that is left for another day.
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

// caughtUp reports whether all lines that have come are acknowledged. The input may go on.
func (in *input) caughtUp() bool {
	return in.read.shaping == nil && !in.wait.now() && len(in.ack.blocks) == 0 &&
		(in.read.atEnd() || in.read.seen >= in.Journal.Size()) && bytes.IndexByte(in.read.window.bytes(), '\n') < 0
}

// held is the memory that reading and shaping the input take, in bytes.
func (in *input) held() int {
	return in.read.window.held() + in.wait.held() + in.shaper.Held()
}

// trimScratch gives back the memory that is kept only to be used again: of many inputs that are
// read in turns, it comes to more than all that waits to be put. What is dropped is read again.
func (in *input) trimScratch() {
	if in.done || in.read.shaping != nil {
		return
	}
	in.shaper.TrimScratch()
	// The bytes must stay if they are to be shaped anew when their job is known, or may be the
	// last of the input.
	if len(in.read.window.bytes()) == 0 || in.wait.state == notWaiting && !in.read.atEnd() {
		in.read.window.give()
	}
}

// tellShaped tells whoever wants to know how far the input is shaped.
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
