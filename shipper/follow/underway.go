package follow

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/logfield"
)

// This file knows whether an agent is at work: a model may think for minutes, and nothing comes
// meanwhile.

// idleRuns is how many times UntilIdle a run under way may write nothing before it is taken for
// dead, if that is longer than Patience.Run.
const idleRuns = 60

// progress is how far an input is shaped, as the shipper told last.
type progress struct {
	offset  int64
	state   batch.State
	running bool
	job     string
}

// Shaped is for the shipper to tell how far the input is shaped, the state there, and the job of
// which a run is under way.
func (in *Input) Shaped(offset int64, state batch.State, running bool, job string) {
	in.progress.Store(&progress{offset, state, running, job})
}

// running reports whether a run is under way, of which job.
func (in *Input) running() (job string, running bool) {
	if in == nil {
		return "", false
	}
	p := in.progress.Load()
	if p == nil {
		return "", false
	}
	return p.job, p.running
}

// runPatience is how long nothing may come of a run under way.
func (s *Set) runPatience() time.Duration {
	return max(idleRuns*s.o.UntilIdle, s.o.Patience.Run)
}

// isIdle reports whether nothing has come for UntilIdle, and no run is under way of which more may
// come. It says which runs it does not wait for any longer.
func (s *Set) isIdle(now time.Time) bool {
	if s.o.UntilIdle == 0 || now.Sub(s.came) < s.o.UntilIdle {
		return false
	}
	var dead []func()
	wait := func(in *Input, path string, grew time.Time) bool {
		job, running := in.running()
		if !running {
			return false
		}
		if now.Sub(grew) < s.runPatience() {
			return true
		}
		dead = append(dead, func() {
			s.log.Warn(fmt.Sprintf("%s: job %q has not ended, but it has written nothing since %s: no longer waiting for it; the next start goes on with it",
				path, job, grew.UTC().Format(time.RFC3339)), logfield.Path(path), zap.String("job", job))
		})
		return false
	}
	for _, f := range s.files {
		if wait(f.in, f.path, f.changed) {
			return false
		}
	}
	for _, p := range s.parked {
		if wait(p.in, p.path, p.changed) {
			return false
		}
	}
	for _, f := range s.fifos {
		if wait(f.in, f.path, f.grew) {
			return false
		}
	}
	for _, say := range dead {
		say()
	}
	return true
}

// readsOn reports whether more may come of f after a signal, which is waited for as long as FIFOs
// are read: while it grows, and while a run is under way. Who stops the shipper often stops the
// agent at the same time, and that has something to say yet.
func (s *Set) readsOn(f *file, now time.Time) bool {
	if s.idle || s.o.Reading.Err() != nil {
		return false
	}
	_, running := f.in.running()
	still := now.Sub(f.changed)
	if still >= s.o.Patience.Gone && (!running || still >= s.runPatience()) {
		return false
	}
	if writer, known := f.hasWriter(); known && !writer { // as the end of a FIFO, but for who opens the file for each line
		return running && still < s.o.Patience.Gone
	}
	return true
}
