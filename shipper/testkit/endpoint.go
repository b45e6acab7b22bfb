package testkit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"perstack-shipper/shipper/cwlocal"
)

// Options configure an Endpoint.
type Options struct {
	cwlocal.Options
	// Front, if not nil, wraps the endpoint's handler.
	Front func(http.Handler) http.Handler
	// InMemory makes the connections of the endpoint's clients pipes in memory, for tests in
	// simulated time (testing/synctest). Other programs cannot reach the endpoint then.
	InMemory bool
}

// Fault returns what goes wrong with a call. With the zero Fault the call succeeds.
type Fault func(*cwlocal.Call) cwlocal.Fault

// Endpoint is a CloudWatch: one in this process, which [Serve] started, or another one at a URL.
type Endpoint struct {
	Server *cwlocal.Server // nil if the endpoint is in another process
	URL    string
	API    *cloudwatchlogs.Client // calls the endpoint as another program would

	fault     atomic.Pointer[Fault]
	stalled   atomic.Bool
	memory    *memory         // connects clients; nil: they use TCP
	transport *http.Transport // of API
	stop      func()
	wait      func() error
}

// Serve starts an endpoint. Its calls fail as Options.Intercept says, until Fail changes that.
func Serve(o Options) (*Endpoint, error) {
	e := &Endpoint{}
	e.Fail(o.Intercept)
	o.Intercept = func(call *cwlocal.Call) cwlocal.Fault {
		for call.Action == "PutLogEvents" && e.stalled.Load() {
			time.Sleep(5 * time.Millisecond)
		}
		if fault := *e.fault.Load(); fault != nil {
			return fault(call)
		}
		return cwlocal.Fault{}
	}
	var err error
	if e.Server, err = cwlocal.New(o.Options); err != nil {
		return nil, err
	}
	handler := http.Handler(e.Server)
	if o.Front != nil {
		handler = o.Front(handler)
	}
	if o.InMemory {
		e.URL, e.memory = "http://memory", newMemory()
		e.stop, e.wait = e.memory.serve(handler)
		e.connect()
		return e, nil
	}
	ctx, stop := context.WithCancel(context.Background())
	if e.URL, e.wait, err = cwlocal.Listen(ctx, "127.0.0.1:0", handler); err != nil {
		stop()
		return nil, errors.Join(err, e.Server.Close())
	}
	e.stop = stop
	e.connect()
	return e, nil
}

// At returns the endpoint that another process serves at a URL.
func At(url string) *Endpoint {
	e := &Endpoint{URL: url}
	e.connect()
	return e
}

// connect makes the API client.
func (e *Endpoint) connect() {
	e.transport = e.newTransport()
	e.API = cloudwatchlogs.New(cloudwatchlogs.Options{
		BaseEndpoint: &e.URL,
		Region:       region,
		Credentials:  credentials.NewStaticCredentialsProvider(KeyID, Secret, ""),
		HTTPClient:   wholeAnswers{e.transport},
	})
}

// newTransport returns a transport that reaches the endpoint.
func (e *Endpoint) newTransport() *http.Transport {
	t := &http.Transport{}
	if e.memory != nil {
		t.DialContext = e.memory.dial
	}
	return t
}

// wholeAnswers reads each answer to its end before the SDK sees it. The SDK closes the request's
// body once it has the answer's head. If the transport has not read that body to its end by then,
// it counts the call as failed and closes the connection.
type wholeAnswers struct{ http.RoundTripper }

// Do makes the request and reads the whole answer.
func (w wholeAnswers) Do(request *http.Request) (*http.Response, error) {
	answer, err := w.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return answer, err
}

// Fail makes calls fail as f says from now on. If f is nil, all calls succeed.
func (e *Endpoint) Fail(f Fault) { e.fault.Store(&f) }

// FailPuts makes every put fail with f. With the zero Fault all puts succeed.
func (e *Endpoint) FailPuts(f cwlocal.Fault) {
	e.Fail(func(call *cwlocal.Call) cwlocal.Fault {
		if call.Action != "PutLogEvents" {
			return cwlocal.Fault{}
		}
		return f
	})
}

// Stall leaves puts without an answer until Unstall or Close.
func (e *Endpoint) Stall() { e.stalled.Store(true) }

// Unstall lets the stalled puts continue.
func (e *Endpoint) Unstall() { e.stalled.Store(false) }

// Close ends the endpoint and the calls that hang there. An endpoint in another process keeps
// running.
func (e *Endpoint) Close() error {
	e.Unstall()
	e.transport.CloseIdleConnections()
	if e.Server == nil {
		return nil
	}
	err := e.Server.Close()
	e.stop()
	return errors.Join(err, e.wait())
}

// Put puts messages with the time at into a stream, as another program would. It creates the group
// and the stream if they do not exist.
func (e *Endpoint) Put(ctx context.Context, group, stream string, at time.Time, messages ...string) error {
	_, err := e.API.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &group})
	if _, exists := errors.AsType[*types.ResourceAlreadyExistsException](err); err != nil && !exists {
		return err
	}
	_, err = e.API.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &group, LogStreamName: &stream})
	if _, exists := errors.AsType[*types.ResourceAlreadyExistsException](err); err != nil && !exists {
		return err
	}
	var events []types.InputLogEvent
	for _, message := range messages {
		events = append(events, types.InputLogEvent{Message: &message, Timestamp: aws.Int64(at.UnixMilli())})
	}
	_, err = e.API.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: &group, LogStreamName: &stream, LogEvents: events})
	return err
}

// Streams returns the names of a group's streams, sorted. A group that does not exist has none.
func (e *Endpoint) Streams(ctx context.Context, group string) (names []string, err error) {
	if e.Server != nil {
		return e.Server.Streams(group), nil
	}
	pages := cloudwatchlogs.NewDescribeLogStreamsPaginator(e.API, &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: &group})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if _, missing := errors.AsType[*types.ResourceNotFoundException](err); missing {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		for _, stream := range page.LogStreams {
			names = append(names, *stream.LogStreamName)
		}
	}
	return names, nil
}

// Events returns the events of a stream in the order in which CloudWatch reads them.
func (e *Endpoint) Events(ctx context.Context, group, stream string) (events []cwlocal.Event, err error) {
	if e.Server != nil {
		return e.Server.Events(group, stream), nil
	}
	in := &cloudwatchlogs.GetLogEventsInput{LogGroupName: &group, LogStreamName: &stream, StartFromHead: aws.Bool(true)}
	for {
		page, err := e.API.GetLogEvents(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, event := range page.Events {
			events = append(events, cwlocal.Event{Timestamp: *event.Timestamp, IngestionTime: aws.ToInt64(event.IngestionTime), Message: *event.Message})
		}
		// The same token again is documented to mark the end.
		if in.NextToken != nil && *page.NextForwardToken == *in.NextToken {
			return events, nil
		}
		in.NextToken = page.NextForwardToken
	}
}

// KeyID and Secret are the credentials of every client of an Endpoint, which accepts any.
const KeyID, Secret = "AKIDEXAMPLE", "secret"

// region is the Region of every client of an Endpoint, which accepts any.
const region = "eu-west-1"

// environment is the variables that keep a client from using anything else on this machine.
var environment = []string{
	"AWS_REGION=" + region, "AWS_ACCESS_KEY_ID=" + KeyID, "AWS_SECRET_ACCESS_KEY=" + Secret,
	"AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
}

// Isolate gives this process the environment of an Endpoint's client. Call it from TestMain: unlike
// T.Setenv, it lets tests run in parallel.
func Isolate() {
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "PERSTACK_") || strings.HasPrefix(name, "ECS_") {
			os.Unsetenv(name)
		}
	}
	for _, v := range environment {
		name, value, _ := strings.Cut(v, "=")
		os.Setenv(name, value)
	}
}

// Env returns the environment of a program that ships to the endpoint.
func (e *Endpoint) Env() []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"),
		// Without it, a program under the race detector sleeps for a second before it exits.
		"GORACE=atexit_sleep_ms=0",
		"AWS_ENDPOINT_URL=" + e.URL,
	}, environment...)
}
