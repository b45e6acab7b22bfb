package fleet

// This file is the service: a model of CloudWatch Logs in one account, with its quotas and outages.
// It answers below the SDK, so calls are the same as in production except for the network.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"perstack-shipper/batch"
)

// quotas are the calls per second that an account may make in a Region. A call beyond them is
// answered with ThrottlingException and does not count. In 2026, AWS publishes 5,000 puts, 50
// creations of streams and 10 of groups:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html.
type quotas struct{ puts, streams, groups float64 }

// bucket is a token bucket. It holds one second's worth of calls, but at least 10. Otherwise a
// small fleet, with its small share of an account, would have a bucket that never yields two calls
// in the same second.
type bucket struct {
	rate, tokens float64
	at           time.Time
}

func (b *bucket) take(now time.Time) bool {
	most := max(b.rate, 10)
	if b.at.IsZero() {
		b.tokens = most
	} else {
		b.tokens = min(most, b.tokens+b.rate*now.Sub(b.at).Seconds())
	}
	if b.at = now; b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// refusal is an error answered by the service.
type refusal struct {
	status  int
	code    string
	message string
}

var (
	throttled   = &refusal{http.StatusBadRequest, "ThrottlingException", "Rate exceeded"}
	unavailable = &refusal{http.StatusServiceUnavailable, "ServiceUnavailableException", "The service cannot complete the request."}
	noGroup     = &refusal{http.StatusBadRequest, "ResourceNotFoundException", "The specified log group does not exist."}
	noStream    = &refusal{http.StatusBadRequest, "ResourceNotFoundException", "The specified log stream does not exist."}
	exists      = &refusal{http.StatusBadRequest, "ResourceAlreadyExistsException", "The specified log group already exists"}
)

// service is an http.RoundTripper that all tasks of a fleet share.
type service struct {
	// Immutable.
	scenario *scenario
	start    time.Time
	conn     net.Conn // the connection that every call claims to have used

	mu      sync.Mutex // guards the fields below: every task calls from its own goroutines
	random  *rand.Rand
	puts    bucket
	streams bucket
	groups  bucket
	group   bool
	known   map[string]bool   // streams
	lines   map[string]*lines // by input
	seen    series
}

// lines records the accepted lines of one input.
type lines struct {
	seqs  []uint64 // one bit per line
	count int
	twice int
}

func (l *lines) add(seq int64) {
	at, bit := int(seq/64), uint64(1)<<(seq%64)
	for len(l.seqs) <= at {
		l.seqs = append(l.seqs, 0)
	}
	if l.seqs[at]&bit != 0 {
		l.twice++
		return
	}
	l.seqs[at] |= bit
	l.count++
}

// newService returns a service with a share of the scenario's quotas.
func newService(sc *scenario, share float64, seed uint64) *service {
	conn, _ := net.Pipe()
	return &service{
		scenario: sc, start: time.Now(), conn: conn, random: rand.New(rand.NewPCG(1, seed)),
		puts: bucket{rate: sc.quotas.puts * share}, streams: bucket{rate: sc.quotas.streams * share}, groups: bucket{rate: sc.quotas.groups * share},
		known: map[string]bool{}, lines: map[string]*lines{},
	}
}

// RoundTrip answers one call.
func (s *service) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	if err := req.Body.Close(); err != nil {
		return nil, err
	}
	if trace := httptrace.ContextClientTrace(req.Context()); trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{Conn: s.conn, Reused: true})
	}
	action := strings.TrimPrefix(req.Header.Get("X-Amz-Target"), "Logs_20140328.")
	s.mu.Lock()
	took := between(s.random, s.scenario.latency)
	s.mu.Unlock()
	if err := sleep(req.Context(), took/2); err != nil {
		return nil, err
	}
	refused, err := s.do(action, body)
	if err != nil {
		return nil, err
	}
	if err := sleep(req.Context(), took-took/2); err != nil {
		return nil, err
	}
	return answer(req, action, refused), nil
}

// do carries out a call.
func (s *service) do(action string, body []byte) (*refusal, error) {
	var call struct {
		LogStreamName string
		LogEvents     []struct {
			Timestamp int64
			Message   string
		}
	}
	if err := json.Unmarshal(body, &call); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	refused := s.scenario.refusal(now.Sub(s.start), s.random)
	switch {
	case refused != nil:
	case action == "CreateLogGroup":
		if refused = throttled; s.groups.take(now) {
			if refused = nil; s.group {
				refused = exists
			}
			s.group = true
		}
	case action == "CreateLogStream":
		if refused = throttled; s.streams.take(now) {
			if refused = nil; !s.group {
				refused = noGroup
			} else {
				s.known[call.LogStreamName] = true
			}
		}
	case action == "PutLogEvents":
		if refused = throttled; s.puts.take(now) {
			if refused = nil; !s.group {
				refused = noGroup
			} else if !s.known[call.LogStreamName] {
				refused = noStream
			}
		}
	default:
		return nil, fmt.Errorf("the model does not support %s", action)
	}
	s.seen.call(now.Sub(s.start), action, refused)
	if refused != nil || action != "PutLogEvents" {
		return refused, nil
	}
	for _, e := range call.LogEvents {
		r, err := batch.Restore([]byte(e.Message))
		if err != nil {
			return nil, err
		}
		if r.Record != "" {
			continue
		}
		l := s.lines[r.Input]
		if l == nil {
			l = &lines{}
			s.lines[r.Input] = l
		}
		l.add(r.Seq)
		s.seen.line(now.Sub(s.start), now.Sub(time.UnixMilli(e.Timestamp)), s.scenario.trouble[1])
	}
	return nil, nil
}

// answer returns the HTTP response.
func answer(req *http.Request, action string, refused *refusal) *http.Response {
	status, body := http.StatusOK, ""
	header := http.Header{"Content-Type": {"application/x-amz-json-1.1"}, "X-Amzn-Requestid": {"0"}}
	switch {
	case refused != nil:
		status, body = refused.status, fmt.Sprintf(`{"__type":%q,"message":%q}`, refused.code, refused.message)
		header.Set("X-Amzn-Errortype", refused.code)
	case action == "PutLogEvents":
		body = `{}`
	}
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: int64(len(body)), Request: req,
	}
}

// sleep returns nil after d, or the context's error if the context ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
