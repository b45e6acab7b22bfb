package shipper

import (
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/loglimit"
)

// trouble says what goes wrong between here and CloudWatch: once, then at most once a minute, and
// when it is over.
type trouble struct {
	api *cloudwatch.Client
	log *zap.Logger

	// mu guards what follows: every delivery reports here, and the loop asks.
	mu          sync.Mutex
	said        loglimit.Limiter
	since       time.Time // of the first failure after the last success; zero: none
	failures    int       // since then
	told        bool      // one of them was said
	everOK      bool
	lastOK      time.Time // when a put was accepted
	unreachable bool      // all failures since then are credentials, permission or address
	last        failure   // the latest since then
	everywhere  bool      // the latest failure is credentials or address: no other stream would fare better
}

// failure is a call that came to nothing.
type failure struct {
	err            error
	action, stream string
}

func newTrouble(api *cloudwatch.Client, log *zap.Logger) *trouble {
	return &trouble{api: api, log: log}
}

// failed says that an attempt came to nothing. prefix goes before the explanation.
func (t *trouble) failed(err error, action, stream, prefix string) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since.IsZero() {
		t.since, t.unreachable = now, true
	}
	t.failures++
	t.last = failure{err, action, stream}
	t.unreachable = t.unreachable && cloudwatch.Unreachable(err)
	t.everywhere = cloudwatch.Unreachable(err) && cloudwatch.Classify(err) != cloudwatch.Denied
	kind := fmt.Sprint(cloudwatch.Classify(err), action)
	if cloudwatch.NoCredentials(err) {
		kind = "no credentials" // no call was made with them, so it is the same whatever the call
	}
	if !t.said.Allow(kind, now) {
		return
	}
	t.told = true
	t.log.Warn(prefix + t.api.Explain(err, action, stream) + " (kept and retried)")
}

// accepted says that CloudWatch took a batch.
func (t *trouble) accepted() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.everOK, t.lastOK = true, time.Now()
	if t.since.IsZero() {
		return
	}
	if t.told && t.said.Allow("over", time.Now()) {
		t.log.Info(fmt.Sprintf("CloudWatch takes events again, after %s and %d failed attempts", time.Since(t.since).Round(time.Millisecond), t.failures))
	}
	// What was said stays said: where every other call fails, the same two sentences would come
	// with each of them.
	t.since, t.failures, t.told, t.last = time.Time{}, 0, false, failure{}
}

// cause says what went wrong last, or "" when nothing has since CloudWatch took a batch.
func (t *trouble) cause() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.api.Explain(t.last.err, t.last.action, t.last.stream)
}

// progress is when a put was accepted last, be it of a batch that is still being halved.
func (t *trouble) progress() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lastOK
}

// hopeless tells whether nothing was ever accepted and all that fails now is credentials,
// permission or address.
func (t *trouble) hopeless() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.everOK && !t.since.IsZero() && t.unreachable
}

// total tells whether nothing at all gets through: no other stream would fare better.
func (t *trouble) total() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.since.IsZero() && t.everywhere
}
