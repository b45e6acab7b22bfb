package cloudwatch

import (
	"context"
	"crypto/tls"
	"net/http"
	"time"
)

// Trace is how a call went on the wire, as far as it came.
type Trace struct {
	Address string        // of the other end of the connection, IP and port; "" where there was none
	TLS     string        // its version, such as "TLS 1.3"; "" without
	Took    time.Duration // from the request to the whole of the answer, with connecting
	At      time.Time     // when the answer had come, by this machine's clock; zero: there was none
	Date    time.Time     // of the answer, by the other's clock; zero: it had none
}

type traceKey struct{}

// WithTrace has the last call made with the returned context traced in t.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// trace is the Trace of a context, or one that nobody looks at.
func trace(ctx context.Context) *Trace {
	if t, ok := ctx.Value(traceKey{}).(*Trace); ok {
		*t = Trace{}
		return t
	}
	return new(Trace)
}

// answered notes what an answer says of the connection and of the other's clock.
func (t *Trace) answered(resp *http.Response, began time.Time) {
	t.At = time.Now()
	t.Took = t.At.Sub(began)
	if resp.TLS != nil {
		t.TLS = tls.VersionName(resp.TLS.Version)
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		t.Date = date
	}
}

// Skew is how far the other's clock is ahead of this machine's; known is false where the answer did
// not say.
func (t *Trace) Skew() (ahead time.Duration, known bool) {
	if t.Date.IsZero() {
		return 0, false
	}
	// The date was made about half-way, and has no fractions of a second.
	return t.Date.Add(500 * time.Millisecond).Sub(t.At.Add(-t.Took / 2)), true
}
