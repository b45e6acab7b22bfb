package shipper

import "time"

// patience is how long the Shipper waits for what may never come.
type patience struct {
	// reject is how long a rejected event that could not be kept is tried again, if the reason is
	// another than a full disk. A folder that somebody has removed, or that is read-only, stays so,
	// and what waits for it would keep the journal from giving back space, in the end from taking
	// what the agent writes.
	reject time.Duration
	// trial is how long batches on trial wait for another put to their stream, unless memory runs
	// out. Meanwhile the journal keeps everything after them.
	trial time.Duration
	// job is how long lines wait for their input to name a job.
	job time.Duration
}

var usualPatience = patience{reject: 5 * time.Second, trial: time.Minute, job: time.Minute}
