package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// This file ships what real runs wrote, restores it from the endpoint alone, and compares with what
// the lines say and with what the runs themselves had left on their disks.

// restore restores a job into a new folder and returns the files, by their names below
// perstack/jobs/JOB. stderr is what the program said.
func (u *user) restore(group, job string) (files map[string]string, stderr string, err error) {
	u.t.Helper()
	dir := filepath.Join(u.t.TempDir(), "workspace")
	command := exec.CommandContext(u.t.Context(), program, "restore", "--log-group", group, "--job", job, "--into", dir)
	command.Env = u.env
	var said bytes.Buffer
	command.Stderr = &said
	err = command.Run()
	files = map[string]string{}
	if _, statErr := os.Stat(dir); statErr == nil {
		files = filesBelow(u.t, dir)
	}
	jobFiles := map[string]string{}
	for name, text := range files {
		inside, ok := strings.CutPrefix(name, "perstack/jobs/"+job+"/")
		if !ok {
			u.t.Errorf("a file is at %s", name)
		}
		jobFiles[inside] = text
	}
	return jobFiles, said.String(), err
}

func filesBelow(t *testing.T, dir string) map[string]string {
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

// filesOf are the files that lines say that a run leaves. cut says that one of them ends in the
// middle of an event.
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
	u := newLocalUser(t)
	for name, path := range recordings(t) {
		if strings.HasSuffix(name, ".stderr") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			u := u.in(t)
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
			u.ship(data, args...)
			got, said, err := u.restore(group, job)
			want, checkpoints, cut := filesOf(nonEmpty(data))
			switch {
			case strings.Contains(job, "/"):
				if exitOf(err) != exitFailure || !strings.Contains(said, "no folder can be named after it") {
					t.Errorf("%v\n%s", err, said)
				}
				want = map[string]string{}
			case cut != strings.Contains(said, "in the middle of an event"), exitOf(err) == exitOK != (checkpoints > 0 && !cut):
				t.Errorf("%d checkpoints, cut %t: %v\n%s", checkpoints, cut, err, said)
			}
			sameFiles(t, got, want)
		})
	}
}

// jobOf is the job that the lines name.
func jobOf(data []byte) string {
	found := jobID.FindSubmatch(data)
	if found == nil {
		return ""
	}
	return string(found[1])
}

func exitOf(err error) int {
	if exit, ok := err.(*exec.ExitError); ok {
		return exit.ExitCode()
	}
	return exitOK
}

// sameFiles compares the bytes of files, by their names.
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
			t.Errorf("%s should not be there", name)
		}
	}
}

// TestRestoreAsOnDisk compares with what the real Perstack left on disk, beside what it wrote to
// stdout.
func TestRestoreAsOnDisk(t *testing.T) {
	u := newLocalUser(t)
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
			u := u.in(t)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			group, job := "/on-disk/"+name, jobOf(data)
			u.ship(data, "--log-group", group)
			got, said, err := u.restore(group, job)
			if err != nil {
				t.Errorf("%v\n%s", err, said)
			}
			want := filesBelow(t, filepath.Join(strings.TrimSuffix(path, ".jsonl"), "perstack/jobs", job))
			// Perstack had torn two files of the delegate's run, which the folder leaves out; their
			// lines are whole.
			if torn := map[string]int{"delegate": 2}[name]; len(got) != len(want)+torn {
				t.Errorf("%d files are restored, and %d were on disk", len(got), len(want))
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
