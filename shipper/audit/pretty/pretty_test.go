package pretty

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/readback"
	"perstack-shipper/shipper/readback/readbacktest"
	"perstack-shipper/shipper/terminal"
)

// lines are the lines of the only input in a log group.
type lines []string

// group returns the log group, which has one stream, "s".
func (s lines) group() readback.Source {
	var events []cloudwatch.Event
	for i, line := range s {
		message := fmt.Sprintf(`{"shipper":{"input":"a","seq":%d,"text":true},"type":"text","message":%s}`, i+1, quoted(line))
		if strings.HasPrefix(line, `{"`) {
			message = fmt.Sprintf(`{"shipper":{"input":"a","seq":%d},%s`, i+1, line[1:])
		}
		events = append(events, cloudwatch.Event{Stream: "s", Time: 1795348708000, Message: message})
	}
	return readbacktest.Held{"s": events}
}

func quoted(text string) string {
	data, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// show returns what a View prints for the lines.
func (s lines) show(t interface{ Fatal(...any) }, o Options) string {
	var b bytes.Buffer
	o.Location = time.UTC
	v := New(&b, o)
	if _, err := readback.Read(context.Background(), s.group(), readback.Query{Streams: []string{"s"}}, v); err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func recording(t *testing.T, name string) lines {
	t.Helper()
	data, err := os.ReadFile("../../../cmd/perstack-shipper/testdata/recordings/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

func TestPretty(t *testing.T) {
	for name, want := range map[string]string{
		"simple.jsonl": `Sunday, 22 November 2026
11:58:25.863  simple            runtime    Perstack 0.0.76, claude-sonnet-4-5
11:58:25.933  simple            runtime    skillConnected @perstack/base
11:58:25.984  simple         1  starts     What is the capital of France?
11:58:25.992  simple         1  asks model
11:58:26.164  simple         1  thinks     The user asks for the capital of France. That is Paris.
11:58:26.308  simple         1  answers    The capital of France is Paris.  22 in (7 cached), 12 out
11:58:26.319  simple            runtime    skillDisconnected @perstack/base
`,
		"error.jsonl": `Sunday, 22 November 2026
11:59:06.617  worker            runtime    Perstack 0.0.76, claude-sonnet-4-5
11:59:06.679  worker            runtime    skillConnected @perstack/base
11:59:06.729  worker         1  starts     Try.
11:59:06.737  worker         1  asks model
11:59:06.818  worker         1  fails      AI_NoOutputGeneratedError: No output generated. Check the stream for errors.
11:59:06.826  worker            runtime    skillDisconnected @perstack/base
`,
	} {
		if got := recording(t, name).show(t, Options{}); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
}

// Deltas become one line, which grows on a terminal. Elsewhere it is printed once, and only if the
// whole text does not follow.
func TestStreams(t *testing.T) {
	s := lines{
		`{"type":"startStreamingReasoning","expertKey":"e","timestamp":1795348708000,"runId":"r","stepNumber":1}`,
		`{"type":"streamReasoning","expertKey":"e","timestamp":1795348708001,"runId":"r","stepNumber":1,"delta":"Think "}`,
		`{"type":"streamReasoning","expertKey":"e","timestamp":1795348708002,"runId":"r","stepNumber":1,"delta":"first."}`,
		`{"type":"completeStreamingReasoning","expertKey":"e","timestamp":1795348708003,"runId":"r","stepNumber":1,"text":"Think first."}`,
		`{"type":"streamRunResult","timestamp":1795348708004,"runId":"r","delta":"Half an "}`,
		`{"type":"streamRunResult","timestamp":1795348708005,"runId":"r","delta":"answer"}`,
	}
	want := `Sunday, 22 November 2026
11:58:28.003  e              1  thinks     Think first.
11:58:28.004  e                 says       Half an answer
`
	if got := s.show(t, Options{}); got != want {
		t.Errorf("\n%s\nwant\n%s", got, want)
	}
	now := time.Now()
	got := s.show(t, Options{Live: true, Width: func() int { return 60 }, Now: func() time.Time { now = now.Add(time.Second); return now }})
	live := strings.Join([]string{
		"11:58:28.001  e              1  thinks     Think",
		"11:58:28.001  e              1  thinks     Think first.",
		"Sunday, 22 November 2026\n11:58:28.003  e              1  thinks     Think first.\n11:58:28.004  e                 says       Half an",
		"11:58:28.004  e                 says       Half an answer",
		"11:58:28.004  e                 says       Half an answer\n",
	}, "\r\x1b[K")
	if got != live {
		t.Errorf("%q\nwant\n%q", got, live)
	}
}

// Each Expert has a colour of its own, and errors are red.
func TestColours(t *testing.T) {
	s := lines{
		`{"type":"startRun","expertKey":"a","timestamp":1795348708000,"runId":"r","stepNumber":1}`,
		`{"type":"startRun","expertKey":"b","timestamp":1795348708000,"runId":"q","stepNumber":1}`,
		`{"type":"stopRunByError","expertKey":"b","timestamp":1795348708000,"runId":"q","stepNumber":1,"error":{"name":"E","message":"m"}}`,
	}
	got := s.show(t, Options{Color: true})
	for _, want := range []string{"\x1b[36ma           \x1b[0m", "\x1b[35mb           \x1b[0m", "\x1b[1;31mfails     \x1b[0m \x1b[1;31mE: m\x1b[0m"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%q", want, got)
		}
	}
	if got := s.show(t, Options{}); strings.Contains(got, "\x1b") {
		t.Errorf("%q", got)
	}
}

// Whatever an agent writes, each line fits the terminal and contains nothing that could control it.
func TestNothingControlsTheTerminal(t *testing.T) {
	types := []string{"startRun", "streamReasoning", "completeReasoning", "callTools", "resolveToolResults", "retry", "completeRun", "stopRunByError", "x\x1b[2J", "skillStderr"}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"\x1b[2J", "a\nb\r\tc", "\u202e", "\u009b2J", "日本語", strings.Repeat("x", 500), "\x00"}))
		var s lines
		for range rapid.IntRange(1, 10).Draw(t, "lines") {
			draw := func(name string) string { return quoted(text.Draw(t, name)) }
			s = append(s, fmt.Sprintf(`{"type":%s,"expertKey":%s,"runId":%s,"timestamp":1795348708000,"stepNumber":3,"delta":%s,"text":%s,"skillName":%s,`+
				`"toolCalls":[{"toolName":%s,"args":{"a":%s}}],"toolResults":[{"toolName":%s,"result":[{"text":%s}]}],"error":{"name":%s,"message":%s}}`,
				quoted(rapid.SampledFrom(types).Draw(t, "type")), draw("expert"), draw("run"), draw("delta"), draw("text"), draw("skill"),
				draw("tool"), draw("arg"), draw("tool"), draw("result"), draw("name"), draw("message")))
			if rapid.Bool().Draw(t, "plain") {
				s = append(s, text.Draw(t, "line"))
			}
		}
		const width = 100
		for line := range strings.Lines(s.show(t, Options{Width: func() int { return width }})) {
			line = strings.TrimSuffix(line, "\n")
			if escaped := terminal.Escape(line); escaped != line {
				t.Fatalf("the line contains control characters: %q", line)
			}
			if n := terminal.Width(line); n > width {
				t.Fatalf("%d columns: %s", n, line)
			}
		}
	})
}
