// Package cwlocal is an in-process CloudWatch Logs endpoint. `perstack-shipper local` serves it so
// that people can try the program without an AWS account, and tests ship to it. It refuses what the
// service refuses, with the same error type and HTTP status. It keeps accepted events in memory or
// as plain JSON lines in a folder, and injects the faults that a test asks for.
//
//	server.go   options; one HTTP request from its headers to its answer
//	fault.go    the faults that a test can inject
//	body.go     request bodies, plain or compressed
//	apierror.go errors as the service reports them; names.go the rules for names
//	put.go      PutLogEvents: every limit of a batch
//	store.go    groups, streams and their events in memory, in reading order
//	folder.go   the same on disk; load.go loads it
//	get.go      GetLogEvents
//	filter.go   FilterLogEvents; package pattern has the filter patterns
//	metric.go   TestMetricFilter
//	groups.go   creating, deleting, retention; tags.go tags; describe.go lists
//	quota.go    quotas of calls per second; stats.go counts of calls and bytes
//	sts.go      GetCallerIdentity
//	listen.go   serving on an address
package cwlocal

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"
)

const (
	// targetPrefix precedes the name of the operation in the header X-Amz-Target.
	targetPrefix = "Logs_20140328."
	// contentType is the type of requests and answers in AWS JSON 1.1.
	contentType = "application/x-amz-json-1.1"
	// account is the account ID in every ARN.
	account = "000000000000"
	// defaultRegion is the Region in ARNs if the request's signature names none.
	defaultRegion = "us-east-1"
)

// Options configure a [Server]. The zero value keeps everything in memory and answers at once.
type Options struct {
	// Dir is the folder in which to keep groups and streams as JSON lines. It is created if
	// missing. "" keeps them in memory only. Only one process at a time can use a folder.
	Dir string
	// Now is the clock for ingestion times, for rejecting events that are too old or too new, and
	// for the Date of answers. nil means time.Now.
	Now func() time.Time
	// Latency is the minimum real time between a request's arrival and its answer.
	Latency time.Duration
	// ReadableAfter is how long, by Now, GetLogEvents and FilterLogEvents hide an accepted event.
	// With the service it may be seconds.
	ReadableAfter time.Duration
	// EmptyPages precedes each page of GetLogEvents and FilterLogEvents with an empty page that is
	// not the last one, as the service may do at any time.
	EmptyPages bool
	// Retention is an account policy that sets the retention of every group. An empty name means
	// that there is none.
	Retention AccountRetention
	// RepeatPages answers each page of GetLogEvents twice: the first answer has a token that leads
	// to the same page again.
	RepeatPages bool
	// Quotas refuses calls beyond the service's quotas with a ThrottlingException.
	Quotas bool
	// Discard counts accepted events in Stats but does not keep them. It requires Dir to be "".
	Discard bool
	// AllowUnsigned accepts requests without an Authorization header. Signatures are never
	// verified.
	AllowUnsigned bool
	// Logger logs errors of the folder and, at debug level, each call. nil means no logging.
	Logger *zap.Logger
	// Intercept is called before each operation and returns the fault to inject. Several goroutines
	// may call it at once. nil means no faults.
	Intercept func(*Call) Fault
}

// AccountRetention is an account policy for retention. It overrides the retention of groups.
type AccountRetention struct {
	Name string
	Days int // 0: forever
}

// Server is the endpoint, an http.Handler. It is safe for concurrent use.
type Server struct {
	// Immutable once New has returned.
	opt    Options
	log    *zap.Logger
	folder *folder // nil without Options.Dir
	quotas *quotas // nil without Options.Quotas

	// done is closed by Close. It ends requests that hang or sleep.
	done      chan struct{}
	closeOnce sync.Once

	// mu guards the tree of groups and streams, but not the events in them. Each request has its
	// own goroutine, so no single goroutine could own the tree. A stream's mu may be locked while
	// mu is held, but not the other way round.
	mu     sync.RWMutex
	groups map[string]*group

	counters counters
}

// New returns a Server. With Options.Dir, it loads what an earlier Server left there.
func New(o Options) (*Server, error) {
	s := &Server{opt: o, log: o.Logger, done: make(chan struct{}), groups: map[string]*group{}}
	if s.opt.Now == nil {
		s.opt.Now = time.Now
	}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	if o.Quotas {
		s.quotas = newQuotas()
	}
	if o.Dir == "" {
		return s, nil
	}
	if o.Discard {
		return nil, errors.New("Options.Discard keeps nothing, so it cannot be combined with Options.Dir; leave one out")
	}
	f, err := openFolder(o.Dir, s.log)
	if err != nil {
		return nil, err
	}
	if s.groups, err = f.load(); err != nil {
		return nil, errors.Join(err, f.close())
	}
	s.folder = f
	return s, nil
}

// Close ends requests that hang or sleep, answers 503 from now on, and unlocks the folder. It does
// not wait for requests in flight; those that still need the folder fail.
func (s *Server) Close() error {
	var err error
	s.closeOnce.Do(func() {
		close(s.done)
		if s.folder != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			err = s.folder.close()
		}
	})
	return err
}

// operation is a decoded request. target returns what the request concerns, as far as the body
// says, and do carries it out and returns the body of the answer.
type operation interface {
	target() (group, stream string, events int)
	do(s *Server, region string) ([]byte, error)
}

// answer is a body with status 200, or an error.
type answer struct {
	body []byte
	err  *apiError
}

// ServeHTTP answers one call of the CloudWatch Logs API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	arrived := time.Now()
	if isQuery(r) {
		s.serveQuery(w, r)
		return
	}
	action, region, err := s.head(r)
	if err != nil {
		drain(r)
		s.write(w, action, answer{err: asAPIError(err)}, Fault{})
		return
	}
	body, release, err := s.readBody(r)
	if err != nil {
		if r.Context().Err() != nil || !errors.As(err, new(*apiError)) {
			panic(http.ErrAbortHandler) // the client has gone, so nobody would read an answer
		}
		drain(r)
		s.write(w, action, answer{err: asAPIError(err)}, Fault{})
		return
	}
	defer release()

	op, decodeErr := decode(action, body)
	call := &Call{Action: action, Body: body, Compressed: r.Header.Get("Content-Encoding") == "gzip"}
	if op != nil {
		call.Group, call.Stream, call.Events = op.target()
	}
	leave := s.counters.enter(call)
	defer leave()

	var fault Fault
	if s.opt.Intercept != nil {
		fault = s.opt.Intercept(call)
	}
	a := s.carryOut(r.Context(), w, fault, func() answer {
		if decodeErr != nil {
			return answer{err: asAPIError(decodeErr)}
		}
		if s.quotas != nil && !s.quotas.take(action) {
			return answer{err: throttled()}
		}
		return s.perform(op, region, fault)
	})
	if a == nil {
		return // the connection was reset
	}
	s.sleep(r.Context(), s.opt.Latency-time.Since(arrived))
	s.write(w, action, *a, fault)
}

// perform carries out op, with the rejections that fault asks for.
func (s *Server) perform(op operation, region string, fault Fault) answer {
	if p, ok := op.(*putLogEvents); ok {
		p.reject = fault.Rejected
	}
	body, err := op.do(s, region)
	if err != nil {
		var api *apiError
		if !errors.As(err, &api) {
			s.log.Error("call failed", zap.Error(err))
		}
		return answer{err: asAPIError(err)}
	}
	return answer{body: body}
}

// credential finds the Region in the Authorization header of a request signed with Signature
// Version 4.
var credential = regexp.MustCompile(`^AWS4-[A-Z0-9-]+ .*Credential=[^/]+/[0-9]{8}/([a-z0-9-]+)/[a-z0-9-]+/aws4_request`)

// head checks a request's headers, and returns the operation and the Region that the request was
// signed for.
func (s *Server) head(r *http.Request) (action, region string, err error) {
	select {
	case <-s.done:
		return "", "", &apiError{http.StatusServiceUnavailable, "ServiceUnavailableException", "the endpoint is closed"}
	default:
	}
	action, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)
	if r.Method != http.MethodPost || !ok || operations[action] == nil {
		return "", "", &apiError{http.StatusBadRequest, "UnknownOperationException",
			fmt.Sprintf("unknown operation %q; this endpoint accepts POST with X-Amz-Target: %s<operation>", r.Header.Get("X-Amz-Target"), targetPrefix)}
	}
	if media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(media) != contentType {
		return action, "", &apiError{http.StatusBadRequest, "UnknownOperationException",
			fmt.Sprintf("Content-Type %q is not supported; use %s", r.Header.Get("Content-Type"), contentType)}
	}
	region = defaultRegion
	auth := r.Header.Get("Authorization")
	switch m := credential.FindStringSubmatch(auth); {
	case m != nil:
		region = m[1]
	case s.opt.AllowUnsigned:
	case auth == "":
		return action, "", &apiError{http.StatusBadRequest, "MissingAuthenticationTokenException", "Missing Authentication Token"}
	default:
		return action, "", &apiError{http.StatusBadRequest, "IncompleteSignatureException",
			"the Authorization header has no AWS4 credential scope; sign the request with Signature Version 4"}
	}
	return action, region, nil
}

// write sends an answer in JSON, altered as fault asks.
func (s *Server) write(w http.ResponseWriter, action string, a answer, fault Fault) {
	status, body := http.StatusOK, a.body
	if a.err != nil {
		status, body = a.err.status, a.err.json()
		w.Header().Set("X-Amzn-Errortype", a.err.code)
	}
	s.send(w, action, status, contentType, body, a.err, fault)
}

// send sends an answer, altered as fault asks. Its Date comes from Options.Now.
func (s *Server) send(w http.ResponseWriter, action string, status int, contentType string, body []byte, apiErr *apiError, fault Fault) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("X-Amzn-Requestid", requestID())
	h.Set("Date", s.opt.Now().UTC().Format(http.TimeFormat))
	code := ""
	if apiErr != nil {
		code = apiErr.code
	}
	if fault.spoils() && fault.Body != nil {
		body = fault.Body
	}
	for k, v := range fault.Header {
		h[http.CanonicalHeaderKey(k)] = v
	}
	s.counters.answered(code)
	s.log.Debug("call", zap.String("action", action), zap.Int("status", status), zap.String("error", code))
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if fault.CutAnswer {
		_, _ = w.Write(body[:len(body)/2])
		// Without a flush, closing the connection would drop that half.
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body) // fails only if the client has gone
}

// sleep waits for d. It aborts the connection if the client leaves or the server closes meanwhile.
func (s *Server) sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		panic(http.ErrAbortHandler)
	case <-s.done:
		panic(http.ErrAbortHandler)
	}
}

// drain reads an unneeded body, up to a bound. If the connection were closed while the client is
// still sending, the client might get a reset instead of the answer.
func drain(r *http.Request) { _, _ = io.CopyN(io.Discard, r.Body, 4*maxBody) }

// requestID returns a new request ID for an answer.
func requestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// decode decodes the body of an operation. If it fails, op may still say what the call concerns.
func decode(action string, body []byte) (operation, error) {
	if !utf8.Valid(body) {
		return nil, serialization("the body is not valid UTF-8; fix the messages before encoding them")
	}
	op := operations[action]()
	return op, unmarshal(body, op)
}
