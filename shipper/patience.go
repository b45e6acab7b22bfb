package shipper

import "time"

// patience is how long the Shipper waits for things that may never happen, and how often it checks.
// Tests shorten it.
type patience struct {
	// reject is how long to keep trying to write a rejected event to the journal folder, unless the
	// disk is full. A folder that was removed or is read-only stays that way. Waiting for it longer
	// would keep the journal from giving back space, until it cannot take what the agent writes.
	reject time.Duration
	// trial is how long batches on trial wait for another put to their stream, unless memory runs
	// out. Meanwhile the journal keeps everything after them.
	trial time.Duration
	// job is how long lines wait for their input to name a job.
	job time.Duration
	// ecs is how long the metadata of an ECS task may take. It is not worth a longer wait.
	ecs time.Duration
	// look is how often the loop checks what nothing wakes it for: whether a journal can be read
	// again, whether the job that lines wait for is named, and whether Run should give up.
	look time.Duration
	// rejectRetry is how often to try to write a rejected event.
	rejectRetry time.Duration
	// drainEvery is how often to call Options.Drain.
	drainEvery time.Duration
}

var usualPatience = patience{
	reject: 5 * time.Second, trial: time.Minute, job: time.Minute, ecs: time.Second,
	look: time.Second, rejectRetry: 200 * time.Millisecond, drainEvery: time.Second,
}
