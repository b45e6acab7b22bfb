package cwlocal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"perstack-shipper/shipper/testkit/await"
)

// cli runs this machine's AWS CLI against an endpoint.
type cli struct {
	t   *testing.T
	env []string
}

func newCLI(t *testing.T, url string) *cli {
	t.Helper()
	if _, err := exec.LookPath("aws"); err != nil {
		t.Skip("the AWS CLI is not installed, so its commands are not tested against the endpoint")
	}
	env := []string{"AWS_ENDPOINT_URL=" + url, "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=secret", "AWS_REGION=eu-west-1", "AWS_DEFAULT_REGION=eu-west-1",
		"AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_MAX_ATTEMPTS=1", "NO_PROXY=*"}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") {
			env = append(env, v)
		}
	}
	return &cli{t: t, env: append(env, "CWLOCAL_URL="+url)}
}

// command is `aws --endpoint-url … logs ARGS`. Versions before 2.13 ignore AWS_ENDPOINT_URL.
func (c *cli) command(args ...string) *exec.Cmd {
	url := c.env[len(c.env)-1][len("CWLOCAL_URL="):]
	cmd := exec.CommandContext(await.Context(c.t), "aws", append([]string{"--endpoint-url", url, "--output", "json", "logs"}, args...)...)
	cmd.Env = c.env
	return cmd
}

// run returns the command's output and, unless to is nil, decodes it into to. part is text expected
// in its error; "" means that it must succeed.
func (c *cli) run(part string, to any, args ...string) string {
	c.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := c.command(args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if (err != nil) != (part != "") || !strings.Contains(stderr.String(), part) {
		c.t.Fatalf("aws logs %q: %v\n%s%s", args, err, stdout.String(), stderr.String())
	}
	if to != nil {
		if err := json.Unmarshal(stdout.Bytes(), to); err != nil {
			c.t.Fatalf("aws logs %q did not print JSON: %v\n%s", args, err, stdout.String())
		}
	}
	return stdout.String()
}

func TestAWSCLI(t *testing.T) {
	t.Parallel() // mostly starts processes
	e := start(t, Options{Now: time.Now})
	c := newCLI(t, e.url)
	c.run("", nil, "create-log-group", "--log-group-name", testGroup, "--tags", "team=a")
	c.run("", nil, "create-log-stream", "--log-group-name", testGroup, "--log-stream-name", testStream)
	c.run("", nil, "put-retention-policy", "--log-group-name", testGroup, "--retention-in-days", "7")

	now := time.Now().UnixMilli()
	messages := []string{`{"type":"startRun","n":1}`, "text é 日本", `{"type":"completeRun","n":3}`}
	type event struct {
		Timestamp     int64  `json:"timestamp"`
		Message       string `json:"message"`
		LogStreamName string `json:"logStreamName,omitempty"`
	}
	var batch []event
	for i, m := range messages {
		batch = append(batch, event{Timestamp: now + int64(i), Message: m})
	}
	text, err := json.Marshal(batch)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "events.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	c.run("", nil, "put-log-events", "--log-group-name", testGroup, "--log-stream-name", testStream, "--log-events", "file://"+file)

	var groups struct {
		LogGroups []struct {
			LogGroupName    string
			RetentionInDays int
		}
	}
	c.run("", &groups, "describe-log-groups")
	if len(groups.LogGroups) != 1 || groups.LogGroups[0].LogGroupName != testGroup || groups.LogGroups[0].RetentionInDays != 7 {
		t.Errorf("describe-log-groups: %+v", groups)
	}
	var streams struct {
		LogStreams []struct {
			LogStreamName      string
			LastEventTimestamp int64
		}
	}
	c.run("", &streams, "describe-log-streams", "--log-group-name", testGroup, "--order-by", "LastEventTime", "--descending")
	if len(streams.LogStreams) != 1 || streams.LogStreams[0].LastEventTimestamp != now+2 {
		t.Errorf("describe-log-streams: %+v", streams)
	}
	var got struct{ Events []event }
	c.run("", &got, "get-log-events", "--log-group-name", testGroup, "--log-stream-name", testStream, "--start-from-head")
	if len(got.Events) != 3 || got.Events[1] != (event{Timestamp: now + 1, Message: messages[1]}) {
		t.Errorf("get-log-events: %+v", got)
	}
	got.Events = nil
	c.run("", &got, "filter-log-events", "--log-group-name", testGroup, "--filter-pattern", `{ $.type = "complete*" }`, "--start-time", strconv.FormatInt(now, 10))
	if len(got.Events) != 1 || got.Events[0] != (event{now + 2, messages[2], testStream}) {
		t.Errorf("filter-log-events: %+v", got)
	}
	c.run("InvalidParameterException", nil, "filter-log-events", "--log-group-name", testGroup, "--filter-pattern", `{ $.type EXISTS }`)
	var tried struct{ Matches []struct{ EventNumber int } }
	c.run("", &tried, "test-metric-filter", "--filter-pattern", `{ $.n > 1 }`, "--log-event-messages", `{"n":1}`, `{"n":2}`)
	if len(tried.Matches) != 1 || tried.Matches[0].EventNumber != 2 {
		t.Errorf("test-metric-filter: %+v", tried)
	}
}

// TestAWSCLITail needs version 2 of the CLI, which introduced the command.
func TestAWSCLITail(t *testing.T) {
	t.Parallel()
	e := start(t, Options{Now: time.Now})
	e.create(testGroup, testStream)
	c := newCLI(t, e.url)
	version, err := exec.CommandContext(await.Context(t), "aws", "--version").CombinedOutput()
	if err != nil || strings.HasPrefix(string(version), "aws-cli/1.") {
		t.Skipf("`aws logs tail` needs version 2 of the AWS CLI, but this is %s; it is not tested against the endpoint (TestFollowing makes the same calls)", bytes.TrimSpace(version))
	}
	at := func(message string) {
		t.Helper()
		ev := event(0, message)
		*ev.Timestamp = time.Now().UnixMilli()
		e.mustPut(ev)
	}
	at("first")
	at(`{"second":2}`)
	out := c.run("", nil, "tail", testGroup, "--format", "short")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); len(lines) != 2 || !strings.HasSuffix(lines[0], " first") || !strings.HasSuffix(lines[1], ` {"second":2}`) {
		t.Errorf("tail printed %q", out)
	}

	follow := c.command("tail", testGroup, "--follow", "--format", "short")
	follow.Env = append(follow.Env, "PYTHONUNBUFFERED=1")
	var said bytes.Buffer
	follow.Stderr = &said
	stdout, err := follow.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			_ = follow.Process.Kill() // it fails if the command has ended
			_ = follow.Wait()
			t.Logf("tail --follow printed on stderr:\n%s", &said)
		}
	})
	lines := bufio.NewScanner(stdout)
	for _, want := range []string{"first", `{"second":2}`, "third"} {
		if want == "third" {
			at(want) // while it follows
		}
		if !lines.Scan() || !strings.HasSuffix(lines.Text(), " "+want) {
			t.Fatalf("tail --follow printed %q, want %q", lines.Text(), want)
		}
	}
	if err := follow.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // an empty line may follow the interrupt
		if lines.Text() != "" {
			t.Errorf("after the interrupt, tail printed %q", lines.Text())
		}
	}
	_ = follow.Wait() // its exit code after an interrupt does not matter
}
