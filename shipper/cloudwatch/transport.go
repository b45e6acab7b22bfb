package cloudwatch

// The HTTP side: connections for one host and large request bodies, answers read whole and bounded,
// and how far a request got.

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

const (
	dialTimeout = 5 * time.Second // well under the attempt's, so that "cannot be reached" is told from "does not answer"
	tlsTimeout  = 5 * time.Second
	// idleTimeout is under the 60 s after which load balancers usually close a connection that is
	// not used: a request that meets the closing is lost.
	idleTimeout = 50 * time.Second
	writeBuffer = 64 << 10
	readBuffer  = 4 << 10
	maxHeader   = 64 << 10
	keepAlive   = 30 * time.Second // between TCP's probes
)

// expected is what a call expects of the answer.
type expected struct {
	most  int64 // bytes; a longer answer is an error
	bare  bool  // it has no members, and the service sends no body
	other bool  // it is another service's
}

var (
	putAnswer    = expected{most: 1 << 20} // the service's are under 1 KB
	createAnswer = expected{most: 1 << 20, bare: true}
	// A page is 1 MB of messages, up to six times that in JSON; endpoints for tests give more.
	pageAnswer = expected{most: 64 << 20}
)

// httpClient is what the SDK sends by. It follows no redirect: a signature holds for one host.
type httpClient struct{ transport http.RoundTripper }

// newHTTPClient goes out from the client that the SDK has made of its configuration, which may hold
// AWS_CA_BUNDLE; a transport that is given replaces all of it.
func newHTTPClient(from aws.HTTPClient, transport http.RoundTripper, parallel int) *httpClient {
	if transport != nil {
		return &httpClient{transport}
	}
	b, ok := from.(*awshttp.BuildableClient)
	if !ok {
		b = awshttp.NewBuildableClient()
	}
	t := b.GetTransport()
	t.DialContext = (&net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}).DialContext
	t.OnProxyConnectResponse = refusedByProxy
	t.MaxIdleConns = 2 * parallel
	t.MaxIdleConnsPerHost = parallel
	t.IdleConnTimeout = idleTimeout
	t.TLSHandshakeTimeout = tlsTimeout
	t.WriteBufferSize = writeBuffer
	t.ReadBufferSize = readBuffer
	t.MaxResponseHeaderBytes = maxHeader
	// HTTP/1.1 only: a put is one large body on a connection of its own, which HTTP/2 would cut
	// into frames of 16 KB under a window.
	t.ForceAttemptHTTP2 = false
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	t.TLSClientConfig.NextProtos = []string{"http/1.1"}
	t.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(parallel)
	return &httpClient{t}
}

func (h *httpClient) closeIdle() {
	if t, ok := h.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// attempt is how far one call got. It travels in the context, because the SDK replaces the errors
// of a call whose context ended.
type attempt struct {
	expected expected
	reached  atomic.Bool // there was a connection
	whole    atomic.Bool // the request's body was handed to the connection to its last byte
	answered atomic.Bool // there was an HTTP status
	err      error       // of the transport
	foreign  *foreignError
}

type attemptKey struct{}

// Do implements the SDK's HTTPClient. The answer is read before it returns, so nothing of a call is
// left on the wire but, at most, the rest of a request whose answer came early; the transport then
// closes that connection.
func (h *httpClient) Do(req *http.Request) (*http.Response, error) {
	a, ok := req.Context().Value(attemptKey{}).(*attempt)
	if !ok {
		a = &attempt{expected: putAnswer}
	}
	t, began := trace(req.Context()), time.Now()
	sent := req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			a.reached.Store(true)
			t.Address = info.Conn.RemoteAddr().String()
		},
	}))
	if req.Body != nil {
		sent.Body = &watchedBody{ReadCloser: req.Body, left: req.ContentLength, a: a}
	}
	resp, err := h.transport.RoundTrip(sent)
	if err != nil {
		a.err = err
		return nil, err
	}
	answer, err := readAnswer(resp, a.expected.most)
	if err != nil {
		a.err = err
		return nil, err
	}
	a.answered.Store(true)
	t.answered(resp, began)
	if resp.StatusCode < 300 && !a.expected.other {
		if why := notTheService(resp, answer, a.expected.bare); why != "" {
			a.foreign = &foreignError{status: resp.StatusCode, why: why}
		}
	}
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	return resp, nil
}

var errLongAnswer = errors.New("the answer is longer than this program reads")

func readAnswer(resp *http.Response, most int64) ([]byte, error) {
	defer resp.Body.Close()
	var answer bytes.Buffer
	if n := resp.ContentLength; n > 0 && n <= most {
		answer.Grow(int(n) + bytes.MinRead)
	}
	n, err := answer.ReadFrom(io.LimitReader(resp.Body, most+1))
	if err != nil && resp.StatusCode >= 300 {
		return answer.Bytes(), nil // the status says enough; who refuses a request before its end often closes without care
	}
	if err != nil {
		return nil, fmt.Errorf("reading the answer (HTTP %d): %w", resp.StatusCode, err)
	}
	if n > most {
		return nil, fmt.Errorf("HTTP %d: %w (%d bytes)", resp.StatusCode, errLongAnswer, most)
	}
	return answer.Bytes(), nil
}

// foreignError is an answer that reports success and is not the service's.
type foreignError struct {
	status int
	why    string // what it has that the service's has not
}

func (e *foreignError) Error() string { return fmt.Sprintf("HTTP %d with %s", e.status, e.why) }

// notTheService says why an answer that reports success cannot be the service's, or "". Something
// in between may have answered: a proxy, a login page, a health check. The SDK takes an empty body
// for an empty result, so a batch that nobody stored would count as delivered.
//
// The service answers 200 with a JSON object, as application/x-amz-json-1.1. Where an action has no
// result, it sends no body:
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogStream.html.
// Another content type will do where AWS's request ID comes with it, because moto calls its JSON
// text/html.
func notTheService(resp *http.Response, answer []byte, bare bool) string {
	contentType := resp.Header.Get("Content-Type")
	media, _, _ := mime.ParseMediaType(contentType) // "" if it is not valid
	answer = bytes.TrimSpace(answer)
	switch {
	case resp.StatusCode != http.StatusOK:
		return "a status that the service does not use"
	case len(answer) == 0 && !bare:
		return "an empty body"
	case media == "application/x-amz-json-1.1", media == "application/x-amz-json-1.0", resp.Header.Get("X-Amzn-Requestid") != "":
	case contentType == "":
		return "no content type"
	default:
		return fmt.Sprintf("content of type %q", contentType)
	}
	// The SDK reads the rest of it, unless there is no result to read.
	if len(answer) > 0 && (answer[0] != '{' || bare && !json.Valid(answer)) {
		return "a body that is not a JSON object"
	}
	return ""
}

// watchedBody notes in an attempt how much of the body the transport has taken.
type watchedBody struct {
	io.ReadCloser
	left int64 // owned by the transport's goroutine that reads
	a    *attempt
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left <= 0 {
		b.a.whole.Store(true)
	}
	return n, err
}

// call runs one attempt under its deadline, and dresses the error with what Classify, Ambiguous and
// Explain need.
func (c *Client) call(ctx context.Context, action string, expected expected, do func(context.Context) error) error {
	a := &attempt{expected: expected}
	limited, cancel := context.WithTimeout(context.WithValue(ctx, attemptKey{}, a), c.timeout)
	defer cancel()
	err := do(limited)
	if a.foreign != nil { // which the SDK may have taken for a success
		err = a.foreign
	}
	if err == nil {
		return nil
	}
	e := &callError{
		err:       err,
		action:    action,
		transport: a.err,
		reached:   a.reached.Load(),
		whole:     a.whole.Load(),
		answered:  a.answered.Load(),
	}
	if !e.answered {
		switch {
		case ctx.Err() != nil:
			e.stopped = true
		case limited.Err() != nil:
			e.timeout = c.timeout
		}
	}
	return e
}
