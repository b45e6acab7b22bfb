package deliver

import (
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/loglimit"
)

// Trouble knows what goes wrong between here and CloudWatch, for all streams and for each. Each
// kind of failure is logged once, then at most once a minute, and so is the end of it. Deliveries
// report here while they try again, so that others need not wait for their outcomes. Safe for
// concurrent use.
type Trouble struct {
	api *cloudwatch.Client
	log *zap.Logger
	// worse has a value when a stream has begun to fail, or it turned out that others may fare
	// better.
	worse chan struct{}

	// mu guards what follows: every delivery reports here, and any goroutine asks.
	mu          sync.Mutex
	logged      loglimit.Limiter
	since       time.Time // of the first failure after the last success; zero: none
	failures    int       // since then
	told        bool      // one of them was logged
	everOK      bool
	lastOK      time.Time // when a put was accepted
	unreachable bool      // all failures since then are credentials, permission or address
	last        failure   // the latest since then
	everywhere  bool      // the latest failure is credentials or address: no other stream would fare better
	streams     map[string]streamFailures
}

// failure is an attempt that came to nothing.
type failure struct {
	err    error
	call   action
	stream string
}

// countFailures is what came to nothing for a stream since something was accepted.
type streamFailures struct {
	count   int
	lasting bool // one of them was no accident of the network or the service
}

func (f streamFailures) failing() bool { return f.count > 1 || f.lasting }

func newTrouble(api *cloudwatch.Client, log *zap.Logger) *Trouble {
	return &Trouble{api: api, log: log, worse: make(chan struct{}, 1), streams: map[string]streamFailures{}}
}

// reportFailure reports an attempt that came to nothing. prefix goes before the explanation.
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
		kind = "no credentials" // no call was made with them, so it is the same whatever the call
	}
	if !t.logged.Allow(kind, now) {
		return
	}
	t.told = true
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

// clear forgets the failures of a stream: something was accepted, or nothing of it waits to be.
func (t *Trouble) clear(stream string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.streams, stream)
}

// reportSuccess notes that CloudWatch took a batch with all its events.
func (t *Trouble) reportSuccess() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.everOK, t.lastOK = true, time.Now()
	if t.since.IsZero() {
		return
	}
	if t.told && t.logged.Allow("over", time.Now()) {
		t.log.Info(fmt.Sprintf("CloudWatch accepts events again, after %s and %d failed attempts", time.Since(t.since).Round(time.Millisecond), t.failures),
			zap.Float64("seconds", time.Since(t.since).Seconds()), zap.Int("failures", t.failures))
	}
	// The limiter is not reset: where every other call fails, the same two sentences would come
	// with each of them.
	t.since, t.failures, t.told, t.last = time.Time{}, 0, false, failure{}
}

// Worse returns a channel that receives a value when Failing or Total may have changed so that the
// caller should look for what can still be delivered.
func (t *Trouble) Worse() <-chan struct{} { return t.worse }

// Failing reports whether a stream is in trouble that may be its own. A single failure of the
// network or the service is no sign of that.
func (t *Trouble) Failing(stream string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.streams[stream].failing()
}

// Total reports whether nothing at all gets through: no other stream would fare better.
func (t *Trouble) Total() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.since.IsZero() && t.everywhere
}

// Hopeless reports whether nothing was ever accepted and all that fails now is credentials,
// permission or address.
func (t *Trouble) Hopeless() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.everOK && !t.since.IsZero() && t.unreachable
}

// Cause explains what went wrong last, for a person. It is "" when nothing has since CloudWatch
// took a batch.
func (t *Trouble) Cause() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.api.Explain(t.last.err, string(t.last.call), t.last.stream)
}

// Progress is when a put was accepted last, even one of a batch that is still being halved.
func (t *Trouble) Progress() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lastOK
}
