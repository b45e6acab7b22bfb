package main

// This file ships the output of real runs, restores their files from the endpoint alone, and
// compares them with the lines and with the files that the runs left on their own disks.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// restore restores a job into a new folder and returns the files by their names below
// perstack/jobs/JOB, what the program printed on stderr, and its exit code.
func (w *world) restore(group, job string) (files map[string]string, stderr string, code int) {
	w.T.Helper()
	dir := filepath.Join(w.T.TempDir(), "workspace")
	_, stderr, code = w.output(w.command("restore", "--log-group", group, "--job", job, "--into", dir))
	files = map[string]string{}
	if _, err := os.Stat(dir); err != nil {
		return files, stderr, code
	}
	for name, text := range filesBelow(w.T, dir) {
		inside, ok := strings.CutPrefix(name, "perstack/jobs/"+job+"/")
		if !ok {
			w.T.Errorf("a file is outside the job's folder: %s", name)
		}
		files[inside] = text
	}
	return files, stderr, code
}

func filesBelow(t testing.TB, dir string) map[string]string {
	t.Helper()
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

// filesOf returns the files that the lines of a run describe. cut reports that one of the lines
// ends in the middle of an event.
func filesOf(lines [][]byte) (files map[string]string, checkpoints int, cut bool) {
	files = map[string]string{}
	for _, line := range lines {
		var event struct {
			Type, RunID string
			Timestamp   int64
			StepNumber  *int64
			Checkpoint  json.RawMessage
		}
		if json.Unmarshal(line, &event) != nil {
			cut = cut || bytes.HasPrefix(line, []byte(`{"type":`))
			continue
		}
		if event.Checkpoint != nil {
			var checkpoint struct{ ID string }
			if json.Unmarshal(event.Checkpoint, &checkpoint) == nil {
				files["checkpoints/"+checkpoint.ID+".json"] = string(event.Checkpoint)
				checkpoints++
			}
		}
		if event.StepNumber != nil {
			files[fmt.Sprintf("runs/%s/event-%d-%d-%s.json", event.RunID, event.Timestamp, *event.StepNumber, event.Type)] = string(line)
		}
	}
	return files, checkpoints, cut
}

func TestRestoreRecordings(t *testing.T) {
	t.Parallel()
	w := newLocalWorld(t)
	for name, path := range recordings(t) {
		if strings.HasSuffix(name, ".stderr") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			group, job := "/restore/"+name, jobOf(data)
			args := []string{"--log-group", group}
			if strings.HasPrefix(name, "old-") {
				job = "old"
				args = append(args, "--job-id", job)
			}
			w.ship(data, args...)
			got, said, code := w.restore(group, job)
			want, checkpoints, cut := filesOf(nonEmpty(data))
			switch {
			case strings.Contains(job, "/"):
				if code != exitFailure || !strings.Contains(said, "no folder can be named after it") {
					t.Errorf("exit code %d\n%s", code, said)
				}
				want = map[string]string{}
			case cut != strings.Contains(said, "in the middle of an event"), (code == exitOK) != (checkpoints > 0 && !cut):
				t.Errorf("%d checkpoints, cut %t: exit code %d\n%s", checkpoints, cut, code, said)
			}
			sameFiles(t, got, want)
		})
	}
}

// jobOf returns the first job that the lines name.
func jobOf(data []byte) string {
	found := jobID.FindSubmatch(data)
	if found == nil {
		return ""
	}
	return string(found[1])
}

// sameFiles compares files by their names and bytes.
func sameFiles(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, text := range want {
		if restored, ok := got[name]; !ok {
			t.Errorf("%s is not restored", name)
		} else if restored != text {
			t.Errorf("%s: %s", name, difference([]byte(restored), []byte(text)))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s should not exist", name)
		}
	}
}

// TestRestoreAsOnDisk compares restored files with those that the real Perstack left on disk,
// beside its output.
func TestRestoreAsOnDisk(t *testing.T) {
	t.Parallel()
	w := newLocalWorld(t)
	runs := map[string]string{}
	for _, folder := range []string{"testdata/perstack-folder", "../../../shared/perstack-folder"} {
		paths, err := filepath.Glob(folder + "/*.jsonl")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			runs[strings.TrimSuffix(filepath.Base(path), ".jsonl")] = path
		}
	}
	for name, path := range runs {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			group, job := "/on-disk/"+name, jobOf(data)
			w.ship(data, "--log-group", group)
			got, said, code := w.restore(group, job)
			if code != exitOK {
				t.Errorf("exit code %d\n%s", code, said)
			}
			want := filesBelow(t, filepath.Join(strings.TrimSuffix(path, ".jsonl"), "perstack/jobs", job))
			// Perstack itself damaged two files of the delegate's run, so the folder does not have
			// them. Their lines are whole.
			if torn := map[string]int{"delegate": 2}[name]; len(got) != len(want)+torn {
				t.Errorf("%d files are restored, and the run left %d on disk", len(got), len(want))
			}
			for name := range got {
				if _, ok := want[name]; !ok && strings.HasSuffix(name, "-streamRunResult.json") {
					delete(got, name)
				}
			}
			sameFiles(t, got, want)
		})
	}
}
