package shipper

import (
	"encoding/json"
	"fmt"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/logfield"
)

// finish ends the inputs that are delivered.
func (s *Shipper) finish() {
	for _, in := range s.inputs.all {
		if !in.done && in.delivered() && s.isCopied(in) {
			s.finishInput(in)
		}
	}
}

// delivered reports whether all of the input and its seal are acknowledged, and no more can come.
func (in *input) delivered() bool {
	return in.complete() && len(in.ack.blocks) == 0 && (in.seal.state == sealed || len(in.streams) == 0)
}

// isCopied reports whether the copy of an input to --tee is done or was given up.
func (s *Shipper) isCopied(in *input) bool {
	if in.Tee == nil || in.Tee.Finished() {
		return true
	}
	now := time.Now()
	if !in.Tee.Stuck(now) {
		s.life.progress = now // now it waits for the reader of stdout
		return false
	}
	in.Tee.GiveUp()
	return true
}

// finishInput removes the journal of an input, or closes it if the input may continue another day.
func (s *Shipper) finishInput(in *input) {
	if in.ack.offset < in.read.window.offset { // no line came after a truncation or a gap
		if err := in.persist(in.read.window.offset, in.shaper.State()); err != nil {
			s.complainOfCursor(in, err)
		}
	}
	in.done = true
	end := in.Journal.Remove
	if in.ending() != Finished {
		end = in.Journal.Close
	} else if why := in.unfinished(); why != "" {
		s.log.Warn(why, logfield.Input(in.Shape.Input))
	}
	s.report.take(in)
	s.keepStats(in)
	if err := end(); err != nil {
		s.complain("end "+in.Shape.Input, err)
	}
	in.closed()
	s.release(in)
}

// release frees what an input holds that is done. A followed file is forgotten, with the streams
// that only it wrote to, because there is no end to followed files. Other inputs are kept: their
// siblings still ask for their job.
func (s *Shipper) release(in *input) {
	close(in.released)
	in.read.window, in.wait.ahead = window{}, nil
	if in.Journal.Kind() != journal.KindFile {
		return
	}
	s.inputs.forget(in)
	used := map[*stream]bool{}
	for _, i := range s.inputs.all {
		if !i.done {
			for _, st := range i.streams {
				used[st] = true
			}
		}
	}
	for _, st := range in.streams {
		if !used[st] && st.idle() {
			delete(s.streams, st.Name)
		}
	}
	in.streams = nil
}

// closeAll closes the journals of the inputs that are not done, with what is left in them.
func (s *Shipper) closeAll() {
	for _, in := range s.inputs.all {
		if in.done {
			continue
		}
		in.quit()
		s.report.take(in)
		s.report.leave(in)
		s.keepStats(in)
		if err := in.Journal.Close(); err != nil {
			s.complain("close "+in.Shape.Input, err)
		}
		in.closed()
	}
}

// unfinished says what is missing at the end of an input: the rest of a line, or the end of a run.
// It returns "" if nothing is. Perstack loses what its pipe has not taken when it throws or is
// killed, and nobody else would notice.
func (in *input) unfinished() string {
	if in.read.state == truncated {
		return "" // that was said, and its rest is another input
	}
	what := ""
	st, job := in.shaper.State(), in.running()
	var last string
	if json.Unmarshal([]byte(st.Last), &last) != nil {
		last = "unknown"
	}
	switch {
	case st.Cut:
		what = fmt.Sprintf("input %s ended in the middle of a line of JSON (an event of type %q)", in.Shape.Input, last)
	case job != nil:
		run := "a run"
		if expert := job.Root(); expert != "" {
			run = fmt.Sprintf("a run of Expert %q", expert)
		}
		what = fmt.Sprintf("input %s ended before job %q did: %s had begun, and the last event was %q", in.Shape.Input, job.JobID, run, last)
	default:
		return ""
	}
	if in.Exit != nil {
		return what + "; the command ended, or was killed, before it had written more"
	}
	return what + "; what the agent wrote after that never arrived, for it loses what its pipe has not taken when it throws or is killed: `perstack-shipper exec` gives it a file instead"
}

// running returns the latest job that a run has begun and none has ended, or nil.
func (in *input) running() *batch.Job {
	jobs := in.shaper.Receipt().Jobs()
	for i := len(jobs) - 1; i >= 0; i-- {
		if jobs[i].Runs > 0 && jobs[i].Outcome == batch.Unfinished {
			return jobs[i]
		}
	}
	return nil
}

// newestRuns reports whether a run of the job that was named last has begun and none has ended that
// job.
func (in *input) newestRuns() bool {
	jobs := in.shaper.Receipt().Jobs()
	if len(jobs) == 0 {
		return false
	}
	newest := jobs[len(jobs)-1]
	return newest.Runs > 0 && newest.Outcome == batch.Unfinished
}
