package shipper

import (
	"errors"
	"time"

	"perstack-shipper/shipper/journal"
)

// The log stream of a line may depend on its job, and npx warns long before the agent writes its
// first line. So the lines before the first that names a job wait for it.

const (
	// mostLook is how many bytes are looked through for a job.
	mostLook = 8 << 20
	// lookWindows is how many windows are looked through before everything else gets its turn.
	lookWindows = 16
)

// waiting is an input's wait for its job. There is one at most.
type waiting struct {
	state waitState
	ahead *window // what is looked through for the job; nil: nobody has looked
	// until is when the wait ends, counted from the arrival of the line. lookUntil is when it ends
	// even if there is always more to look through, counted from the beginning of the wait.
	until, lookUntil time.Time
}

// waitState is how far the wait for a job is.
type waitState int

const (
	// notWaiting: lines are shaped as they come.
	notWaiting waitState = iota
	// waitsForMore: a line waits for its job, and all that has come was looked through.
	waitsForMore
	// waitsLooking: a line waits, and there is more to look through at once.
	waitsLooking
	// waitOver: the line need not wait any longer and must be shaped again.
	waitOver
)

// now reports whether a line waits.
func (w *waiting) now() bool { return w.state == waitsForMore || w.state == waitsLooking }

func (w *waiting) held() int {
	if w.ahead == nil {
		return 0
	}
	return w.ahead.held()
}

// findJob looks for the job of the waiting line: its sibling's, if that has named one, or the first
// that the input itself names, for as long as patience. sibling may be nil. findJob sets the state
// of the wait.
func (in *input) findJob(now time.Time, sibling *input, patience time.Duration) error {
	if sibling != nil && sibling.shaper.Job() != "" {
		in.shaper.SetJob(sibling.shaper.Job(), false)
		return in.stopWaiting()
	}
	w := &in.wait
	if w.ahead == nil {
		w.ahead = &window{offset: in.read.window.offset, spare: in.read.window.spare}
		w.until = time.UnixMilli(in.Journal.ArrivalAt(in.read.window.offset)).Add(patience)
		w.lookUntil = now.Add(patience)
	}
	for range lookWindows {
		n, err := w.ahead.fill(in.Journal)
		final := in.ended() && w.ahead.next() >= in.Journal.Size()
		job, isRun, looked := in.shaper.FirstJob(w.ahead.bytes(), final)
		if job != "" {
			in.shaper.SetJob(job, isRun)
			return in.stopWaiting()
		}
		w.ahead.take(looked)
		if cut, ok := errors.AsType[*journal.CutError](err); ok {
			w.ahead.jump(cut.To)
			continue
		}
		// The bytes are bounded, too: lines without a job could fill a small journal, and the agent
		// would wait for room to name one.
		late := !now.Before(w.lookUntil) || w.ahead.next()-in.read.window.offset > mostLook
		if n > 0 && err == nil && !late {
			continue
		}
		// A child's stderr waits for what its stdout will say, as long as that may say something.
		hopeless := final && (sibling == nil || sibling.complete())
		if hopeless || err != nil || late || !now.Before(w.until) {
			in.shaper.StopWaiting()
			return in.stopWaiting()
		}
		w.state = waitsForMore
		return nil
	}
	w.state = waitsLooking // the writer may be faster than this
	return nil
}

// stopWaiting persists the decision, so that it is not made again after a crash.
func (in *input) stopWaiting() error {
	in.wait = waiting{state: waitOver}
	if len(in.ack.blocks) > 0 {
		return nil
	}
	return in.persist(in.read.window.offset, in.shaper.State())
}
