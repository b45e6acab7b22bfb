package batch_test

// These tests check the ids of lines: the job and run a line names, the ones that are added, and
// the lines that wait for a job.

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"perstack-shipper/batch"
)

// ids returns the ids of an event, as "job/run +added".
func ids(m *message) string {
	s := m.JobID + "/" + m.RunID
	if len(m.Added) > 0 {
		s += " +" + strings.Join(m.Added, "+")
	}
	return s
}

func TestIDs(t *testing.T) {
	long := strings.Repeat("x", 1100)
	for _, c := range []struct {
		name     string
		job, run string // options
		lines    []string
		want     []string
	}{
		{name: "own", job: "opt", run: "optrun",
			lines: []string{`{"jobId":"j","runId":"r"}`, `{"runId":"r"}`, `{"jobId":"j"}`, `{}`, `text`},
			want:  []string{"j/r", "opt/r +jobId", "j/optrun +runId", "opt/optrun +jobId+runId", "opt/optrun"}},
		{name: "of the latest that had one",
			lines: []string{`{"jobId":"j1"}`, `{}`, `text`, `{"jobId":"j2"}`, `{"a":1}`, `text`, `{"jobId":"j1"}`, `{}`},
			want:  []string{"j1/", "j1/ +jobId", "j1/", "j2/", "j2/ +jobId", "j2/", "j1/", "j1/ +jobId"}},
		{name: "of the first, for lines before it",
			lines: []string{`npm warn`, `{}`, `{"type":"x"}`, `{"jobId":"j"}`},
			want:  []string{"j/", "j/ +jobId", "j/ +jobId", "j/"}},
		{name: "never",
			lines: []string{`npm warn`, `{}`, `{"runId":7}`, `{}`},
			want:  []string{"/", "/", "/", "/"}},
		{name: "a run is the job as long as none is named",
			lines: []string{`npm warn`, `{}`, `{"runId":"r1"}`, `text`, `{}`, `{"runId":"r2"}`, `text`, `{"runId":"r1"}`, `{"jobId":7,"runId":"r3"}`, `{"jobId":"j","runId":"r1"}`, `{"runId":"r4"}`, `{}`},
			want:  []string{"r1/", "r1/ +jobId", "r1/r1 +jobId", "r1/r1", "r1/r1 +jobId+runId", "r2/r2 +jobId", "r2/", "r1/r1 +jobId", "/r3", "j/r1", "j/r4 +jobId", "j/ +jobId"}},
		{name: "an option is the job of a run", job: "opt",
			lines: []string{`{"runId":"r1"}`, `text`, `{"runId":"r2"}`},
			want:  []string{"opt/r1 +jobId", "opt/r1", "opt/r2 +jobId"}},
		{name: "of a line cut short, spliced, or followed by something",
			lines: []string{`{"jobId":"cut","runId":"r","a":"`, `text`, `{"jobId":"j2","runId":"r"}npm warn`, `{}`},
			want:  []string{"cut/r", "cut/r", "j2/r", "j2/ +jobId"}},
		{name: "a run while there is a single one",
			lines: []string{`{"jobId":"j"}`, `{"jobId":"j","runId":"r1"}`, `{"jobId":"j"}`, `{}`, `text`, `{"jobId":"j","runId":"r1"}`, `{}`, `{"jobId":"j","runId":"r2"}`, `{}`, `text`, `{"jobId":"j","runId":"r1"}`, `{}`},
			want:  []string{"j/", "j/r1", "j/r1 +runId", "j/r1 +jobId+runId", "j/r1", "j/r1", "j/r1 +jobId+runId", "j/r2", "j/ +jobId", "j/", "j/r1", "j/ +jobId"}},
		{name: "a run of another job",
			lines: []string{`{"jobId":"j1","runId":"r1"}`, `{"jobId":"j2"}`, `{}`, `text`, `{"jobId":"j1"}`},
			want:  []string{"j1/r1", "j2/", "j2/ +jobId", "j2/", "j1/"}},
		{name: "no strings",
			lines: []string{`{"jobId":"j","runId":"r"}`, `{"jobId":7,"runId":{}}`, `{"jobId":null,"runId":null}`, `{"jobId":["a"]}`, `{"jobId":true,"runId":"r"}`, `{}`},
			want:  []string{"j/r", "/", "/", "/", "/r", "j/r +jobId+runId"}},
		{name: "empty",
			lines: []string{`{"jobId":"j","runId":"r"}`, `{"jobId":"","runId":""}`, `{}`},
			want:  []string{"j/r", "/", "j/r +jobId+runId"}},
		{name: "of the size of an attack",
			lines: []string{`{"jobId":"j","runId":"r"}`, `{"jobId":"` + long + `","runId":"` + long + `"}`, `{"jobId":"` + long + `"}`, `{}`, `{"jobId":"` + long + `",`, `text`},
			want:  []string{"j/r", "LONG/LONG", "LONG/", "j/r +jobId+runId", "/", "j/r"}},
		{name: "spelled with escapes, and twice",
			lines: []string{`{"job\u0049d":"a","runId":"r","run\u0049d":"s"}`, `{}`, `{"jobId":"b","jobId":7}`, `{"jobId":7,"jobId":"\u0062:*\"日"}`, `{}`},
			want:  []string{"a/s", "a/s +jobId+runId", "/", "b:*\"日/", "b:*\"日/ +jobId"}},
		{name: "invalid UTF-8",
			lines: []string{`text`, "{\"jobId\":\"\xff\"}", `{}`, "{\"job\xffId\":1}"},
			want:  []string{"\ufffd/", "\ufffd/", "\ufffd/ +jobId", "\ufffd/ +jobId"}},
		{name: "deeper down", job: "opt",
			lines: []string{`{"a":{"jobId":"x","runId":"x"}}`, `[{"jobId":"x"}]`, `"jobId"`},
			want:  []string{"opt/ +jobId", "opt/", "opt/"}},
		{name: "of options that need escapes", job: "\"\\\n\x00\xff日", run: "</>",
			lines: []string{`{}`, `text`, `{"_aws":1}`},
			want:  []string{"\"\\\n\x00\ufffd日/</> +jobId+runId", "\"\\\n\x00\ufffd日/</>", "\"\\\n\x00\ufffd日/</>"}},
		{name: "in parts", job: strings.Repeat("\x00", 1024),
			lines: []string{`{"shipper":1}`, `{"_aws":1,"jobId":"own","runId":"r"}`, strings.Repeat("x", maxEvent), `{"_aws":1,"jobId":"` + long + `"}`},
			want:  []string{strings.Repeat("\x00", 1024) + "/", "own/r", strings.Repeat("\x00", 1024) + "/r", strings.Repeat("\x00", 1024) + "/r", "/"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "in parts" {
				batch.Large(t)
			}
			shape := plainShape()
			shape.JobID, shape.RunID = c.job, c.run
			input := []byte(strings.Join(c.lines, "\n"))
			whole := ship(t, shape, input, regime{})
			whole.again(t, regime{read: func(int) int { return 1000 }, restart: func() bool { return true }})
			var got []string
			for _, m := range whole.messages {
				got = append(got, strings.ReplaceAll(ids(&m), long, "LONG"))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q\nwant %q", got, c.want)
			}
		})
	}
}

// A line that names no job waits, and changes nothing. Empty lines before it are done.
func TestWait(t *testing.T) {
	batch.Large(t)
	for _, c := range []struct {
		input string
		done  int64 // bytes before the first line that waits
		made  int
	}{
		{"text\n", 0, 0}, {"\n\ntext\n", 2, 0}, {"{}", 0, 0}, {"{\"jobId\":null}\ntext\n", 15, 1}, {strings.Repeat("x", maxLine), 0, 0},
	} {
		for _, how := range []string{"SetJob", "StopWaiting", "option"} {
			shape := plainShape()
			want := "j/"
			if how == "option" {
				shape.JobID = "j"
			}
			s, err := batch.NewShaper(shape, batch.State{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			input := []byte(c.input)
			if how != "option" {
				s.Begin(input, 0, now, arrival, true)
				var ev batch.Event
				made := 0
				step := s.Next(&ev)
				for ; step == batch.Made; step = s.Next(&ev) {
					made++
				}
				if done := s.End(); step != batch.Wait || made != c.made || int64(done) != c.done || s.State().Counts.Bytes != c.done || s.State().Seq != int64(c.made) {
					t.Fatalf("%.30q: step %d after %d events and %d bytes: %+v", c.input, step, made, done, s.State())
				}
				input = input[c.done:]
				if how == "SetJob" {
					s.SetJob(`"j"`, false)
				} else {
					s.StopWaiting()
					want = "/"
				}
				s = again(t, shape, s) // the State keeps the decision
			} else {
				input = input[c.done:]
			}
			var pool batch.Pool
			b := batch.New(&pool)
			s.Begin(input, c.done, now, arrival, true)
			var ev batch.Event
			if step := s.Next(&ev); step != batch.Made || !b.Add(&ev, nil) {
				t.Fatalf("%.30q: step %d after %s", c.input, step, how)
			}
			got := message{restored: restore(t, b.Message(0))}
			if got := fmt.Sprintf("%s/%s", got.JobID, got.RunID); got != want && c.made == 0 {
				t.Errorf("%.30q: %s after %s, want %s", c.input, got, how, want)
			}
			b.Release()
		}
	}
}

func restore(t rapid.TB, message []byte) batch.Restored {
	t.Helper()
	r, err := batch.Restore(message)
	if err != nil {
		t.Fatalf("%v: %.300q", err, message)
	}
	return r
}

// again returns a Shaper that continues from the State that the cursor keeps of another.
func again(t testing.TB, shape batch.Shape, s *batch.Shaper) *batch.Shaper {
	t.Helper()
	d := &driver{t: t, shaper: s, out: shipment{shape: shape}}
	d.restart()
	return d.shaper
}

func TestFirstJob(t *testing.T) {
	batch.Large(t)
	long := strings.Repeat("x", 1100)
	for _, c := range []struct {
		name, data string
		final      bool
		job        string
		looked     int
	}{
		{"nothing", "", true, "", 0},
		{"at once", `{"jobId":"j"}` + "\n", false, `"j"`, 0},
		{"a run", `{"jobId":7,"runId":"x"}` + "\n" + `{"runId":"r"}` + "\n" + `{"jobId":"j"}`, true, `"r"`, 24},
		{"both", `{"runId":"r","jobId":"j"}` + "\n", true, `"j"`, 0},
		{"behind a byte order mark", "\ufeff" + `{"jobId":"j"}` + "\n", true, `"j"`, 0},
		{"behind others", "text\n\n{}\n" + `{"a":1,"jobId":"j:\u0041"}` + "\n{}\n", false, `"j:\u0041"`, 9},
		{"in a line that has no end yet", "text\n" + `{"jobId":"j"}`, false, "", 5},
		{"in the last line, without a newline", "text\n" + `{"jobId":"j"}`, true, `"j"`, 5},
		{"in a line cut short", `{"jobId":"j","a":`, true, `"j"`, 0},
		{"no string, empty, too long", `{"jobId":7}` + "\n" + `{"jobId":""}` + "\n" + `{"jobId":"` + long + "\"}\ntext\n", true, "", 12 + 13 + 12 + 1100 + 1 + 5},
		{"invalid UTF-8", "{\"jobId\":\"a\xff\"}\n", false, "\"a\ufffd\"", 0},
		{"too long once it is UTF-8", "{\"jobId\":\"" + strings.Repeat("\xff", 400) + "\"}\n", false, "", 413},
		{"at the beginning of a line without end", `{"jobId":"j","a":"` + strings.Repeat("x", maxLine), false, `"j"`, 0},
		{"nowhere in a line without end", strings.Repeat("x", maxLine), false, "", maxLine},
		{"not yet", strings.Repeat("x", maxLine-1), false, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			job, isRun, looked := batch.FirstJob([]byte(c.data), c.final)
			if job != c.job || looked != c.looked || isRun != (job == `"r"`) {
				t.Errorf("FirstJob = %q, isRun %v, looked %d; want %q, looked %d", job, isRun, looked, c.job, c.looked)
			}
		})
	}
}
