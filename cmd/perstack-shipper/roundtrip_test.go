package main

// This file pipes the output of real runs into the program, with the program's own endpoint, reads
// it back with logs, and compares. moto_test.go does the same with an endpoint by others.

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/testkit"
)

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	newLocalWorld(t).roundTrips(t)
}

// roundTrips ships every recording, and some input that no recording has.
func (w *world) roundTrips(t *testing.T) {
	for name, path := range recordings(t) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) { w.in(t).roundTrip("/perstack/"+name, data) })
	}
	t.Run("large", func(t *testing.T) { w.in(t).roundTrip("/perstack/large", largeRun()) })
	t.Run("parallel runs", func(t *testing.T) { w.in(t).parallelRuns() })
	t.Run("streaming", func(t *testing.T) { w.in(t).streaming() })
	t.Run("job id", func(t *testing.T) { w.in(t).oddJobID() })
	t.Run("half line", func(t *testing.T) { w.in(t).halfLine() })
	t.Run("two processes", func(t *testing.T) { w.in(t).twoProcesses() })
	t.Run("garbage", func(t *testing.T) { w.in(t).garbage() })
}

// jobID finds the first jobId in an agent's output, and runID the first runId.
var (
	jobID = regexp.MustCompile(`(?m)^\{"type":"[^"]*",.*?"jobId":"([^"]*)"`)
	runID = regexp.MustCompile(`(?m)^\{"type":"[^"]*",.*?"runId":"([^"]*)"`)
)

// roundTrip ships data into a group of its own, reads it back, compares byte for byte, and checks
// each event.
func (w *world) roundTrip(group string, data []byte) {
	w.T.Helper()
	lines := nonEmpty(data)
	said := w.ship(data, "--log-group", group)
	for _, want := range []string{`"streamCount":1,`, `"repeats":0,"rejected":0,`} {
		if !strings.Contains(said, want) {
			w.T.Errorf("the summary is %s, without %s", said, want)
		}
	}

	streams := w.StreamsOf(group)
	if len(streams) != 1 {
		w.T.Fatalf("the streams are %q, want one", streams)
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
		w.T.Errorf("lines without a job went to the stream %q", streams[0])
	}
	if back := w.logs(append(selection, "--log-group", group)...); !bytes.Equal(back, data) {
		w.T.Errorf("read back: %s", difference(back, data))
	}

	in := w.onlyInput(group)
	w.checkRecords(group, in, data, streams)
	if in.Last != int64(len(lines)) {
		w.T.Fatalf("%d lines are stored, want %d", in.Last, len(lines))
	}
	for i, line := range lines {
		events, whole := in.Events(int64(i + 1))
		if !whole {
			w.T.Fatalf("line %d is not all there", i+1)
		}
		checkLine(w.T, i+1, line, events, job)
	}
}

// onlyInput returns the input of a group that has one. Each of its events must be there once.
func (w *world) onlyInput(group string) *testkit.Input {
	w.T.Helper()
	inputs := w.GatheredFrom(group).Sorted()
	if len(inputs) != 1 || len(inputs[0].ID) != 8 || inputs[0].Repeats > 0 {
		w.T.Fatalf("the group has %d inputs, want one without repeats: %.200v", len(inputs), slices.Collect(maps.Keys(w.GatheredFrom(group))))
	}
	return inputs[0]
}

// checkRecords checks the shipper's own records of an input that has one stream.
func (w *world) checkRecords(group string, in *testkit.Input, data []byte, streams []string) {
	w.T.Helper()
	records := map[string]int{}
	for _, e := range w.EventsOf(group, streams[0]) {
		r, err := batch.Restore([]byte(e.Message))
		if err != nil {
			w.T.Fatal(err)
		}
		if r.Record != "" {
			records[r.Record+" of type "+r.Type]++
		}
	}
	if want := map[string]int{"open of type shipper.open": 1, "seal of type shipper.seal": 1}; !maps.Equal(records, want) {
		w.T.Fatalf("the records are %v, want %v", records, want)
	}
	parts := int64(0)
	for place := range in.Lines {
		if place.Part > 0 {
			parts++
		}
	}
	count, digest := int64(len(nonEmpty(data))), digestOf(data)
	seal, _ := in.Seal()
	if !seal.Ended || seal.Lines != count || seal.LastSeq != count || seal.Bytes != int64(len(data)) || seal.Parts != parts ||
		len(seal.Rejected) > 0 || !slices.Equal(seal.Streams, streams) || seal.SHA256 != digest {
		w.T.Errorf("the seal of %d bytes in %d lines and %d parts, with the digest %s, is %s", len(data), count, parts, digest, seal.Message)
	}
}

// digestOf returns the SHA-256 of data's lines as a seal has it.
func digestOf(data []byte) string {
	digest := sha256.New()
	for _, line := range nonEmpty(data) {
		digest.Write(append(bytes.ToValidUTF8(line, []byte("\uFFFD")), '\n'))
	}
	return hex.EncodeToString(digest.Sum(nil))
}

// checkLine checks the events of a line, which are one or its parts.
func checkLine(t testing.TB, seq int, line []byte, events []testkit.Event, job string) {
	t.Helper()
	var original struct {
		Type, JobID, RunID string
		Timestamp          *int64
	}
	isObject := line[0] == '{' && json.Unmarshal(line, &original) == nil
	var joined strings.Builder
	for i, e := range events {
		var says struct {
			Shipper struct {
				Last, Text bool
				At         *int64
			}
			Type, JobID, RunID, Message, Data string
		}
		if err := json.Unmarshal([]byte(e.Message), &says); err != nil {
			t.Fatalf("line %d: an event is not JSON: %v\n%.300s", seq, err, e.Message)
		}
		if len(e.Message) > batch.MaxEventBytes {
			t.Errorf("line %d: an event of %d bytes", seq, len(e.Message))
		}
		if says.JobID != job && job != "" {
			t.Errorf("line %d: its job is %q, want %q", seq, says.JobID, job)
		}
		if isObject && (says.Type != original.Type || says.RunID != original.RunID) {
			t.Errorf("line %d: type %q and run %q, want %q and %q", seq, says.Type, says.RunID, original.Type, original.RunID)
		}
		if !isObject && (says.Type != "text" || !says.Shipper.Text) {
			t.Errorf("line %d is no JSON object, and its event is not of type text: %.200s", seq, e.Message)
		}
		// CloudWatch would refuse an old time by now. The event then names it in its shipper
		// member.
		if own := original.Timestamp; isObject && own != nil {
			at := says.Shipper.At
			clamped := at != nil && *at == *own && time.Since(time.UnixMilli(*own)) > 13*24*time.Hour
			if e.Time != *own && !clamped {
				t.Errorf("line %d: its time is %d, want %d", seq, e.Time, *own)
			}
		}
		if last := i == len(events)-1; e.Part > 0 && says.Shipper.Last != last {
			t.Errorf("line %d: part %d of %d has last %v", seq, e.Part, len(events), says.Shipper.Last)
		}
		joined.WriteString(says.Data)
		if e.Part > 0 {
			continue
		}
		if !isObject {
			if want := string(bytes.ToValidUTF8(line, []byte("\uFFFD"))); says.Message != want {
				t.Errorf("line %d has the message %q, want %q", seq, says.Message, want)
			}
			continue
		}
		_, rest, _ := strings.Cut(e.Message, "},")
		if original.JobID == "" {
			rest = strings.TrimPrefix(rest, fmt.Sprintf(`"jobId":%q,`, job))
		}
		if "{"+rest != string(line) {
			t.Errorf("line %d differs after its shipper member: %.300s", seq, e.Message)
		}
	}
	if events[0].Part > 0 && joined.String() != string(line) {
		t.Errorf("line %d: its parts do not add up to the line: %s", seq, difference([]byte(joined.String()), line))
	}
}

// largeRun has lines of up to 2.5 MB, as from an agent that reads large files.
func largeRun() []byte {
	var b bytes.Buffer
	for i, size := range []int{100, batch.MaxEventBytes - 200, batch.MaxEventBytes, 1_678_209, 2_500_000} {
		text := strings.Repeat(`日本 \"quoted\" é\n `, size/20+1)
		fmt.Fprintf(&b, `{"type":"continueToNextStep","id":"%d","timestamp":1795347082176,"jobId":"large","runId":"r","text":"%s"}`+"\n", i, text)
	}
	return b.Bytes()
}

// parallelRuns ships a run of five Experts at once, whose lines alternate. The job reads back as it
// was, and so does each run.
func (w *world) parallelRuns() {
	t, data := w.T, w.recording("delegate-parallel.jsonl")
	const group, job = "/perstack/parallel", "rg5xjsjyitoxtwsf2dwjccga"
	w.ship(data, "--log-group", group)
	lines := bytes.SplitAfter(data, []byte("\n"))
	runs, turns, before := map[string][]byte{}, 0, ""
	for _, line := range lines[:len(lines)-1] {
		_, id, _ := strings.Cut(string(line), `"runId":"`)
		id, _, _ = strings.Cut(id, `"`)
		runs[id] = append(runs[id], line...)
		if id != before {
			turns++
		}
		before = id
	}
	if len(runs) != 5 || turns < 100 {
		t.Fatalf("%d runs in %d turns: this is not the recording of parallel runs", len(runs), turns)
	}
	for id, want := range runs {
		if back := w.logs("--log-group", group, "--job", job, "--run", id); !bytes.Equal(back, want) {
			t.Errorf("run %s: %s", id, difference(back, want))
		}
	}
}

// streaming ships deltas, whose times go back, so CloudWatch reads them in another order than they
// were written. seq keeps that order.
func (w *world) streaming() {
	t, data := w.T, w.recording("streaming.jsonl")
	const group, job = "/perstack/streaming", "cpjye1ellnp72izz20krse8x"
	w.ship(data, "--log-group", group)
	w.onlyInput(group)
	moved, clamped, next := 0, false, int64(1)
	for _, e := range w.EventsOf(group, job) {
		r, err := batch.Restore([]byte(e.Message))
		if err != nil {
			t.Fatal(err)
		}
		if r.Record != "" {
			continue
		}
		if r.Seq != next {
			moved++
		}
		clamped = clamped || r.At != 0
		next++
	}
	if moved == 0 && !clamped {
		t.Error("CloudWatch reads the events in the order in which they were written, so this test shows nothing")
	}
	if back := w.logs("--log-group", group, "--job", job); !bytes.Equal(back, data) {
		t.Errorf("%d events are out of order, and logs does not put them right: %s", moved, difference(back, data))
	}
}

// oddJobID ships a job whose id has characters that CloudWatch refuses in the name of a stream. The
// job is still found by its own id.
func (w *world) oddJobID() {
	t, want := w.T, w.recording("jobid.jsonl")
	const group = "/perstack/job-id"
	w.ship(want, "--log-group", group)
	if got := w.StreamsOf(group); !slices.Equal(got, []string{"nightly-build-42/日本"}) {
		t.Errorf("the streams are %q", got)
	}
	// Another job gets the same name.
	w.ship([]byte(`{"type":"startRun","jobId":"nightly-build-42/日本"}`+"\n"), "--log-group", group)
	if back := w.logs("--log-group", group, "--job", "nightly:build*42/日本"); !bytes.Equal(back, want) {
		t.Error(difference(back, want))
	}
}

// halfLine ships the output of an agent that was killed in the middle of a line. The half that it
// wrote is shipped.
func (w *world) halfLine() {
	t, data := w.T, w.recording("throw-truncated.jsonl")
	lines := nonEmpty(data)
	half := lines[len(lines)-1]
	w.ship(data, "--log-group", "/perstack/half-line")
	in := w.onlyInput("/perstack/half-line")
	events, _ := in.Events(in.Last)
	var text []byte
	for _, e := range events {
		text = append(text, e.Line...)
	}
	if end := events[len(events)-1]; !bytes.Equal(text, half) || !end.Text || !end.NoNewline {
		t.Errorf("the half line of %d bytes became %d events: %.300s", len(half), len(events), end.Message)
	}
}

// twoProcesses ships a job that continued in another process. It reads back as one.
func (w *world) twoProcesses() {
	const group, job = "/perstack/continued", "bymrmt1v84gwq45he1jnjc76"
	first := w.recording("interactive.jsonl")
	second := w.recording("interactive-continue.jsonl")
	w.ship(first, "--log-group", group)
	w.ship(second, "--log-group", group)
	if back, want := w.logs("--log-group", group, "--job", job), append(bytes.Clone(first), second...); !bytes.Equal(back, want) {
		w.T.Error(difference(back, want))
	}
}

// garbage ships random bytes. All that are UTF-8 come back.
func (w *world) garbage() {
	random := rand.NewChaCha8([32]byte{1})
	data := make([]byte, 300_000)
	if _, err := random.Read(data); err != nil {
		w.T.Fatal(err)
	}
	w.ship(data, "--log-group", "/perstack/garbage", "--job-id", "garbage")
	var want bytes.Buffer
	for _, r := range string(data) { // each byte that is not UTF-8 becomes one U+FFFD
		want.WriteRune(r)
	}
	if back := w.logs("--log-group", "/perstack/garbage", "--job", "garbage"); !bytes.Equal(back, want.Bytes()) {
		w.T.Errorf("%d bytes, want %d", len(back), want.Len())
	}
}
