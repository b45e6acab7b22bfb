package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/readback"
	"perstack-shipper/shipper/readback/readbacktest"
)

// heldLines are the lines in the only stream of a log group, "job".
type heldLines [][]byte

// group returns the log group, with the lines as the shipper puts them.
func (h heldLines) group() readback.Source {
	var events []cloudwatch.Event
	for i, line := range h {
		message := fmt.Sprintf(`{"shipper":{"input":"abcdefgh","seq":%d,"text":true},"type":"text","jobId":"job","message":%s}`, i+1, jsonOf(string(line)))
		if json.Valid(line) && bytes.HasPrefix(line, []byte(`{"`)) {
			message = fmt.Sprintf(`{"shipper":{"input":"abcdefgh","seq":%d},%s`, i+1, line[1:])
		}
		events = append(events, cloudwatch.Event{Stream: "job", Time: int64(i), Message: message})
	}
	return readbacktest.Held{"job": events}
}

func jsonOf(value any) string {
	b, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func (h heldLines) restore(dir string, o RestoreOptions) (Restored, error) {
	o.Dir = dir
	return Restore(context.Background(), h.group(), readback.Query{Job: "job", Streams: []string{"job"}}, o)
}

// filesIn returns the contents of all files below dir, by name.
func filesIn(t interface{ Fatal(...any) }, dir string) map[string]string {
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if text, ok := got[name]; !ok {
			t.Errorf("%s does not exist", name)
		} else if text != want[name] {
			t.Errorf("%s has %d bytes, want %d: %.200q", name, len(text), len(want[name]), text)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s exists, but should not", name)
		}
	}
}

const (
	firstCheckpoint = `{"id":"c1","jobId":"job","runId":"r","expert":{"key":"solo"},"stepNumber":1,  "status":"proceeding","n":1.50,"text":"\u00e9\/","usage":{"totalTokens":12}}`
	lastCheckpoint  = `{"id":"c2","runId":"r","stepNumber":2,"status":"completed"}`
)

var someLines = heldLines{
	[]byte(`{"type":"initializeRuntime","timestamp":1,"jobId":"job","runId":"r"}`),
	[]byte(`{"type":"startRun","timestamp":2,"jobId":"job","runId":"r","stepNumber":1,"initialCheckpoint":{"id":"c0"}}`),
	[]byte(`{"type":"continueToNextStep","timestamp":3,"jobId":"job","runId":"r","stepNumber":1,"checkpoint": ` + firstCheckpoint + `,"nextCheckpoint":{"id":"c9"}}`),
	[]byte(`{"type":"streamRunResult","timestamp":4,"jobId":"job","runId":"r","stepNumber":2,"delta":"a"}`),
	[]byte(`{"type":"streamRunResult","timestamp":4,"jobId":"job","runId":"r","stepNumber":2,"delta":"b"}`),
	[]byte(`npm warn`),
	[]byte(`{"type":"completeRun","timestamp":5,"jobId":"job","runId":"r","stepNumber":2,"checkpoint":` + lastCheckpoint + `}`),
}

// someFiles are the files that Perstack would have written: the original bytes of each checkpoint,
// no initialCheckpoint or nextCheckpoint, only events with a step, and the last of several events
// with the same name.
var someFiles = map[string]string{
	"perstack/jobs/job/checkpoints/c1.json":                      firstCheckpoint,
	"perstack/jobs/job/checkpoints/c2.json":                      lastCheckpoint,
	"perstack/jobs/job/runs/r/event-2-1-startRun.json":           string(someLines[1]),
	"perstack/jobs/job/runs/r/event-3-1-continueToNextStep.json": string(someLines[2]),
	"perstack/jobs/job/runs/r/event-4-2-streamRunResult.json":    string(someLines[4]),
	"perstack/jobs/job/runs/r/event-5-2-completeRun.json":        string(someLines[6]),
}

func TestRestore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "workspace")
	for range 2 { // the second time changes nothing
		done, err := someLines.restore(dir, RestoreOptions{})
		if err != nil || !done.Complete() || done.Checkpoints != 2 || done.Events != 4 {
			t.Fatalf("%+v, %v", done, err)
		}
		same(t, filesIn(t, dir), someFiles)
	}
	dir = t.TempDir()
	if done, err := someLines.restore(dir, RestoreOptions{Checkpoint: "c2"}); err != nil || done.Checkpoints != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	same(t, filesIn(t, dir), map[string]string{"perstack/jobs/job/checkpoints/c2.json": lastCheckpoint})
	dir = filepath.Join(t.TempDir(), "new")
	if _, err := someLines.restore(dir, RestoreOptions{Checkpoint: "c0"}); err != ErrNoCheckpoint {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder was created although nothing was restored: %v", err)
	}
}

// Without Force, existing files stay as they are, and nothing is restored.
func TestRestoreOverFiles(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "perstack/jobs/job/checkpoints/c2.json")
	if err := errors.Join(os.MkdirAll(filepath.Dir(mine), 0o700), os.WriteFile(mine, []byte("mine"), 0o600)); err != nil {
		t.Fatal(err)
	}
	_, err := someLines.restore(dir, RestoreOptions{})
	if err == nil || !strings.Contains(err.Error(), "c2.json already exists and differs: nothing was changed;") {
		t.Errorf("error %v", err)
	}
	same(t, filesIn(t, dir), map[string]string{"perstack/jobs/job/checkpoints/c2.json": "mine"})
	if _, err := someLines.restore(dir, RestoreOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	same(t, filesIn(t, dir), someFiles)
}

// If Restore fails half-way, everything is as it was before.
func TestRestoreIsUndone(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "perstack/jobs/job/checkpoints/c1.json")
	if err := errors.Join(os.MkdirAll(filepath.Dir(mine), 0o700), os.WriteFile(mine, []byte("mine"), 0o600)); err != nil {
		t.Fatal(err)
	}
	before := map[string]string{"perstack/jobs/job/checkpoints/c1.json": "mine", "perstack/jobs/job/runs": "a file"}
	if err := os.WriteFile(filepath.Join(dir, "perstack/jobs/job/runs"), []byte("a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := someLines.restore(dir, RestoreOptions{Force: true})
	if err == nil || !strings.Contains(err.Error(), "nothing was restored") {
		t.Errorf("error %v", err)
	}
	same(t, filesIn(t, dir), before)
}

// Restore does not follow a link out of the workspace.
func TestRestoreFollowsNoLinkOut(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "perstack")); err != nil {
		t.Fatal(err)
	}
	if done, err := someLines.restore(dir, RestoreOptions{Force: true}); err == nil {
		t.Errorf("restored %+v through a link", done)
	}
	same(t, filesIn(t, outside), nil)
	if got, err := os.ReadDir(dir); err != nil || len(got) != 1 {
		t.Errorf("%d entries in the workspace, want only the link; %v", len(got), err)
	}
}

// A line that ends in the middle of an event is counted, and everything else is restored.
func TestRestoreCutLine(t *testing.T) {
	dir := t.TempDir()
	lines := append(slices.Clone(someLines), []byte(`{"type":"continueToNextStep","timestamp":6,"jobId":"job","runId":"r","stepNumber":3,"checkpoint":{"id":"c3","mess`))
	done, err := lines.restore(dir, RestoreOptions{})
	if err != nil || done.Cut != 1 || done.Complete() {
		t.Errorf("%+v, %v", done, err)
	}
	same(t, filesIn(t, dir), someFiles)
}

// hostileID generates ids, some of which try to lead out of a folder.
func hostileID() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{
			"..", ".", "", "../x", "/etc/passwd", "a/../../b", `..\x`, "a\x00b", strings.Repeat("x", 256), strings.Repeat("é", 128), "\u202e", "con", "c1", "r",
			"-rf", " ", "\n", "\x1b[2J", "runs", "checkpoints", ".perstack-shipper-restore-1", "日本",
		}),
		rapid.String(),
	)
}

// Whatever ids an agent writes, all files are inside the job's folder, and nothing else is left
// behind.
func TestHostileIDsStayInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parent, err := os.MkdirTemp("", "restore")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(parent)
		var lines heldLines
		files := 0
		for range rapid.IntRange(1, 8).Draw(t, "lines") {
			id := hostileID()
			line := map[string]any{"jobId": "job", "type": id.Draw(t, "type"), "runId": id.Draw(t, "run")}
			for _, name := range []string{"timestamp", "stepNumber"} {
				line[name] = rapid.OneOf(rapid.Just[any](7), rapid.Just[any](1e300), rapid.Just[any](-1), rapid.Map(id, func(s string) any { return s })).Draw(t, name)
			}
			if rapid.Bool().Draw(t, "checkpoint") {
				line["checkpoint"] = map[string]any{"id": id.Draw(t, "id")}
				files++
			}
			files++
			lines = append(lines, []byte(jsonOf(line)))
		}
		dir := filepath.Join(parent, "a", "b", "workspace")
		done, err := lines.restore(dir, RestoreOptions{})
		if err != nil {
			t.Fatalf("%v\n%s", err, bytes.Join(lines, []byte("\n")))
		}
		got := filesIn(t, parent)
		for name := range got {
			parts := strings.Split(name, "/")
			inside := len(parts) == 8 && parts[6] == "checkpoints" || len(parts) == 9 && parts[6] == "runs"
			if !strings.HasPrefix(name, "a/b/workspace/perstack/jobs/job/") || !inside {
				t.Fatalf("a file is outside the job's folder: %q", name)
			}
		}
		if n := done.Checkpoints + done.Events; n != len(got) || int(done.Refuses)+n > files || int(done.Refuses) != len(done.Refused) {
			t.Fatalf("%d files exist, of at most %d, but Restore reports %+v", len(got), files, done)
		}
	})
}

// A job whose id cannot be the name of a folder is refused.
func TestRestoreHostileJob(t *testing.T) {
	for _, job := range []string{"..", "a/b", "x\x00", strings.Repeat("x", 256)} {
		dir := t.TempDir()
		_, err := Restore(context.Background(), someLines.group(), readback.Query{Job: job, Streams: []string{"job"}}, RestoreOptions{Dir: dir})
		if err == nil || !strings.Contains(err.Error(), "no folder can be named after it") {
			t.Errorf("%q: %v", job, err)
		}
		same(t, filesIn(t, dir), nil)
	}
}

func TestCheckpoints(t *testing.T) {
	list, err := Checkpoints(context.Background(), someLines.group(), readback.Query{Job: "job", Streams: []string{"job"}})
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	want := Checkpoint{ID: "c1", Run: "r", Expert: "solo", Status: "proceeding", Step: 1, Time: 2, Tokens: 12, Size: int64(len(firstCheckpoint))}
	if list[0] != want || list[1].ID != "c2" {
		t.Errorf("%+v, want %+v", list, want)
	}
	list[0].Expert = "\x1b[2J"
	var b bytes.Buffer
	if err := WriteCheckpoints(&b, list); err != nil || strings.Contains(b.String(), "\x1b") || !strings.Contains(b.String(), `\x1b[2J`) {
		t.Errorf("%v\n%q", err, b.String())
	}
}
