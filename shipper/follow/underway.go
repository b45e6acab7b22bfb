package follow

// This file tells whether an agent is at work. A model may think for minutes, and its agent writes
// nothing in the meantime.

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/logfield"
)

// idleRuns is how many times UntilIdle a run under way may write nothing before it is taken for
// dead, if that is longer than Patience.Run.
const idleRuns = 60

// progress is how far an input is shaped, as the shipper last reported.
type progress struct {
	offset  int64
	state   batch.State
	running bool
	job     string
}

// Shaped tells the Set how far the shipper has shaped the input, the state at that offset, and
// whether a run of job is under way.
func (in *Input) Shaped(offset int64, state batch.State, running bool, job string) {
	in.progress.Store(&progress{offset, state, running, job})
}

// running reports whether a run is under way, and of which job.
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

// runPatience returns how long a run under way may write nothing before it is taken for dead.
func (s *Set) runPatience() time.Duration {
	return max(idleRuns*s.o.UntilIdle, s.o.Patience.Run)
}

// isIdle reports whether nothing has come for UntilIdle and no run is under way that may write
// more.
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
			s.log.Warn(fmt.Sprintf("%s: job %q has not ended, but it has written nothing since %s: no longer waiting for it; the next start continues it",
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

// readsOn reports whether more may come of f after a signal: while it grows, and while a run is
// under way. The Set waits for that as long as FIFOs are read. Often the agent is stopped together
// with the shipper, and still writes its last events.
func (s *Set) readsOn(f *file, now time.Time) bool {
	if s.idle || s.o.Reading.Err() != nil {
		return false
	}
	_, running := f.in.running()
	still := now.Sub(f.changed)
	if still >= s.o.Patience.Gone && (!running || still >= s.runPatience()) {
		return false
	}
	// The file has ended, unless the agent opens it for each line.
	if writer, known := f.hasWriter(); known && !writer {
		return running && still < s.o.Patience.Gone
	}
	return true
}
