package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
)

// This file is what the round trips to an endpoint have in common: a user of the program as it is
// built for others, who pipes into it, reads back with it, and looks at what the endpoint holds
// through the SDK.

// user runs the program against one endpoint, with a home of their own.
type user struct {
	t   *testing.T
	env []string
	api *cloudwatchlogs.Client
}

func newUser(t *testing.T, endpoint string) *user {
	home := t.TempDir()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	u := &user{t: t, api: cloudwatchlogs.New(cloudwatchlogs.Options{
		BaseEndpoint: &endpoint,
		Region:       "eu-west-1",
		Credentials:  credentials.NewStaticCredentialsProvider("test", "test", ""),
		HTTPClient:   wholeAnswers{transport},
	})}
	u.env = []string{
		"HOME=" + home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + home,
		"AWS_ENDPOINT_URL=" + endpoint, "AWS_REGION=eu-west-1", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test",
	}
	return u
}

// wholeAnswers reads each answer before the SDK does: that closes the request's body once it has
// the answer's head, and where the transport has not read to the body's end yet it takes that for a
// failure and closes the connection.
type wholeAnswers struct{ http.RoundTripper }

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

// summary is the line that tells what was shipped, with its numbers but those of retries and
// seconds; a warning of a run that did not end may stand before it.
var summary = regexp.MustCompile(`^(?:\{"level":"warn",[^\n]* ended (?:before job|in the middle of a line) [^\n]*\}\n)?` +
	`\{"level":"info","time":"[^"]*","message":"shipped [^"]*",("lines":.*),"retries":\d+,("repeats":.*),"seconds":[0-9.e-]+\}\n$`)

// ship pipes data into the program, which must deliver it, and returns the summary.
func (u *user) ship(data []byte, args ...string) string {
	u.t.Helper()
	command := exec.CommandContext(u.t.Context(), program, args...)
	command.Env = u.env
	command.Stdin = struct{ io.Reader }{bytes.NewReader(data)} // by way of a pipe, as from an agent
	var stderr bytes.Buffer
	command.Stderr = &stderr
	if err := command.Run(); err != nil {
		u.t.Fatalf("shipping: %v\n%s", err, &stderr)
	}
	said := summary.FindSubmatch(stderr.Bytes())
	if said == nil {
		u.t.Fatalf("stderr is not just a summary: %s", &stderr)
	}
	return string(said[1]) + "," + string(said[2])
}

// logs reads back with the program.
func (u *user) logs(args ...string) []byte {
	u.t.Helper()
	command := exec.CommandContext(u.t.Context(), program, append([]string{"logs"}, args...)...)
	command.Env = u.env
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil || stderr.Len() > 0 {
		u.t.Fatalf("logs %q: %v\n%s", args, err, &stderr)
	}
	return stdout.Bytes()
}

// streams are the names of the group's streams.
func (u *user) streams(group string) []string {
	u.t.Helper()
	var names []string
	pages := cloudwatchlogs.NewDescribeLogStreamsPaginator(u.api, &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: &group})
	for pages.HasMorePages() {
		page, err := pages.NextPage(u.t.Context())
		if err != nil {
			u.t.Fatal(err)
		}
		for _, stream := range page.LogStreams {
			names = append(names, *stream.LogStreamName)
		}
	}
	return names
}

// stored is one event as CloudWatch holds it, and what its message says of itself.
type stored struct {
	time    int64
	message string

	Shipper struct {
		Input, Record, Source string
		Seq, Part             int
		Last, Text, Lossy     bool
		Newline               *bool
		Added                 []string
		At                    *int64
	}
	Type, JobID, RunID, Message, Data string
	Timestamp                         json.RawMessage

	// Of a seal.
	Lines, Bytes, LastSeq, Parts int
	SHA256                       string
	Ended                        bool
	Rejected                     [][2]int
	Streams                      []string
}

// events are the events of a stream in reading order.
func (u *user) events(group, stream string) []stored {
	u.t.Helper()
	var events []stored
	in := &cloudwatchlogs.GetLogEventsInput{LogGroupName: &group, LogStreamName: &stream, StartFromHead: aws.Bool(true)}
	for {
		page, err := u.api.GetLogEvents(u.t.Context(), in)
		if err != nil {
			u.t.Fatal(err)
		}
		for _, event := range page.Events {
			e := stored{time: *event.Timestamp, message: *event.Message}
			if err := json.Unmarshal([]byte(e.message), &e); err != nil {
				u.t.Fatalf("an event that is no JSON: %v\n%.300s", err, e.message)
			}
			events = append(events, e)
		}
		if in.NextToken != nil && *page.NextForwardToken == *in.NextToken {
			return events
		}
		in.NextToken = page.NextForwardToken
	}
}

// recordings are the paths of what real runs wrote, by their names: those in the repository and,
// where they lie beside it, all the others.
func recordings(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, folder := range []string{"../../../shared/recordings", "testdata/recordings"} {
		paths, err := filepath.Glob(folder + "/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			files[filepath.Base(path)] = path
		}
	}
	if len(files) == 0 {
		t.Fatal("there are no recordings")
	}
	return files
}

// jobID finds the first jobId of what an agent wrote.
var jobID = regexp.MustCompile(`(?m)^\{"type":"[^"]*",.*?"jobId":"([^"]*)"`)

// runID finds the first runId.
var runID = regexp.MustCompile(`(?m)^\{"type":"[^"]*",.*?"runId":"([^"]*)"`)

// roundTrip ships data into a group of its own, reads it back, compares byte for byte, and looks at
// each event.
func (u *user) roundTrip(group string, data []byte) {
	t := u.t
	t.Helper()
	lines := nonEmpty(data)
	said := u.ship(data, "--log-group", group)
	for _, want := range []string{`"streamCount":1,`, `"repeats":0,"rejected":0,`} {
		if !strings.Contains(said, want) {
			t.Errorf("it says %s, and not %s", said, want)
		}
	}

	streams := u.streams(group)
	if len(streams) != 1 {
		t.Fatalf("the streams are %q, want one", streams)
	}
	selection := []string{"--stream", streams[0]}
	job := ""
	found := jobID.FindSubmatch(data)
	if found == nil {
		found = runID.FindSubmatch(data) // of a version that named no job
	}
	if found != nil {
		job = string(found[1])
		selection = []string{"--job", job}
	} else if !strings.HasPrefix(streams[0], "unattributed/") {
		t.Errorf("lines without a job went to the stream %q", streams[0])
	}
	if back := u.logs(append(selection, "--log-group", group)...); !bytes.Equal(back, data) {
		t.Errorf("read back: %s", difference(back, data))
	}

	events := u.events(group, streams[0])
	u.checkRecords(events, data, streams)
	shipped := bySeq(t, events)
	if len(shipped) != len(lines) {
		t.Fatalf("%d lines are stored, want %d", len(shipped), len(lines))
	}
	for i, line := range lines {
		checkLine(t, i+1, line, shipped[i], job)
	}
}

// checkRecords looks at the shipper's own records of an input's only stream.
func (u *user) checkRecords(events []stored, data []byte, streams []string) {
	t := u.t
	t.Helper()
	var opens, seals []stored
	parts := 0
	for _, e := range events {
		switch e.Shipper.Record {
		case "open":
			opens = append(opens, e)
		case "seal":
			seals = append(seals, e)
		}
		if e.Shipper.Part > 0 {
			parts++
		}
	}
	if len(opens) != 1 || len(seals) != 1 || opens[0].Type != "shipper.open" || seals[0].Type != "shipper.seal" {
		t.Fatalf("%d open and %d seal records, want one of each", len(opens), len(seals))
	}
	lines := nonEmpty(data)
	digest := sha256.New()
	for _, line := range lines {
		digest.Write(append(bytes.ToValidUTF8(line, []byte("\uFFFD")), '\n'))
	}
	seal := seals[0]
	if !seal.Ended || seal.Lines != len(lines) || seal.LastSeq != len(lines) || seal.Bytes != len(data) || seal.Parts != parts ||
		len(seal.Rejected) > 0 || !slices.Equal(seal.Streams, streams) || seal.SHA256 != hex.EncodeToString(digest.Sum(nil)) {
		t.Errorf("the seal of %d bytes in %d lines and %d parts, with the digest %x, says %s", len(data), len(lines), parts, digest.Sum(nil), seal.message)
	}
}

// bySeq are the events of an input's lines: those of seq n at n-1, in the order of their parts.
// Each must be there once.
func bySeq(t *testing.T, events []stored) [][]stored {
	t.Helper()
	var lines [][]stored
	input := ""
	sorted := slices.Clone(events)
	slices.SortStableFunc(sorted, func(a, b stored) int {
		if a.Shipper.Seq != b.Shipper.Seq {
			return a.Shipper.Seq - b.Shipper.Seq
		}
		return a.Shipper.Part - b.Shipper.Part
	})
	for _, e := range sorted {
		if input == "" {
			input = e.Shipper.Input
		}
		if e.Shipper.Input != input || len(input) != 8 {
			t.Fatalf("an event of the input %q among those of %q", e.Shipper.Input, input)
		}
		if e.Shipper.Record != "" {
			continue
		}
		switch {
		case e.Shipper.Seq == len(lines)+1 && e.Shipper.Part <= 1:
			lines = append(lines, []stored{e})
		case e.Shipper.Seq == len(lines) && e.Shipper.Part == len(lines[len(lines)-1])+1 && e.Shipper.Part > 1:
			lines[len(lines)-1] = append(lines[len(lines)-1], e)
		default:
			t.Fatalf("seq %d, part %d follows seq %d", e.Shipper.Seq, e.Shipper.Part, len(lines))
		}
	}
	return lines
}

// checkLine looks at the events of one line, its only one or its parts.
func checkLine(t *testing.T, seq int, line []byte, events []stored, job string) {
	t.Helper()
	var original struct {
		Type, JobID, RunID string
		Timestamp          *int64
	}
	isObject := line[0] == '{' && json.Unmarshal(line, &original) == nil
	var joined strings.Builder
	for i, e := range events {
		if len(e.message) > 1_048_550 {
			t.Errorf("line %d: an event of %d bytes", seq, len(e.message))
		}
		if e.JobID != job && job != "" {
			t.Errorf("line %d: its job is %q, want %q", seq, e.JobID, job)
		}
		if isObject && (e.Type != original.Type || e.RunID != original.RunID) {
			t.Errorf("line %d: type %q and run %q, want %q and %q", seq, e.Type, e.RunID, original.Type, original.RunID)
		}
		if !isObject && (e.Type != "text" || !e.Shipper.Text) {
			t.Errorf("line %d is no JSON object, and no text event: %.200s", seq, e.message)
		}
		// A time that CloudWatch would refuse by now is in the event instead.
		if own := original.Timestamp; isObject && own != nil {
			clamped := e.Shipper.At != nil && *e.Shipper.At == *own && time.Since(time.UnixMilli(*own)) > 13*24*time.Hour
			if e.time != *own && !clamped {
				t.Errorf("line %d: its time is %d, want %d", seq, e.time, *own)
			}
		}
		if last := i == len(events)-1; e.Shipper.Part > 0 && e.Shipper.Last != last {
			t.Errorf("line %d: part %d of %d says last: %v", seq, e.Shipper.Part, len(events), e.Shipper.Last)
		}
		joined.WriteString(e.Data)
	}
	switch e := events[0]; {
	case e.Shipper.Part > 0:
		if joined.String() != string(line) {
			t.Errorf("line %d: its parts are not the line: %s", seq, difference([]byte(joined.String()), line))
		}
	case isObject:
		_, rest, _ := strings.Cut(e.message, "},")
		if original.JobID == "" {
			rest = strings.TrimPrefix(rest, fmt.Sprintf(`"jobId":%q,`, job))
		}
		if "{"+rest != string(line) {
			t.Errorf("line %d is not untouched behind its shipper member: %.300s", seq, e.message)
		}
	case e.Message != string(bytes.ToValidUTF8(line, []byte("\uFFFD"))):
		t.Errorf("line %d has the message %q, want %q", seq, e.Message, line)
	}
}

// nonEmpty are the lines of data that have a byte, without their newlines.
func nonEmpty(data []byte) [][]byte {
	return slices.DeleteFunc(bytes.Split(data, []byte("\n")), func(line []byte) bool { return len(line) == 0 })
}

// difference says where two outputs part.
func difference(got, want []byte) string {
	n := 0
	for n < len(got) && n < len(want) && got[n] == want[n] {
		n++
	}
	near := func(b []byte) string { return string(b[max(0, n-100):min(len(b), n+100)]) }
	return strings.Join([]string{"got ", near(got), "\nwant ", near(want)}, "")
}

// deadline bounds the life of what runs beside a test.
func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // t's own would end before the cleanup
	t.Cleanup(cancel)
	return ctx
}
