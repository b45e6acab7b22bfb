package audit

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"go.uber.org/goleak"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/cwlocal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const groupName = "/perstack/audit"

var testNow = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// testGroup is a log group that a test fills with records, each put at a time of its own.
type testGroup struct {
	t      *testing.T
	client *cloudwatch.Client // for readers
	api    *cloudwatchlogs.Client
	clock  atomic.Int64    // of the endpoint; ms since 1970
	made   map[string]bool // streams
	size   int             // bytes of all records, as a page counts them

	mu    sync.Mutex
	calls map[string]int
}

func newTestGroup(t *testing.T) *testGroup {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	g := &testGroup{t: t, calls: map[string]int{}, made: map[string]bool{}}
	g.clock.Store(testNow.UnixMilli())
	server, err := cwlocal.New(cwlocal.Options{
		Now: func() time.Time { return time.UnixMilli(g.clock.Load()) },
		Intercept: func(call *cwlocal.Call) cwlocal.Fault {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.calls[call.Action]++
			return cwlocal.Fault{}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	url, wait, err := cwlocal.Listen(ctx, "", server)
	if err != nil {
		t.Fatal(err)
	}
	g.client, err = cloudwatch.New(ctx, cloudwatch.Options{Group: groupName, Region: "eu-west-1", Endpoint: url})
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	g.api = cloudwatchlogs.New(cloudwatchlogs.Options{
		BaseEndpoint: &url, Region: "eu-west-1", HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	t.Cleanup(func() {
		g.client.Close()
		transport.CloseIdleConnections()
		cancel()
		if err := errors.Join(wait(), server.Close()); err != nil {
			t.Error(err)
		}
	})
	if _, err := g.client.CreateGroup(ctx); err != nil {
		t.Fatal(err)
	}
	return g
}

// put puts a message into a stream, so long ago.
func (g *testGroup) put(stream string, ago time.Duration, message string) {
	g.t.Helper()
	ctx := g.t.Context()
	at := testNow.Add(-ago).UnixMilli()
	g.clock.Store(at)
	defer g.clock.Store(testNow.UnixMilli())
	if !g.made[stream] {
		g.made[stream] = true
		if _, err := g.api.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: aws.String(groupName), LogStreamName: &stream}); err != nil {
			g.t.Fatal(err)
		}
	}
	_, err := g.api.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{
		LogGroupName: aws.String(groupName), LogStreamName: &stream, LogEvents: []types.InputLogEvent{{Message: &message, Timestamp: &at}},
	})
	if err != nil {
		g.t.Fatal(err)
	}
	if strings.Contains(message, `"shipper.`) {
		g.size += len(message) + batch.EventOverhead
	}
}

func (g *testGroup) open(input, stream, job string, ago time.Duration) {
	says := map[string]any{"type": "shipper.open", "timestamp": testNow.Add(-ago).UnixMilli(), "hostname": "host", "stream": stream}
	if job != "" {
		says["jobId"] = job
	}
	g.put(stream, ago, record("open", input, says))
}

// seal puts a seal into each of the streams. jobs may be nil, as in seals of earlier versions.
func (g *testGroup) seal(input string, streams []string, ago time.Duration, lines int64, ended bool, jobs []batch.Job) {
	for i, stream := range streams {
		says := map[string]any{
			"type": "shipper.seal", "timestamp": testNow.Add(-ago).UnixMilli(),
			"lines": lines, "lastSeq": lines, "bytes": lines * 100, "emptyLines": 0, "streams": streams, "ended": ended,
		}
		if jobs != nil {
			says["jobs"] = jobs
		}
		if i == 0 {
			says["first"] = true
		}
		g.put(stream, ago, record("seal", input, says))
	}
}

// record is a record's message: the shipper's member stands first.
func record(kind, input string, says map[string]any) string {
	rest, err := json.Marshal(says)
	if err != nil {
		panic(err)
	}
	return `{"shipper":{"record":"` + kind + `","input":"` + input + `"},` + string(rest[1:])
}

// entry is what a seal says of a job that began so long ago and took tokens.
func entry(id string, outcome batch.Outcome, ago time.Duration, tokens int64) batch.Job {
	u := batch.Usage{InputTokens: tokens - 1, OutputTokens: 1, TotalTokens: tokens}
	j := batch.Job{
		JobID: id, Outcome: outcome, Started: testNow.Add(-ago).UnixMilli(), Runs: 1, Steps: 2, Calls: 3, Usage: u,
		Experts: []batch.Expert{{Key: "writer", Runs: 1, Calls: 3, Usage: u}},
	}
	if outcome != batch.Unfinished {
		j.Finished = j.Started + 5000
	}
	return j
}
