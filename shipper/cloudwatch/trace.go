package cloudwatch

import (
	"context"
	"crypto/tls"
	"net/http"
	"time"
)

// Trace records how a call went on the wire, as far as it got.
type Trace struct {
	Address string        // IP and port of the other end; "" without a connection
	TLS     string        // its version, such as "TLS 1.3"; "" without TLS
	Took    time.Duration // from connecting to the end of the answer
	At      time.Time     // when the answer was complete, by this machine's clock; zero: no answer
	Date    time.Time     // of the answer, by the server's clock; zero: the answer had none
}

type traceKey struct{}

// WithTrace returns a context that records the last call made with it in t.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// trace returns the Trace of a context, cleared, or a new one if the context has none.
func trace(ctx context.Context) *Trace {
	if t, ok := ctx.Value(traceKey{}).(*Trace); ok {
		*t = Trace{}
		return t
	}
	return new(Trace)
}

// answered records what an answer says about the connection and the server's clock.
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

// Skew returns how far the server's clock is ahead of this machine's. known is false if the answer
// had no date.
func (t *Trace) Skew() (ahead time.Duration, known bool) {
	if t.Date.IsZero() {
		return 0, false
	}
	// The server set the date about half-way through, in whole seconds.
	return t.Date.Add(500 * time.Millisecond).Sub(t.At.Add(-t.Took / 2)), true
}
