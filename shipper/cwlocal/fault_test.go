package cwlocal

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"perstack-shipper/shipper/testkit/await"
)

// faulty returns an endpoint that injects a fault into the first put.
func faulty(t *testing.T, f Fault) *endpoint {
	t.Helper()
	return startWithStream(t, Options{Intercept: func(c *Call) Fault {
		if c.Action == "PutLogEvents" && c.N == 1 {
			return f
		}
		return Fault{}
	}})
}

func TestErrorFaults(t *testing.T) {
	for _, c := range []struct {
		name   string
		fault  Fault
		status int
		code   string
		stored string // after the faulty put
	}{
		{"throttling", Fault{Code: "ThrottlingException"}, 400, "ThrottlingException", ""},
		{"unavailable", Fault{Status: 503, Code: "ServiceUnavailableException"}, 503, "ServiceUnavailableException", ""},
		{"a code alone", Fault{Code: "ExpiredTokenException"}, 400, "ExpiredTokenException", ""},
		{"the service's own code alone", Fault{Code: "InternalFailure"}, 500, "InternalFailure", ""},
		{"403", Fault{Status: 403, Code: "AccessDeniedException", Message: "no"}, 403, "AccessDeniedException", ""},
		{"a status alone", Fault{Status: 502}, 502, "InternalFailure", ""},
		{"429 alone", Fault{Status: 429}, 429, "ThrottlingException", ""},
		{"413 alone", Fault{Status: 413}, 413, "RequestEntityTooLargeException", ""},
		{"after it was stored", Fault{Status: 500, Code: "InternalFailure", After: true}, 500, "InternalFailure", "first"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := faulty(t, c.fault)
			_, err := e.put(event(0, "first"))
			wantCode(t, err, c.code, c.fault.Message)
			var resp *smithyhttp.ResponseError
			if !errors.As(err, &resp) || resp.HTTPStatusCode() != c.status {
				t.Errorf("got %v, want status %d", err, c.status)
			}
			if got := e.messages(); got != c.stored {
				t.Errorf("stored %q, want %q", got, c.stored)
			}
			if n := e.Stats().Errors[c.code]; n != 1 {
				t.Errorf("%d answers with %s counted, want 1", n, c.code)
			}
			e.mustPut(event(0, "second"))
		})
	}
}

func TestResetFaults(t *testing.T) {
	for _, c := range []struct {
		name   string
		fault  Fault
		stored string
	}{
		{"before", Fault{ResetBefore: true}, ""},
		{"after", Fault{ResetAfter: true}, "first"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := faulty(t, c.fault)
			_, err := e.put(event(0, "first"))
			if !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("got %v, want a connection reset", err)
			}
			if got := e.messages(); got != c.stored {
				t.Errorf("stored %q, want %q", got, c.stored)
			}
			e.mustPut(event(0, "second"))
		})
	}
}

func TestHang(t *testing.T) {
	for _, after := range []bool{false, true} {
		e := faulty(t, Fault{Hang: true, After: after})
		ctx, cancel := context.WithTimeout(e.ctx, 100*time.Millisecond)
		_, err := e.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: aws.String(testGroup), LogStreamName: aws.String(testStream),
			LogEvents: batchOf("first")})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want a timeout", err)
		}
		want := ""
		if after {
			want = "first"
		}
		if got := e.messages(); got != want {
			t.Errorf("after=%v: stored %q, want %q", after, got, want)
		}
	}
}

// TestCloseEndsHangingCalls closes the server while a client waits for an answer that never comes.
func TestCloseEndsHangingCalls(t *testing.T) {
	arrived := make(chan struct{})
	e := startWithStream(t, Options{Intercept: func(c *Call) Fault {
		if c.Action == "PutLogEvents" {
			close(arrived)
			return Fault{Hang: true}
		}
		return Fault{}
	}})
	result := make(chan error, 1)
	go func() {
		_, err := e.put(event(0, "x"))
		result <- err
	}()
	await.Receive(t, "the put", arrived)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := await.Receive(t, "the end of the put", result); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want a closed connection", err)
	}
	_, err := e.put(event(0, "x"))
	wantCode(t, err, "ServiceUnavailableException", "closed")
}

func TestDelayAndLatency(t *testing.T) {
	const d = 60 * time.Millisecond
	for _, c := range []struct {
		name string
		opt  Options
	}{
		{"delay", Options{Intercept: func(*Call) Fault { return Fault{Delay: d} }}},
		{"delay after", Options{Intercept: func(*Call) Fault { return Fault{DelayAfter: d} }}},
		{"latency", Options{Latency: d}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := startWithStream(t, c.opt)
			from := time.Now()
			e.mustPut(event(0, "x"))
			if took := time.Since(from); took < d {
				t.Errorf("answered after %s, want at least %s", took, d)
			}
			if got := e.messages(); got != "x" {
				t.Errorf("stored %q", got)
			}
		})
	}
}

func TestProxyPageAndCutAnswer(t *testing.T) {
	e := faulty(t, Fault{Status: 502, Body: []byte("<html>Bad Gateway</html>"), Header: http.Header{"content-type": {"text/html"}, "X-Amzn-Errortype": nil}})
	_, err := e.put(event(0, "x"))
	var resp *smithyhttp.ResponseError
	if !errors.As(err, &resp) || resp.HTTPStatusCode() != 502 || resp.Response.Header.Get("Content-Type") != "text/html" {
		t.Errorf("got %v, want a 502 in HTML", err)
	}

	e = faulty(t, Fault{CutAnswer: true})
	if _, err := e.put(event(0, "x")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want an unexpected end of the answer", err)
	}
	if got := e.messages(); got != "x" {
		t.Errorf("stored %q", got)
	}
}

func TestRejectedFault(t *testing.T) {
	e := faulty(t, Fault{Rejected: &Rejected{TooOldEnd: aws.Int(1), ExpiredEnd: aws.Int(2), TooNewStart: aws.Int(3)}})
	out, err := e.put(event(0, "a"), event(0, "b"), event(0, "c"), event(0, "d"))
	if err != nil {
		t.Fatal(err)
	}
	r := out.RejectedLogEventsInfo
	if r == nil || *r.TooOldLogEventEndIndex != 1 || *r.ExpiredLogEventEndIndex != 2 || *r.TooNewLogEventStartIndex != 3 {
		t.Errorf("rejected %+v", r)
	}
	if got := e.messages(); got != "c" {
		t.Errorf("stored %q, want c", got)
	}
	e.mustPut(event(0, "e"))
	if got := e.messages(); got != "c|e" {
		t.Errorf("stored %q, want c|e", got)
	}
}

func TestInterceptSeesTheCall(t *testing.T) {
	var mu sync.Mutex
	var calls []Call
	e := startWithStream(t, Options{Intercept: func(c *Call) Fault {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, *c)
		return Fault{}
	}})
	e.mustPut(event(0, "one"), event(0, "two"))
	e.mustPut(event(0, "three"))
	mu.Lock()
	defer mu.Unlock()
	if len(calls) != 4 {
		t.Fatalf("%d calls seen, want 4", len(calls))
	}
	if c := calls[1]; c.Action != "CreateLogStream" || c.Group != testGroup || c.Stream != testStream || c.N != 1 {
		t.Errorf("second call: %+v", c)
	}
	if c := calls[2]; c.Action != "PutLogEvents" || c.Events != 2 || c.N != 1 || !strings.Contains(string(c.Body), `"one"`) {
		t.Errorf("third call: %+v", c)
	}
	if c := calls[3]; c.Events != 1 || c.N != 2 || !strings.Contains(string(c.Body), `"three"`) {
		t.Errorf("fourth call: %+v", c)
	}
}

// TestHalfARequest disconnects in the middle of a body: nothing is stored and no goroutine is left
// behind (goleak).
func TestHalfARequest(t *testing.T) {
	e := startWithStream(t, Options{})
	conn, err := net.Dial("tcp", strings.TrimPrefix(e.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: "+contentType+"\r\nX-Amz-Target: Logs_20140328.PutLogEvents\r\n"+
		"Authorization: AWS4-HMAC-SHA256 Credential=A/20261122/eu-west-1/logs/aws4_request\r\nContent-Length: 1000\r\n\r\n{\"logGroupName\":"); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	e.mustPut(event(0, "x"))
	if got := e.messages(); got != "x" {
		t.Errorf("stored %q", got)
	}
}
