package cloudwatch

// This file holds what concerns HTTP: connections to one host for large request bodies, answers
// read whole and bounded, and how far each request got.

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
	// dialTimeout is well below the attempt's deadline, to distinguish "cannot be reached" from
	// "does not answer".
	dialTimeout = 5 * time.Second
	tlsTimeout  = 5 * time.Second
	// idleTimeout is below the 60 s after which load balancers usually close an idle connection: a
	// request sent while the connection is being closed is lost.
	idleTimeout = 50 * time.Second
	writeBuffer = 64 << 10
	readBuffer  = 4 << 10
	maxHeader   = 64 << 10
	keepAlive   = 30 * time.Second // between TCP keep-alive probes
)

// expected says what a call expects of the answer.
type expected struct {
	most  int64 // bytes; a longer answer is an error
	bare  bool  // the service sends no body, as the answer has no members
	other bool  // the answer comes from another service
}

var (
	putAnswer    = expected{most: 1 << 20} // the service's answers are under 1 KB
	createAnswer = expected{most: 1 << 20, bare: true}
	// pageAnswer is for a page of 1 MB of messages, which is up to six times that in JSON.
	// Endpoints for tests send more.
	pageAnswer = expected{most: 64 << 20}
)

// httpClient sends the SDK's requests. It follows no redirects, because a signature is valid for
// one host only.
type httpClient struct{ transport http.RoundTripper }

// newHTTPClient starts from the client that the SDK made of its configuration, which may include
// AWS_CA_BUNDLE. A transport, if given, replaces it entirely.
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
	// HTTP/1.1 only: a put is one large body on its own connection, which HTTP/2 would cut into 16
	// KB frames under flow control.
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

// attempt records how far one call got. It travels in the context, because the SDK replaces the
// errors of a call whose context has ended.
type attempt struct {
	expected expected
	reached  atomic.Bool // there was a connection
	whole    atomic.Bool // the connection was given the last byte of the request's body
	answered atomic.Bool // an HTTP status was read
	err      error       // the transport's
	foreign  *foreignError
}

type attemptKey struct{}

// Do implements the SDK's HTTPClient. It reads the whole answer before it returns, so at most the
// rest of a request that was answered early is still on the wire. The transport closes such a
// connection.
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
		// The status says enough. A server that refuses a request early often closes the connection
		// abruptly.
		return answer.Bytes(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the answer (HTTP %d): %w", resp.StatusCode, err)
	}
	if n > most {
		return nil, fmt.Errorf("HTTP %d: %w (%d bytes)", resp.StatusCode, errLongAnswer, most)
	}
	return answer.Bytes(), nil
}

// foreignError is an answer that reports success but did not come from the service.
type foreignError struct {
	status int
	why    string // how it differs from the service's answers
}

func (e *foreignError) Error() string { return fmt.Sprintf("HTTP %d with %s", e.status, e.why) }

// notTheService says why an answer that reports success cannot have come from the service, or
// returns "". Something in between may have answered: a proxy, a login page, a health check. The
// SDK takes an empty body for an empty result, so a batch that nobody stored would count as
// delivered.
//
// The service answers 200 with a JSON object of type application/x-amz-json-1.1. If an action has
// no result, it sends no body:
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogStream.html.
// Another content type is fine if the answer has AWS's request ID, because moto labels its JSON
// text/html.
func notTheService(resp *http.Response, answer []byte, bare bool) string {
	contentType := resp.Header.Get("Content-Type")
	media, _, _ := mime.ParseMediaType(contentType) // "" if invalid
	answer = bytes.TrimSpace(answer)
	switch {
	case resp.StatusCode != http.StatusOK:
		return "a status that the service never sends"
	case len(answer) == 0 && !bare:
		return "an empty body"
	case media == "application/x-amz-json-1.1", media == "application/x-amz-json-1.0", resp.Header.Get("X-Amzn-Requestid") != "":
	case contentType == "":
		return "no content type"
	default:
		return fmt.Sprintf("content of type %q", contentType)
	}
	// The SDK parses the rest, unless the action has no result.
	if len(answer) > 0 && (answer[0] != '{' || bare && !json.Valid(answer)) {
		return "a body that is not a JSON object"
	}
	return ""
}

// watchedBody records in an attempt when the transport has read the whole body.
type watchedBody struct {
	io.ReadCloser
	left int64 // owned by the transport's reading goroutine
	a    *attempt
}

// Read notes the end of the body by its size.
func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left <= 0 {
		b.a.whole.Store(true)
	}
	return n, err
}

// call runs one attempt under its deadline, and adds to its error what Classify, Ambiguous and
// Explain need.
func (c *Client) call(ctx context.Context, action string, expected expected, do func(context.Context) error) error {
	a := &attempt{expected: expected}
	limited, cancel := context.WithTimeout(context.WithValue(ctx, attemptKey{}, a), c.timeout)
	defer cancel()
	err := do(limited)
	if a.foreign != nil { // the SDK may have taken it for a success
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
