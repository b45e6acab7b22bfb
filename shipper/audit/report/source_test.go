package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/readback"
	"perstack-shipper/shipper/readback/readbacktest"
)

// stream holds the events of a log group's only stream, "job".
type stream []cloudwatch.Event

// input appends the open record and the lines of an input.
func (s stream) input(id, source string, data []byte) stream {
	s = append(s, cloudwatch.Event{Stream: "job", Time: 1795348705863, Message: fmt.Sprintf(`{"shipper":{"record":"open","input":%q},"type":"shipper.open","timestamp":1795348705863,"version":"0.9.0","pid":7,`+
		`"hostname":"ip-10-0-3-17","target":{"group":"/perstack/prod","region":"eu-west-1","account":"123456789012","endpoint":"https://logs.eu-west-1.amazonaws.com"},"stream":"job","source":%q,`+
		`"ecs":{"cluster":"arn:aws:ecs:eu-west-1:123456789012:cluster/agents","taskArn":"arn:aws:ecs:eu-west-1:123456789012:task/agents/0f9de17a6465404e8b1b2356dc13c2f8","family":"perstack-nightly",`+
		`"revision":"14","container":"agent","launchType":"FARGATE","image":"123456789012.dkr.ecr.eu-west-1.amazonaws.com/perstack-nightly:2026-11"}}`, id, source)})
	seq := 0
	for line := range bytes.Lines(data) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		seq++
		var says struct{ Timestamp int64 }
		head := fmt.Sprintf(`{"shipper":{"input":%q,"seq":%d`, id, seq)
		if source != "" {
			head += fmt.Sprintf(`,"source":%q`, source)
		}
		message := ""
		if json.Unmarshal(line, &says) == nil && bytes.HasPrefix(line, []byte(`{"`)) {
			message = head + "}," + string(line[1:])
		} else {
			text, _ := json.Marshal(string(line))
			message = head + `,"text":true},"type":"text","jobId":"job","message":` + string(text) + "}"
		}
		s = append(s, cloudwatch.Event{Stream: "job", Time: says.Timestamp, Message: message})
	}
	return s
}

// report reads the whole stream into a Report.
func (s stream) report(t testing.TB, job string) *Report {
	t.Helper()
	r := New(job)
	if _, err := readback.Read(t.Context(), readbacktest.Held{"job": s}, readback.Query{Streams: []string{"job"}, Stderr: true}, r); err != nil {
		t.Fatal(err)
	}
	return r
}

// recording returns the output of a real run.
func recording(t testing.TB, name string) []byte {
	t.Helper()
	for _, folder := range []string{"../../../cmd/perstack-shipper/testdata/recordings", "../../../../shared/recordings"} {
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err == nil {
			return data
		}
	}
	t.Skipf("the recording %s is not here", name)
	return nil
}
