// Package cwlocal is a CloudWatch Logs endpoint in one process: what `perstack-shipper local` serves for trying the
// program out without an AWS account, and what the tests ship to. It refuses what the service refuses, with the same
// error type and HTTP status, keeps what it accepts in memory or as plain JSON lines in a folder, and injects the
// faults that a test asks for.
//
//	server.go   options, one HTTP request from its headers to its answer
//	fault.go    what a test can make go wrong with a call
//	put.go      PutLogEvents: every limit of a batch
//	store.go    groups, streams and their events in memory, in reading order
//	folder.go   the same on disk
//	get.go      GetLogEvents; filter.go: FilterLogEvents, and package pattern what it filters with
//	metric.go   TestMetricFilter
//	groups.go   creating, deleting, retention; tags.go; describe.go: listing
//	sts.go      GetCallerIdentity
//	listen.go   serving it on an address
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
	// targetPrefix stands before the name of the operation in the header X-Amz-Target.
	targetPrefix = "Logs_20140328."
	// contentType is that of AWS JSON 1.1, for requests and answers.
	contentType = "application/x-amz-json-1.1"
	// account is the account of every ARN that is answered.
	account = "000000000000"
	// defaultRegion is used in ARNs when the request's signature names no Region.
	defaultRegion = "us-east-1"
)

// Options says how a Server behaves. The zero value keeps everything in memory and answers at once.
type Options struct {
	// Dir is the folder where groups and streams are kept as JSON lines; it is made if it is missing. "" keeps
	// them in memory only. One process at a time can use a folder.
	Dir string
	// Now is the clock for ingestion times, for what is too old or too new, and for the date of answers. nil is time.Now.
	Now func() time.Time
	// Latency is the least time between a request's arrival and its answer, in real time.
	Latency time.Duration
	// ReadableAfter is how long an accepted event stays hidden from GetLogEvents and FilterLogEvents, by Now.
	// The service takes up to seconds.
	ReadableAfter time.Duration
	// EmptyPages precedes each page of GetLogEvents and FilterLogEvents by an empty one that is not the last, as
	// the service may do at any time.
	EmptyPages bool
	// Retention is an account policy of that name that rules the retention of every group; without a name there is none.
	Retention AccountRetention
	// RepeatPages answers each page of GetLogEvents twice: the first time with a token that leads to it again.
	RepeatPages bool
	// Quotas refuses what exceeds the service's calls a second (quota.go) with ThrottlingException.
	Quotas bool
	// Discard counts accepted events in Stats, but does not keep them: for benchmarks. Dir must be "".
	Discard bool
	// AllowUnsigned accepts requests without an Authorization header. A signature is never verified.
	AllowUnsigned bool
	// Logger is told what goes wrong with the folder, and at debug level each call. nil is none.
	Logger *zap.Logger
	// Intercept is asked before each operation what is to go wrong with it; it may be called from several
	// goroutines at once. nil is nothing.
	Intercept func(*Call) Fault
}

// AccountRetention is an account policy for retention. It overrules that of the groups.
type AccountRetention struct {
	Name string
	Days int // 0: for ever
}

// Server is the endpoint: an http.Handler. It is safe for concurrent use.
type Server struct {
	// Immutable once New has returned.
	opt    Options
	log    *zap.Logger
	folder *folder // nil without Options.Dir
	quotas *quotas // nil without Options.Quotas

	// done is closed by Close: it ends what hangs or sleeps.
	done      chan struct{}
	closeOnce sync.Once

	// mu guards the tree of groups and streams with all that they have but events. Requests come on goroutines of
	// their own, so no single one could own it. It is taken before a stream's mu, never after.
	mu     sync.RWMutex
	groups map[string]*group

	counters counters
}

// New returns a Server; with Options.Dir it holds what an earlier one left there.
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
		return nil, errors.New("Options.Discard keeps nothing, so it cannot go with a Dir; leave one out")
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

// Close ends all that hangs, answers 503 from now on and gives the folder free. It does not wait for requests in
// flight; those that come to the folder after it fail.
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

// operation is one request, decoded. target names what it is about, as far as its body says; do carries it out and
// returns the answer's body.
type operation interface {
	target() (group, stream string, events int)
	do(s *Server, region string) ([]byte, error)
}

// answer is what goes back: a body with status 200, or an error.
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
			panic(http.ErrAbortHandler) // the client left half-way: nobody reads an answer
		}
		drain(r)
		s.write(w, action, answer{err: asAPIError(err)}, Fault{})
		return
	}
	defer release()

	op, decodeErr := decode(action, body)
	call := &Call{Action: action, Body: body}
	if op != nil {
		call.Group, call.Stream, call.Events = op.target()
	}
	leave := s.counters.enter(call, r.ContentLength)
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
			s.log.Error("a call could not be carried out", zap.Error(err))
		}
		return answer{err: asAPIError(err)}
	}
	return answer{body: body}
}

// credential finds the Region in the header Authorization of a request signed with Signature Version 4.
var credential = regexp.MustCompile(`^AWS4-[A-Z0-9-]+ .*Credential=[^/]+/[0-9]{8}/([a-z0-9-]+)/[a-z0-9-]+/aws4_request`)

// head checks what stands before a request's body, and says which operation it is and for which Region it was signed.
func (s *Server) head(r *http.Request) (action, region string, err error) {
	select {
	case <-s.done:
		return "", "", &apiError{http.StatusServiceUnavailable, "ServiceUnavailableException", "the endpoint is closed"}
	default:
	}
	action, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)
	if r.Method != http.MethodPost || !ok || operations[action] == nil {
		return "", "", &apiError{http.StatusBadRequest, "UnknownOperationException",
			fmt.Sprintf("no operation %q; this endpoint takes POST with X-Amz-Target: %s<operation>", r.Header.Get("X-Amz-Target"), targetPrefix)}
	}
	if media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(media) != contentType {
		return action, "", &apiError{http.StatusBadRequest, "UnknownOperationException",
			fmt.Sprintf("Content-Type %q; only %s is taken", r.Header.Get("Content-Type"), contentType)}
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

// write sends the answer, spoilt as fault says.
func (s *Server) write(w http.ResponseWriter, action string, a answer, fault Fault) {
	status, body := http.StatusOK, a.body
	if a.err != nil {
		status, body = a.err.status, a.err.json()
		w.Header().Set("X-Amzn-Errortype", a.err.code)
	}
	s.send(w, action, status, contentType, body, a.err, fault)
}

// send sends an answer, spoilt as fault says. Its date is the clock's of the Options.
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
		_ = http.NewResponseController(w).Flush() // or the half would die with the connection
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body) // an error is the client's: it has gone
}

// sleep waits for d, and aborts the connection when the client leaves or the server is closed meanwhile.
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

// drain reads a body that nobody wants, up to a bound: a client that is still sending when the connection is closed
// may get a reset instead of the answer.
func drain(r *http.Request) { _, _ = io.CopyN(io.Discard, r.Body, 4*maxBody) }

// requestID makes the identifier that each answer carries.
func requestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// decode reads the body of an operation. Where it fails, op may still say what the call was about.
func decode(action string, body []byte) (operation, error) {
	if !utf8.Valid(body) {
		return nil, serialization("the body is not valid UTF-8; repair the messages before encoding them")
	}
	op := operations[action]()
	return op, unmarshal(body, op)
}
