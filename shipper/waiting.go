package shipper

// The log stream of a line may depend on its job, but npx may print warnings long before the agent
// writes its first line. So lines that come before the first job is named wait for it.

import (
	"errors"
	"time"

	"perstack-shipper/shipper/journal"
)

const (
	// mostLook is how many bytes to search for a job.
	mostLook = 8 << 20
	// lookWindows is how many windows to search before everything else gets its turn.
	lookWindows = 16
)

// waiting is an input's wait for its job. An input waits at most once.
type waiting struct {
	state waitState
	ahead *window // the window that is searched for the job; nil: the search has not begun
	// until is when the wait ends, counted from the arrival of the line. lookUntil is when it ends
	// even if there is always more to search, counted from the beginning of the wait.
	until, lookUntil time.Time
}

// waitState is the state of the wait for a job.
type waitState int

const (
	// notWaiting means that lines are shaped as they come.
	notWaiting waitState = iota
	// waitsForMore means that a line waits for its job, and everything that has arrived was
	// searched.
	waitsForMore
	// waitsLooking means that a line waits, and there is more to search right away.
	waitsLooking
	// waitOver means that the line need not wait any longer and must be shaped again.
	waitOver
)

// now reports whether a line waits.
func (w *waiting) now() bool { return w.state == waitsForMore || w.state == waitsLooking }

// held returns the memory, in bytes, that the search uses.
func (w *waiting) held() int {
	if w.ahead == nil {
		return 0
	}
	return w.ahead.held()
}

// findJob looks for the job of the waiting line, for at most patience, and sets the state of the
// wait. The job is the sibling's, if it has one, or the first that the input itself names. sibling
// may be nil.
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
		if truncation, ok := errors.AsType[*journal.CutError](err); ok {
			w.ahead.jump(truncation.To)
			continue
		}
		// The bytes to search are also bounded. Otherwise lines without a job could fill a small
		// journal, and the agent would wait for room to name one.
		late := !now.Before(w.lookUntil) || w.ahead.next()-in.read.window.offset > mostLook
		if n > 0 && err == nil && !late {
			continue
		}
		// The stderr of a command also waits for its stdout, for as long as that may name a job.
		hopeless := final && (sibling == nil || sibling.complete())
		if hopeless || err != nil || late || !now.Before(w.until) {
			in.shaper.StopWaiting()
			return in.stopWaiting()
		}
		w.state = waitsForMore
		return nil
	}
	w.state = waitsLooking // the writer may be faster than the search
	return nil
}

// stopWaiting ends the wait. It writes the decision to the cursor, so that the next start does not
// decide differently after a crash.
func (in *input) stopWaiting() error {
	in.wait = waiting{state: waitOver}
	if len(in.ack.blocks) > 0 {
		return nil
	}
	return in.persist(in.read.window.offset, in.shaper.State())
}
