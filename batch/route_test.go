package batch_test

// These tests check which stream a line goes to.

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"perstack-shipper/batch"
)

func TestParseTemplate(t *testing.T) {
	for text, wrong := range map[string]string{
		"{jobId}": "", "{jobId}/{runId}": "", "all": "", "a-{hostname}.{expertKey}{runId}": "", "é日": "",
		"": "empty", "{": "unmatched", "}": "unmatched", "a{jobId": "unmatched", "jobId}": "unmatched", "{jobId}}": "unmatched", "{{jobId}}": "{{jobId}",
		"\xff": "UTF-8", strings.Repeat("n", 512): "", strings.Repeat("n", 513): "512 bytes",
		"{}": "{}", "{job}": "{job}", "{JobId}": "{JobId}", "{ jobId }": "{ jobId }",
	} {
		_, err := batch.ParseTemplate(text)
		switch {
		case wrong == "" && err != nil:
			t.Errorf("%q: %v", text, err)
		case wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong)):
			t.Errorf("%q: %v, want an error that contains %q", text, err, wrong)
		}
	}
}

func TestStreams(t *testing.T) {
	batch.Large(t)
	for _, c := range []struct {
		name, template, job, run string
		lines                    []string
		want                     []string // for each line
	}{
		{name: "a job each", template: "{jobId}", lines: []string{`{"jobId":"a"}`, `{}`, `text`, `{"jobId":"b"}`, `{"jobId":"a"}`, `text`}, want: []string{"a", "a", "a", "b", "a", "a"}},
		{name: "refused characters", template: "{jobId}", lines: []string{`{"jobId":"nightly:build*42/日本"}`, `{"jobId":"nightly-build*42/日本"}`, `{"jobId":":"}`}, want: []string{"nightly-build-42/日本", "nightly-build-42/日本", "-"}},
		{name: "escapes", template: "{jobId}", lines: []string{`{"jobId":"a\u002fb\"\\"}`, `{"jobId":"a/b\"\\"}`, `{"jobId":"\ud800"}`}, want: []string{`a/b"\`, `a/b"\`, "\ufffd"}},
		{name: "512 bytes at a character", template: "{jobId}", lines: []string{`{"jobId":"` + strings.Repeat("日", 171) + `"}`, `{"jobId":"` + strings.Repeat("é", 600) + `"}`},
			want: []string{strings.Repeat("日", 170), strings.Repeat("é", 256)}},
		{name: "a run each", template: "{jobId}/{runId}", lines: []string{`{"jobId":"a","runId":"1"}`, `{"jobId":"a"}`, `{"runId":"2"}`, `text`, `{"jobId":"b","runId":"1"}`}, want: []string{"a/1", "a/1", "a/2", "a/-", "b/1"}},
		{name: "options", template: "{jobId}/{runId}", job: "j:1", run: "r", lines: []string{`text`, `{"jobId":"a","runId":"2"}`, `{}`}, want: []string{"j-1/r", "a/2", "j-1/r"}},
		{name: "unattributed", template: "{jobId}/{runId}", lines: []string{`text`, `{"runId":7}`, `{"jobId":7}`, `{"jobId":""}`}, want: slices.Repeat([]string{"unattributed/host-k3v9x2ab"}, 4)},
		{name: "a run is the job", template: "{jobId}", lines: []string{`text`, `{"runId":"r"}`, `{"runId":"s"}`, `text`, `{"jobId":"j"}`, `{"runId":"r"}`}, want: []string{"r", "r", "s", "s", "j", "j"}},
		{name: "no string once a job is known", template: "{jobId}", lines: []string{`{"jobId":"a"}`, `{"jobId":7}`, `{"jobId":""}`, `{"jobId":null}`}, want: []string{"a", "a", "a", "a"}},
		{name: "no job in the template", template: "{hostname}/{expertKey}", lines: []string{`text`, `{"expertKey":"w:1","jobId":"a"}`, `{"expertKey":"w:1","jobId":"b"}`, `{"expertKey":5}`, `{"expertKey":""}`}, want: []string{"host/-", "host/w-1", "host/w-1", "host/-", "host/-"}},
		{name: "fixed", template: "all*", lines: []string{`text`, `{"jobId":"a"}`}, want: []string{"all-", "all-"}},
		{name: "ids that would run together", template: "{jobId}{runId}", lines: []string{`{"jobId":"a","runId":"bc"}`, `{"jobId":"ab","runId":"c"}`, `{"jobId":"ab","runId":"d"}`}, want: []string{"abc", "abc", "abd"}},
		{name: "of the size of an attack", template: "{jobId}/{runId}", lines: []string{`{"jobId":"` + strings.Repeat("a", 5000) + `"}`, `{"jobId":"j","runId":"` + strings.Repeat("a", 5000) + `"}`, `{"jobId":"` + strings.Repeat("a", 5000) + `"}`},
			want: []string{"unattributed/host-k3v9x2ab", "j/-", "j/-"}},
		{name: "parts", template: "{jobId}", lines: []string{`{"jobId":"a","_aws":1}`, `{"jobId":"b"}`, strings.Repeat("x", maxEvent)}, want: []string{"a", "b", "b", "b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			shape := plainShape()
			shape.Template, shape.JobID, shape.RunID = c.template, c.job, c.run
			got := ship(t, shape, []byte(strings.Join(c.lines, "\n")+"\n"), regime{})
			got.again(t, regime{read: func(int) int { return 5000 }, restart: func() bool { return true }})
			var names []string
			for _, m := range got.messages {
				names = append(names, m.stream)
			}
			if !slices.Equal(names, c.want) {
				t.Errorf("%q\nwant %q", names, c.want)
			}
			var opened []string
			for _, name := range c.want {
				if !slices.Contains(opened, name) {
					opened = append(opened, name)
				}
			}
			if !slices.Equal(got.streams, opened) {
				t.Errorf("streams %q, want %q", got.streams, opened)
			}
		})
	}
}

func TestUnattributed(t *testing.T) {
	for _, c := range []struct{ host, input, want string }{
		{"host", "k3v9x2ab", "unattributed/host-k3v9x2ab"}, {"a:b*c", "i.err", "unattributed/a-b-c-i.err"}, {"", "i", "unattributed/-i"}, {strings.Repeat("h", 600), "i", "unattributed/" + strings.Repeat("h", 499)},
	} {
		if got := batch.Unattributed(c.host, c.input); got != c.want {
			t.Errorf("Unattributed(%q, %q) = %q, want %q", c.host, c.input, got, c.want)
		}
	}
}

// Lines of the 101st stream go to the first one, also after a restart. Streams that are open stay
// open.
func TestOverflow(t *testing.T) {
	batch.Large(t)
	var input []byte
	for i := range 150 {
		input = fmt.Appendf(input, "{\"jobId\":\"j%d\"}\n{\"jobId\":\"j99\"}\n{\"jobId\":\"j100\"}\n", i)
	}
	got := ship(t, plainShape(), input, regime{})
	if len(got.streams) != batch.MaxStreams || got.streams[0] != "j0" {
		t.Fatalf("%d streams, the first %q", len(got.streams), got.streams[0])
	}
	for i, m := range got.messages {
		if want := m.JobID; m.stream != want && (m.stream != "j0" || slices.Contains(got.streams, want)) {
			t.Fatalf("line %d of job %s went to %s", i+1, m.JobID, m.stream)
		}
	}
	if !got.overflowed {
		t.Error("Overflowed is false with too many streams")
	}
	got.again(t, regime{read: func(int) int { return 100 }, restart: func() bool { return true }})
	if few := ship(t, plainShape(), input[:200], regime{}); few.overflowed {
		t.Error("Overflowed is true with few streams")
	}
}

// The memory for names is bounded, however an agent names its jobs.
func TestHostileIDsTakeNoMemory(t *testing.T) {
	batch.Large(t)
	for size, ids := range map[int]int{10: 3000, 2000: 2000, 200 << 10: 150} {
		for _, template := range []string{"{jobId}/{runId}", "{expertKey}"} {
			shape := plainShape()
			shape.Template = template
			s, err := batch.NewShaper(shape, batch.State{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			before := heap()
			at := int64(0)
			var ev batch.Event
			name := strings.Repeat("x", size)
			for i := range ids {
				line := fmt.Appendf(nil, "{\"jobId\":\"%s%d\",\"runId\":\"%s%d\",\"expertKey\":\"%s%d\"}\n", name, i, name, i, name, i)
				s.Begin(line, at, now, arrival, false)
				if step := s.Next(&ev); step != batch.Made {
					t.Fatalf("step %d", step)
				}
				at += int64(s.End())
			}
			if grown := heap() - before; grown > 10<<20 {
				t.Errorf("%d sets of ids of %d bytes each take %d bytes of memory", ids, size, grown)
			}
			if n := len(s.Streams()); n > batch.MaxStreams {
				t.Errorf("%d streams", n)
			}
			runtime.KeepAlive(s)
		}
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
