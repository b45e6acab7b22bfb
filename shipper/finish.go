package shipper

import (
	"encoding/json"
	"fmt"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/logfield"
)

// finish ends the inputs that are delivered.
func (s *Shipper) finish() {
	for _, in := range s.inputs.all {
		if !in.done && in.delivered() && s.copyEnded(in) {
			s.finishInput(in)
		}
	}
}

// delivered reports whether the whole input and its seal are acknowledged, and no more can come.
func (in *input) delivered() bool {
	return in.complete() && len(in.ack.blocks) == 0 && (in.seal.state == sealed || len(in.streams) == 0)
}

// copyEnded reports whether the copy of an input to --tee is complete or given up, or there is
// none. It gives up a copy that is stuck.
func (s *Shipper) copyEnded(in *input) bool {
	if in.Tee == nil || in.Tee.Finished() {
		return true
	}
	now := time.Now()
	if !in.Tee.Stuck(now) {
		s.life.progress = now // the reader of stdout makes progress
		return false
	}
	in.Tee.GiveUp()
	return true
}

// finishInput removes the journal of an input, or closes it if a later process may continue the
// input.
func (s *Shipper) finishInput(in *input) {
	if in.ack.offset < in.read.window.offset { // no line followed a truncation or a gap
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
	s.freeInput(in)
}

// freeInput frees what a done input holds. It forgets a followed file and the streams that only
// this file wrote to, because there may be any number of followed files. It keeps other inputs,
// because inputs that name them in JobOf still ask for their job.
func (s *Shipper) freeInput(in *input) {
	close(in.stopWatch)
	in.read.window, in.wait.ahead = window{}, nil
	if !in.isFollowed() {
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

// closeAll closes the journals of the inputs that are not done. They keep what is left.
func (s *Shipper) closeAll() {
	for _, in := range s.inputs.all {
		if in.done {
			continue
		}
		in.quit()
		s.saveRepeats(in)
		s.report.take(in)
		s.report.leave(in)
		s.keepStats(in)
		if err := in.Journal.Close(); err != nil {
			s.complain("close "+in.Shape.Input, err)
		}
		in.closed()
	}
}

// unfinished describes what is missing at the end of an input: the rest of a line, or the end of a
// run. It returns "" if nothing is missing. When Perstack throws or is killed, it loses what its
// pipe has not taken, and nobody else would notice.
func (in *input) unfinished() string {
	if in.read.state == truncated {
		return "" // the truncation was logged, and the rest of the file is another input
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
	if in.isOfExec() {
		return what + "; the command ended, or was killed, before it had written more"
	}
	return what + "; an agent that throws or is killed loses what its pipe has not taken; use `perstack-shipper exec`, which gives it a file instead"
}

// running returns the latest job that has begun and not ended, or nil.
func (in *input) running() *batch.Job {
	jobs := in.shaper.Receipt().Jobs()
	for i := len(jobs) - 1; i >= 0; i-- {
		if jobs[i].Runs > 0 && jobs[i].Outcome == batch.Unfinished {
			return jobs[i]
		}
	}
	return nil
}

// newestRuns reports whether the job that was named last has begun and not ended.
func (in *input) newestRuns() bool {
	jobs := in.shaper.Receipt().Jobs()
	if len(jobs) == 0 {
		return false
	}
	newest := jobs[len(jobs)-1]
	return newest.Runs > 0 && newest.Outcome == batch.Unfinished
}
