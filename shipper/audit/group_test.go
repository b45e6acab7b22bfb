package audit

import (
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"go.uber.org/goleak"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/testkit"
)

func TestMain(m *testing.M) {
	testkit.Isolate()
	goleak.VerifyTestMain(m)
}

var testNow = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// testGroup is a log group that a test fills with records, each put at a time of its own.
type testGroup struct {
	*testkit.World
	client *cloudwatch.Client // for readers
	clock  atomic.Int64       // of the endpoint; ms since 1970
	made   map[string]bool    // streams
	size   int                // bytes of all records, as a page counts them
	filler string             // a member of a later version in each seal

	mu    sync.Mutex // guards calls
	calls map[string]int
}

func newTestGroup(t *testing.T) *testGroup {
	t.Helper()
	g := &testGroup{calls: map[string]int{}, made: map[string]bool{}}
	g.clock.Store(testNow.UnixMilli())
	g.World = testkit.New(t, "/perstack/audit", testkit.Options{Options: cwlocal.Options{
		Now: func() time.Time { return time.UnixMilli(g.clock.Load()) },
		Intercept: func(call *cwlocal.Call) cwlocal.Fault {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.calls[call.Action]++
			return cwlocal.Fault{}
		},
	}})
	g.client = g.Client(0)
	if _, err := g.client.CreateGroup(t.Context()); err != nil {
		t.Fatal(err)
	}
	return g
}

// put puts a message into a stream at a time before testNow. It calls CreateLogStream only once per
// stream, because TestJobs puts thousands of messages.
func (g *testGroup) put(stream string, ago time.Duration, message string) {
	g.T.Helper()
	ctx := g.T.Context()
	at := testNow.Add(-ago).UnixMilli()
	g.clock.Store(at)
	defer g.clock.Store(testNow.UnixMilli())
	if !g.made[stream] {
		g.made[stream] = true
		if _, err := g.API.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: aws.String(g.Group), LogStreamName: &stream}); err != nil {
			g.T.Fatal(err)
		}
	}
	_, err := g.API.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{
		LogGroupName: aws.String(g.Group), LogStreamName: &stream, LogEvents: []types.InputLogEvent{{Message: &message, Timestamp: &at}},
	})
	if err != nil {
		g.T.Fatal(err)
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

// seal puts a seal into each of the streams. jobs is nil in seals of earlier versions.
func (g *testGroup) seal(input string, streams []string, ago time.Duration, lines int64, ended bool, jobs []batch.Job) {
	for i, stream := range streams {
		says := map[string]any{
			"type": "shipper.seal", "timestamp": testNow.Add(-ago).UnixMilli(),
			"lines": lines, "lastSeq": lines, "bytes": lines * 100, "emptyLines": 0, "streams": streams, "ended": ended,
			"later": g.filler,
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

// record returns the message of a record, which begins with the member shipper.
func record(kind, input string, says map[string]any) string {
	rest, err := json.Marshal(says)
	if err != nil {
		panic(err)
	}
	return `{"shipper":{"record":"` + kind + `","input":"` + input + `"},` + string(rest[1:])
}

// entry returns the entry in a seal of a job that began ago before testNow.
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
