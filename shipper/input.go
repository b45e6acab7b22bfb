package shipper

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/feed"
	"perstack-shipper/shipper/journal"
)

// jobWait is how long lines wait for their input to name a job: npx warns long before the agent speaks.
const jobWait = time.Minute

// lookWindows is how many windows are looked through for a job before everything else has its turn.
const lookWindows = 16

// mostLook is how many bytes are looked through for one.
const mostLook = 8 << 20

// Input is an input to ship.
type Input struct {
	Journal *journal.Journal
	Shape   batch.Shape
	// Own: the process lives for it, and its end and fate make the exit code. Others are what earlier processes left.
	Own bool
	// JobOf is the id, or of a followed file the path, of the input whose job this one's lines take while they know none: a process's stdout, for its
	// stderr. "" = none.
	JobOf string
	// Path is the followed file's, or "".
	Path string
	// Grew is when a followed file grew last, as far as that is known.
	Grew time.Time
	// Command is the command line of who writes it, without secrets, for the open record; nil where that is not known.
	Command []string
	// Tee, where there is one, reads the journal too; it keeps the journal until it is done.
	Tee *feed.Tee
	// Quit, where there is one, stops who writes the journal, and returns when that is done: a journal is not closed under its writer. Run calls it when
	// it ends before the input is delivered.
	Quit func()
	// Ending, where there is one, is asked when the journal has ended what that means; nil: Finished. The goroutine of Run asks, maybe often, and gets
	// the same answer each time.
	Ending func() Ending
	// Exit, where there is one, says how the command ended whose output this is, for the seal; it returns nil while that is not known.
	Exit func() *Exit
	// Shaped, where there is one, is told how far the input is shaped, the state there, and the job of which a run is under way.
	Shaped func(offset int64, state batch.State, running bool, job string)
	// Closed, where there is one, is called when the journal was closed or removed.
	Closed func()
}

// Ending is what the end of an input means.
type Ending int

const (
	// Finished: no more can come. The journal is removed, and the seal says that the input ended.
	Finished Ending = iota
	// Paused: it may go on another day, as a followed file may. The journal keeps its cursor, and the seal does not say that the input ended.
	Paused
	// PausedInLine is Paused while the last line was being written: its beginning is left for that day, too.
	PausedInLine
)

// input is an Input under way. The loop owns it.
type input struct {
	Input
	index  int
	shaper *batch.Shaper
	window window
	blocks []*batch.Block // shaped, not acknowledged, in order
	// shaping is the block whose events are being made; memory may run out in the middle of it.
	shaping *batch.Block
	longer  bool // that block was there before, and becomes longer

	waiting bool    // the next line waits for a job
	ahead   *window // how far was looked for one
	waitEnd time.Time
	lookEnd time.Time // waitEnd where there is always more to look through, whatever the clock says
	looking bool      // there is more to look through at once

	streams []*stream // by route
	opened  int       // routes that have their open record
	seal    *batch.Block
	sealed  bool          // a seal was accepted that says what is so
	final   bool          // the seal, accepted or under way, says that the input ended
	stale   bool          // what the seal under way says is not so any more
	done    bool          // nothing is left: the journal is gone, or closed
	let     chan struct{} // closed then

	gap        int64     // bytes are missing up to this offset; 0: none
	unread     bool      // the journal could not be read, and is tried again
	truncated  bool      // the journal shrank: what was read is all there is
	overflowed bool      // it names too many streams, and that was said
	again      bool      // the bytes at hand are to be shaped anew
	seen       int64     // offset up to which the journal was read
	had        int64     // offset up to which there were bytes when it was taken in
	grewAt     time.Time // when there were more last
	cuts       []int64   // offsets, ascending, where lines end without a newline: the file stood still there
	grew       bool      // the block at hand began with bytes just read
	placed     bool      // the block at hand has made an event
	lones      int       // of the pending events, those that wait for a neighbour's fate

	// overtaken is the truncation that made this another input than the one that the journal was of.
	overtaken *journal.CutError

	acked   int64       // the cursor's offset
	kept    batch.State // the cursor's
	account account
	began   cursorState // what earlier processes left
}

// account is what the shipper knows of an input beyond what its lines say. It stands in the cursor.
type account struct {
	Rejected  ranges      `json:"rejected,omitempty"`  // seqs
	Repeated  int64       `json:"repeated,omitempty"`  // events that may be there twice
	Restamped int64       `json:"restamped,omitempty"` // events sent with another time than their own, at the put
	Truncated truncations `json:"truncated,omitzero"`
}

// truncations is how often a file was truncated before it was read to its end, and how many bytes that were seen in it are lost by that, at least.
type truncations struct {
	Times int64 `json:"times"`
	Bytes int64 `json:"bytes"`
}

// cursorState is what a journal's cursor carries for us.
type cursorState struct {
	State   batch.State `json:"state"`
	Streams []string    `json:"streams"`
	Account account     `json:"account"`
	Sealed  bool        `json:"sealed,omitempty"`
	Final   bool        `json:"final,omitempty"` // that seal says that the input ended
	Input   string      `json:"input,omitempty"` // what the input is called, where that is not what it began with
	Cuts    []int64     `json:"cuts,omitempty"`  // beyond the cursor
}

func newInput(in Input, index int, spare *spare) (*input, error) {
	cursor := in.Journal.Cursor()
	var cs cursorState
	if len(cursor.State) > 0 {
		if err := json.Unmarshal(cursor.State, &cs); err != nil {
			return nil, fmt.Errorf("input %s in %s cannot be shipped, its cursor is none of this program's; start the program that wrote it on that folder: %w", in.Journal.ID(), in.Journal.Path(), err)
		}
	}
	switch {
	case cs.Input != "":
		in.Shape.Input = cs.Input
	case len(cursor.State) == 0 && cursor.Offset > 0:
		// The count was lost with the cursor. To count from 1 again under the same name would make repeats of lines that are none.
		cs.Input = journal.NewID()
		in.Shape.Input = cs.Input
	}
	offset := cursor.Offset
	overtaken := in.Journal.Overtaken()
	if overtaken != nil && in.Journal.Ended() && in.Journal.Size() <= overtaken.To {
		overtaken = nil // no line follows
	}
	if overtaken != nil {
		// The lines that were lost may be in CloudWatch, with seqs that a process gave them and did not live to keep.
		cs = cursorState{
			State: cs.State.Heir(), Input: journal.NewID(),
			Account: account{Truncated: truncations{Times: cs.Account.Truncated.Times + 1, Bytes: cs.Account.Truncated.Bytes + overtaken.Lost}},
		}
		in.Shape.Input, offset = cs.Input, overtaken.To
	}
	shaper, err := batch.NewShaper(in.Shape, cs.State, cs.Streams)
	if err != nil {
		return nil, fmt.Errorf("input %s in %s cannot be shipped as its options say; start the program that wrote it on that folder: %w", in.Journal.ID(), in.Journal.Path(), err)
	}
	i := &input{Input: in, index: index, shaper: shaper, account: cs.Account, began: cs, sealed: cs.Sealed, final: cs.Final, opened: len(cs.Streams), acked: offset, let: make(chan struct{})}
	i.kept, i.cuts = cs.State, cs.Cuts
	i.kept.Streams = len(cs.Streams)
	i.window = window{offset: offset, spare: spare}
	i.seen, i.had, i.grewAt = offset, in.Journal.Size(), in.Grew
	if in.Grew.IsZero() {
		i.grewAt = time.Now()
	}
	if i.overtaken = overtaken; overtaken != nil {
		return i, i.persist(offset, cs.State)
	}
	return i, nil
}

// held is the memory that reading and shaping the input take, in bytes.
func (in *input) held() int {
	n := in.window.held() + in.shaper.Held()
	if in.ahead != nil {
		n += in.ahead.held()
	}
	return n
}

// spend gives memory back that is kept to be used again: where many inputs are read in turns, what each keeps comes to more than all that waits to be put. What
// is dropped is read again.
func (in *input) spend() {
	if in.done || in.shaping != nil {
		return
	}
	in.shaper.Spend()
	// What waits for a job is shaped anew, and must be there then; so must what may be the last of the input.
	if len(in.window.bytes()) == 0 || !in.waiting && !in.again && !in.shapedAll() {
		in.window.give()
	}
}

// closed says that the journal is closed.
func (in *input) closed() {
	if in.Closed != nil {
		in.Closed()
	}
}

// readAll reports whether every byte of the input was shaped, but for those that are to stay, and no more can come.
func (in *input) readAll() bool {
	return in.done || in.shaping == nil && in.ended() && in.shapedAll() && (in.window.start == in.window.end || in.leavesLine())
}

// ending is what it means that the input has ended. What is left of one that shrank is another input.
func (in *input) ending() Ending {
	if in.Ending == nil || in.truncated {
		return Finished
	}
	return in.Ending()
}

// leavesLine reports whether what is left is the beginning of a line that is to stay.
func (in *input) leavesLine() bool {
	return !in.waiting && !in.again && !in.truncated && in.ending() == PausedInLine && bytes.IndexByte(in.window.bytes(), '\n') < 0
}

// caughtUp reports whether all that has come was shipped; the input may go on.
func (in *input) caughtUp() bool {
	return in.shaping == nil && !in.waiting && len(in.blocks) == 0 && (in.shapedAll() || in.seen >= in.Journal.Size()) && bytes.IndexByte(in.window.bytes(), '\n') < 0
}

func (in *input) ended() bool { return in.truncated || in.Journal.Ended() }

func (in *input) shapedAll() bool {
	return in.truncated || in.window.next() >= in.Journal.Size()
}

// tellShaped says how far the input is shaped to who wants to know.
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

// pending counts the events that are not acknowledged.
func (in *input) pending() int {
	n := 0
	for _, b := range in.blocks {
		n += b.Pending
	}
	return n
}

// advance moves the cursor over the blocks at the front that have no pending events. It reports whether it moved.
func (in *input) advance() (bool, error) {
	n := 0
	for n < len(in.blocks) && in.blocks[n].Pending == 0 && in.blocks[n] != in.shaping {
		n++
	}
	if n == 0 {
		return false, nil
	}
	last := in.blocks[n-1]
	if last == in.seal {
		in.sealed, in.seal = !in.stale, nil
	}
	in.blocks = append(in.blocks[:0], in.blocks[n:]...)
	return true, in.persist(last.End, last.State)
}

// persist writes the cursor.
func (in *input) persist(offset int64, state batch.State) error {
	in.cuts = slices.DeleteFunc(in.cuts, func(cut int64) bool { return cut <= offset })
	data, err := json.Marshal(cursorState{State: state, Streams: in.shaper.Streams()[:state.Streams], Account: in.account, Sealed: in.sealed, Final: in.sealed && in.final, Input: in.began.Input, Cuts: in.cuts})
	if err != nil {
		return err
	}
	in.acked, in.kept = offset, state
	return in.Journal.Ack(journal.Cursor{Offset: offset, State: data})
}

// findJob looks for the job of the line that waits for one. It reports whether the line need not wait any longer.
func (in *input) findJob(now time.Time, sibling *input) (found bool, err error) {
	if sibling != nil && sibling.shaper.Job() != "" {
		in.shaper.SetJob(sibling.shaper.Job(), false)
		return in.stopWaiting()
	}
	if in.ahead == nil {
		in.ahead = &window{offset: in.window.offset, spare: in.window.spare}
		in.waitEnd = time.UnixMilli(in.Journal.ArrivalAt(in.window.offset)).Add(jobWait)
		in.lookEnd = now.Add(jobWait)
	}
	in.looking = false
	for range lookWindows {
		n, err := in.ahead.fill(in.Journal)
		final := in.ended() && in.ahead.next() >= in.Journal.Size()
		job, isRun, looked := in.shaper.FirstJob(in.ahead.bytes(), final)
		if job != "" {
			in.shaper.SetJob(job, isRun)
			return in.stopWaiting()
		}
		in.ahead.take(looked)
		if cut, ok := errors.AsType[*journal.CutError](err); ok {
			in.ahead.jump(cut.To)
			continue
		}
		// So much without a job could fill a small journal, and then the agent would wait for one that it has no room to name.
		late := !now.Before(in.lookEnd) || in.ahead.next()-in.window.offset > mostLook
		if n > 0 && err == nil && !late {
			continue
		}
		// A child's stderr waits for what its stdout will say, as long as that may say something.
		quiet := final && (sibling == nil || sibling.readAll())
		if quiet || err != nil || late || !now.Before(in.waitEnd) {
			in.shaper.StopWaiting()
			return in.stopWaiting()
		}
		return false, nil
	}
	in.looking = true // there is more to look through: a writer may be faster than this
	return false, nil
}

// stopWaiting keeps what was decided, so that a crash does not decide anew.
func (in *input) stopWaiting() (bool, error) {
	in.waiting, in.looking, in.ahead, in.again = false, false, nil, true
	if len(in.blocks) > 0 {
		return true, nil
	}
	return true, in.persist(in.window.offset, in.shaper.State())
}
