package batch_test

// These properties cover the path from an input to what CloudWatch holds: nothing is lost, every
// limit is kept, and it does not matter in which blocks the bytes arrive.

import (
	"bytes"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"perstack-shipper/batch"
)

// drawShape draws the options that shape events.
func drawShape(t *rapid.T) batch.Shape {
	return batch.Shape{
		Input:    rapid.SampledFrom([]string{"k3v9x2ab", "k3v9x2ab.err"}).Draw(t, "input"),
		Source:   rapid.SampledFrom([]string{"", "", "stderr"}).Draw(t, "source"),
		JobID:    rapid.SampledFrom([]string{"", "", "nightly:build*42/日本", "\"\\\xff\x00"}).Draw(t, "job"),
		RunID:    rapid.SampledFrom([]string{"", "", "r\"1"}).Draw(t, "run"),
		Template: rapid.SampledFrom([]string{"{jobId}", "{jobId}", "{jobId}/{runId}", "all", "{expertKey}-{runId}-{hostname}"}).Draw(t, "template"),
		Hostname: "host",
		Fields: rapid.SampledFrom([][]batch.Member{nil, nil, {{Name: "env", Value: "prod"}}, {{Name: "a", Value: `"}},{"seq":9`}, {Name: "b.c", Value: "\n\x00\xff日\u2028"}}}).
			Draw(t, "fields"),
	}
}

// awkward are lines that have each broken some log shipper.
var awkward = []string{
	"{}", "{ }", " {} ", "\t{\t}\r", "{}\r", "\r", " ", "{", "}", "[]", "null", "\"", "\x00", "\ufeff{}", "\ufeff", "\u2028", `{"a":"` + "\u2028" + `"}`, "{}{}", `{"a":1},`,
	`{"_aws":{}}`, `{"\u005faws":{"Timestamp":1}}`, `{"_\u0061ws":1,"jobId":"j2"}`, `{"a":{"_aws":1}}`, `{"_AWS":1}`, `{"_aws":1`, ` {"\u005F\u0061\u0077\u0073" : [] } `,
	"\ufeff{\"jobId\":\"b\"}\r", "\ufeff {\"a\":\"\xff\"}", "\ufeff{\"_aws\":1}", "\ufeff\ufeff{}", "\ufeff{", `{"\u0073hipper":{"record":"seal"}}`, `{"shippe\u0072":1,"jobId":"j3"}`, `{"a":{"shipper":1}}`, `{"Shipper":1}`,
	`{"shipper":{"input":"k3v9x2ab","seq":1},"a":1}`, `{"shipper":{"record":"seal","input":"k3v9x2ab"}}`, `{"type":"text","message":"m"}`, `{"shipper":{}}`, `{"data":"x","part":1}`,
	`{"jobId":7}`, `{"jobId":""}`, `{"jobId":null,"runId":{}}`, `{"jobId":"a","jobId":"b"}`, `{"job\u0049d":"esc"}`, `{"jobId":"\ud800"}`, `{"jobId":"a:b*c"}`, `{"runId":"r7"}`, `{"runId":"r8","jobId":"j8"}`,
	`{"jobId":"cut`, `{"jobId":"cut"`, `{"jobId":"x"}trailing`, "{\"jobId\":\"\xff\xfe\"}", "{\"a\xc3\":1}", "\xed\xa0\x80", "\xf0\x9f\x98", "a\xe6\x97", "\xf4\x90\x80\x80",
	`{"timestamp":1795348705863}`, `{"timestamp":1795348705}`, `{"timestamp":1795348705863000}`, `{"timestamp":"2026-11-22T12:00:00.5Z"}`, `{"timestamp":0}`, `{"timestamp":-5}`, `{"timestamp":1e30}`,
	`{"timestamp":"NaN"}`, `{"timestamp":9999999999999999999999}`, `{"timestamp":1795348705.863}`, `{"timestamp":1795348799999,"type":"a"}`, `{"timestamp":1795300000000,"usage":{"inputTokens":1},"error":{"name":"x"}}`,
	`{"_aws":0,"type":"t","id":"i","timestamp":1795348700000,"jobId":"j","runId":"r","usage":{"inputTokens":3},"error":{"message":"no"}}`,
}

// drawLine draws one line, usually without a newline in it.
func drawLine(t *rapid.T, recorded [][]byte) []byte {
	switch rapid.IntRange(0, 9).Draw(t, "kind of line") {
	case 0:
		return nil
	case 1:
		return rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(t, "bytes")
	case 2:
		return bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 1, 4).Draw(t, "bytes"), rapid.IntRange(1, 3000).Draw(t, "times"))
	case 3, 4, 5:
		return []byte(rapid.SampledFrom(awkward).Draw(t, "awkward line"))
	case 6:
		around := rapid.SampledFrom([]string{"", "", " ", "\t\r", "\r"})
		return []byte(around.Draw(t, "before") + drawJSON(t, 0) + around.Draw(t, "after"))
	case 7:
		return rapid.SampledFrom(recorded).Draw(t, "recorded line")
	case 8:
		line := rapid.SampledFrom(recorded).Draw(t, "recorded line")
		return line[:rapid.IntRange(0, len(line)).Draw(t, "cut")]
	default:
		line := slices.Clone(rapid.SampledFrom(recorded).Draw(t, "recorded line"))
		for range rapid.IntRange(1, 4).Draw(t, "mutations") {
			at := rapid.IntRange(0, len(line)-1).Draw(t, "at")
			line[at] = rapid.SampledFrom([]byte("\"\\{}[]:,\n\r \x00\x1f\x80\xff\xe2u0_")).Draw(t, "byte")
		}
		return line
	}
}

func drawInput(t *rapid.T, recorded [][]byte) []byte {
	var input []byte
	n := rapid.IntRange(0, 25).Draw(t, "lines")
	for i := range n {
		input = append(input, drawLine(t, recorded)...)
		if i < n-1 || rapid.Bool().Draw(t, "newline at the end") {
			input = append(input, '\n')
		}
	}
	return input
}

// drawRegime draws a regime. It draws everything up front, so that failures shrink well.
func drawRegime(t *rapid.T) regime {
	reads := rapid.SliceOfN(rapid.SampledFrom([]int{1, 2, 3, 7, 50, 400, 5000, 1 << 20}), 1, 20).Draw(t, "reads")
	restarts := rapid.SliceOfN(rapid.Bool(), 1, 20).Draw(t, "restarts")
	i, j := 0, 0
	return regime{
		read:    func(int) int { i++; return reads[i%len(reads)] },
		restart: func() bool { j++; return restarts[j%len(restarts)] },
	}
}

// recordedLines are lines of real runs of up to 8 KiB.
func recordedLines(t testing.TB) [][]byte {
	var all [][]byte
	for _, data := range sorted(recordings(t)) {
		for _, line := range bytes.Split(data, []byte("\n")) {
			if len(line) > 0 && len(line) <= 8<<10 {
				all = append(all, line)
			}
		}
	}
	return all
}

func sorted(files map[string][]byte) (all [][]byte) {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		all = append(all, files[name])
	}
	return all
}

func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	recorded := recordedLines(t)
	rapid.Check(t, func(t *rapid.T) {
		input := drawInput(t, recorded)
		ship(t, drawShape(t), input, regime{}).again(t, drawRegime(t))
	})
}

var atMember = regexp.MustCompile(`,"at":\d+`)

// A late event is sent with a different time, but is cut at the same places.
func TestTheClockChangesNothingButTheTime(t *testing.T) {
	batch.Large(t)
	t.Parallel()
	recorded := recordedLines(t)
	rapid.Check(t, func(t *rapid.T) {
		input, shape := drawInput(t, recorded), drawShape(t)
		clock := rapid.SampledFrom([]int64{now, now - 3*hour, now + 13*24*hour, now + 400*24*hour})
		one, two := drawRegime(t), drawRegime(t)
		one.now = func() int64 { return clock.Draw(t, "now") }
		two.now = func() int64 { return clock.Draw(t, "now") }
		a, b := ship(t, shape, input, one), ship(t, shape, input, two)
		if len(a.messages) != len(b.messages) {
			t.Fatalf("%d events now, and %d later", len(a.messages), len(b.messages))
		}
		for i := range a.messages {
			x, y := a.messages[i], b.messages[i]
			withoutX := strings.Replace(x.text, string(x.ShipperMember), atMember.ReplaceAllString(string(x.ShipperMember), ""), 1)
			withoutY := strings.Replace(y.text, string(y.ShipperMember), atMember.ReplaceAllString(string(y.ShipperMember), ""), 1)
			if withoutX != withoutY || x.stream != y.stream {
				t.Fatalf("%.500q\nand %.500q", x.text, y.text)
			}
		}
	})
}

func TestRecordings(t *testing.T) {
	t.Parallel()
	for name, data := range recordings(t) {
		t.Run(name, func(t *testing.T) {
			if len(data) > 1<<20 {
				batch.Large(t)
			}
			t.Parallel()
			whole := ship(t, plainShape(), data, regime{})
			for _, size := range []int{40 << 10, 256 << 10} {
				whole.again(t, regime{read: func(int) int { return size }, restart: func() bool { return true }})
			}
			if strings.HasSuffix(name, ".jsonl") && len(whole.streams) != 1 {
				t.Errorf("a run of a single job opened the streams %q", whole.streams)
			}
		})
	}
}

// FuzzShape ships arbitrary bytes in arbitrary pieces and checks that they come back.
func FuzzShape(f *testing.F) {
	for i, line := range awkward {
		f.Add([]byte(line+"\n\n"+awkward[(i+7)%len(awkward)]), uint16(i), i%2 == 0)
	}
	for i, line := range recordedLines(f) {
		if i%100 == 0 && len(line) < 2000 {
			f.Add(line, uint16(i), true)
		}
	}
	f.Fuzz(func(t *testing.T, input []byte, size uint16, restart bool) {
		shape := plainShape()
		shape.Fields = []batch.Member{{Name: "env", Value: "prod"}}
		if size%3 == 0 {
			shape.JobID = "own"
		}
		ship(t, shape, input, regime{}).again(t, regime{read: func(int) int { return int(size) + 1 }, restart: func() bool { return restart }})
	})
}

// NewShaper refuses a Shape that would leave no room in a part for its line. No options can produce
// such a Shape.
func TestTooLargeOptions(t *testing.T) {
	shape := plainShape()
	shape.Fields = []batch.Member{{Name: "env", Value: strings.Repeat("x", 70<<10)}}
	if _, err := batch.NewShaper(shape, batch.State{}, nil); err == nil || !strings.Contains(err.Error(), "k3v9x2ab") {
		t.Errorf("NewShaper with fields of 70 KiB: %v", err)
	}
	shape.Fields = nil
	shape.Template = "{job}"
	if _, err := batch.NewShaper(shape, batch.State{}, nil); err == nil {
		t.Error("a template with an unknown field is accepted")
	}
	if _, err := batch.NewShaper(plainShape(), batch.State{Digest: batch.Digested{Lines: []byte("x")}}, nil); err == nil {
		t.Error("a damaged digest is accepted")
	}
}
