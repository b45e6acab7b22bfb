package cwlocal

// This file holds what all tests share: an endpoint on a real address, an SDK client, and
// shorthands.

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/smithy-go"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testGroup  = "/perstack/test"
	testStream = "job-1"
)

// testNow is the clock of most tests: 2026-11-22 15:00:00 UTC.
var testNow = time.Date(2026, 11, 22, 15, 0, 0, 0, time.UTC)

// endpoint is a Server on a loopback address with a client that does not retry.
type endpoint struct {
	*Server
	*cloudwatchlogs.Client
	t   *testing.T
	ctx context.Context
	url string
}

// start serves a new Server until the test ends.
func start(t *testing.T, o Options) *endpoint {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return testNow }
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	url, wait, err := Listen(ctx, "", s)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		transport.CloseIdleConnections()
		cancel()
		if err := wait(); err != nil {
			t.Error(err)
		}
	})
	client := cloudwatchlogs.New(cloudwatchlogs.Options{
		Region:       "eu-west-1",
		BaseEndpoint: aws.String(url),
		Credentials:  credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		Retryer:      aws.NopRetryer{},
		HTTPClient:   plainBodies{&http.Client{Transport: transport}},
	})
	return &endpoint{Server: s, Client: client, t: t, ctx: t.Context(), url: url}
}

// plainBodies hides the WriterTo of the SDK's request bodies. smithy-go 1.28 closes a body as soon
// as the answer's head has arrived. If net/http is then still looking for the end of the body, it
// gets EOF from WriteTo, which counts as an error there though not from Read, and closes the
// connection while the answer is being read. Only an endpoint on the same machine is fast enough
// for that.
type plainBodies struct{ *http.Client }

func (c plainBodies) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return c.Client.Do(r)
}

// startWithStream is start, and also creates the tests' group and stream.
func startWithStream(t *testing.T, o Options) *endpoint {
	t.Helper()
	e := start(t, o)
	e.create(testGroup, testStream)
	return e
}

func (e *endpoint) create(group string, streams ...string) {
	e.t.Helper()
	if _, err := e.CreateLogGroup(e.ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &group}); err != nil {
		e.t.Fatal(err)
	}
	for _, s := range streams {
		if _, err := e.CreateLogStream(e.ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &group, LogStreamName: &s}); err != nil {
			e.t.Fatal(err)
		}
	}
}

// event returns an event d after testNow.
func event(d time.Duration, message string) types.InputLogEvent {
	return types.InputLogEvent{Timestamp: aws.Int64(testNow.Add(d).UnixMilli()), Message: &message}
}

// put puts events to the tests' stream.
func (e *endpoint) put(events ...types.InputLogEvent) (*cloudwatchlogs.PutLogEventsOutput, error) {
	return e.putTo(testStream, events...)
}

func (e *endpoint) putTo(stream string, events ...types.InputLogEvent) (*cloudwatchlogs.PutLogEventsOutput, error) {
	return e.PutLogEvents(e.ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: aws.String(testGroup), LogStreamName: &stream, LogEvents: events})
}

func (e *endpoint) mustPut(events ...types.InputLogEvent) {
	e.t.Helper()
	if _, err := e.put(events...); err != nil {
		e.t.Fatal(err)
	}
}

// messages returns the messages of the tests' stream, in reading order.
func (e *endpoint) messages() string {
	var all []string
	for _, ev := range e.Events(testGroup, testStream) {
		all = append(all, ev.Message)
	}
	return strings.Join(all, "|")
}

// wantCode fails the test unless err is an API error with this code whose message contains part. An
// empty code expects no error.
func wantCode(t *testing.T, err error, code, part string) {
	t.Helper()
	if code == "" {
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		return
	}
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), part) {
		t.Fatalf("got %v, want %s with %q", err, code, part)
	}
}

// raw sends a body unchanged and returns the status and error type.
func (e *endpoint) raw(action, body string, change func(*http.Request)) (status int, code string) {
	e.t.Helper()
	r, err := http.NewRequestWithContext(e.ctx, http.MethodPost, e.url, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("X-Amz-Target", targetPrefix+action)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261122/eu-west-1/logs/aws4_request, SignedHeaders=host, Signature=00")
	if change != nil {
		change(r)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("X-Amzn-Errortype")
}

// batchOf returns events that have the same time.
func batchOf(messages ...string) []types.InputLogEvent {
	var events []types.InputLogEvent
	for _, m := range messages {
		events = append(events, event(0, m))
	}
	return events
}
