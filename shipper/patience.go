package shipper

import "time"

// patience is how long the Shipper waits for what may never come, and how often it looks again
// meanwhile. Tests shorten it.
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
	// ecs is how long the metadata of an ECS task may take. It is good to know, but not worth a
	// longer wait.
	ecs time.Duration
	// look is how often the loop looks at what nothing wakes it for: a journal that cannot be read,
	// the job that lines wait for, or whether Run should give up.
	look time.Duration
	// rejectRetry is how often the Shipper tries again to keep a rejected event.
	rejectRetry time.Duration
	// drainEvery is how often Options.Drain is told.
	drainEvery time.Duration
}

var usualPatience = patience{
	reject: 5 * time.Second, trial: time.Minute, job: time.Minute, ecs: time.Second,
	look: time.Second, rejectRetry: 200 * time.Millisecond, drainEvery: time.Second,
}
