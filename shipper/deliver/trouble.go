package deliver

import (
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/loglimit"
)

// Trouble records what goes wrong between here and CloudWatch, overall and per stream. It logs each
// kind of failure once, then at most once a minute, and the end of the trouble likewise. Deliveries
// report while they are still retrying, so that others need not wait for their outcomes. Trouble is
// safe for concurrent use.
type Trouble struct {
	api *cloudwatch.Client
	log *zap.Logger
	// worse receives a value when a stream begins to fail, or when other streams may fare better
	// than was thought.
	worse chan struct{}

	// mu guards the fields below. Every delivery reports here, and any goroutine may query.
	mu          sync.Mutex
	logged      loglimit.Limiter
	since       time.Time // first failure after the last success; zero: none
	failures    int       // number of them since then
	reported    bool      // whether one of them was logged
	everOK      bool
	lastOK      time.Time // when a put was last accepted
	unreachable bool      // all failures since then concern credentials, permissions or the address
	last        failure   // the latest of them
	everywhere  bool      // the latest failure is of credentials or the address, for all streams
	streams     map[string]streamFailures
}

// failure is a failed attempt.
type failure struct {
	err    error
	call   action
	stream string
}

// streamFailures counts a stream's failed attempts since the last accepted put.
type streamFailures struct {
	count   int
	lasting bool // one of them was not a chance failure of the network or the service
}

func (f streamFailures) failing() bool { return f.count > 1 || f.lasting }

func newTrouble(api *cloudwatch.Client, log *zap.Logger) *Trouble {
	return &Trouble{api: api, log: log, worse: make(chan struct{}, 1), streams: map[string]streamFailures{}}
}

// reportFailure reports a failed attempt. prefix precedes the explanation.
func (t *Trouble) reportFailure(err error, call action, stream, prefix string) {
	now := time.Now()
	class := cloudwatch.Classify(err)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.countFailure(stream, class)
	if t.since.IsZero() {
		t.since, t.unreachable = now, true
	}
	t.failures++
	t.last = failure{err, call, stream}
	t.unreachable = t.unreachable && cloudwatch.Unreachable(err)
	everywhere := cloudwatch.Unreachable(err) && class != cloudwatch.Denied
	if t.everywhere && !everywhere {
		t.wake()
	}
	t.everywhere = everywhere
	kind := fmt.Sprint(class, call)
	if cloudwatch.NoCredentials(err) {
		kind = "no credentials" // no call was made, so the action does not matter
	}
	if !t.logged.Allow(kind, now) {
		return
	}
	t.reported = true
	t.log.Warn(prefix+t.api.Explain(err, string(call), stream)+" (kept and retried)", t.api.LogFields(err, string(call), stream)...)
}

// countFailure counts a failure for its stream.
func (t *Trouble) countFailure(stream string, class cloudwatch.Class) {
	f := t.streams[stream]
	failing := f.failing()
	f.count++
	f.lasting = f.lasting || class != cloudwatch.Retry
	t.streams[stream] = f
	if !failing && f.failing() {
		t.wake()
	}
}

func (t *Trouble) wake() {
	select {
	case t.worse <- struct{}{}:
	default:
	}
}

// clear forgets the failures of a stream, because something was accepted or nothing is left to
// deliver.
func (t *Trouble) clear(stream string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.streams, stream)
}

// reportSuccess records that CloudWatch accepted a batch with all its events.
func (t *Trouble) reportSuccess() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.everOK, t.lastOK = true, time.Now()
	if t.since.IsZero() {
		return
	}
	if t.reported && t.logged.Allow("over", time.Now()) {
		t.log.Info(fmt.Sprintf("CloudWatch accepts events again, after %s and %d failed attempts", time.Since(t.since).Round(time.Millisecond), t.failures),
			zap.Float64("seconds", time.Since(t.since).Seconds()), zap.Int("failures", t.failures))
	}
	// Do not reset the limiter: if every other call fails, the same two messages would be logged
	// each time.
	t.since, t.failures, t.reported, t.last = time.Time{}, 0, false, failure{}
}

// Worse returns a channel that receives a value when the results of Failing or Total may have
// changed, so that the caller should look for streams that can still be delivered.
func (t *Trouble) Worse() <-chan struct{} { return t.worse }

// Failing reports whether a stream has trouble that may be its own. A single failure of the network
// or the service does not count.
func (t *Trouble) Failing(stream string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.streams[stream].failing()
}

// Total reports whether no stream can get anything through.
func (t *Trouble) Total() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.since.IsZero() && t.everywhere
}

// Hopeless reports whether nothing was ever accepted and all current failures concern credentials,
// permissions or the address.
func (t *Trouble) Hopeless() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.everOK && !t.since.IsZero() && t.unreachable
}

// Cause explains the latest failure to a person. It returns "" if there was none since CloudWatch
// last accepted a batch.
func (t *Trouble) Cause() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.api.Explain(t.last.err, string(t.last.call), t.last.stream)
}

// Progress returns when a put was last accepted, even one of a batch that is still being halved.
func (t *Trouble) Progress() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lastOK
}
