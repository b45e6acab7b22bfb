package follow

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/testkit/await"
)

func newSet(t *testing.T, paths ...string) (*Set, *journal.Folder) {
	t.Helper()
	folder, err := journal.Open(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{Paths: paths, Wait: true, Reading: context.Background(), Folder: folder, About: about})
	if err != nil {
		t.Fatal(err)
	}
	return s, folder
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// If the file system does not report changes, the Set polls.
func TestWithoutTheKernelsHelp(t *testing.T) {
	dir := t.TempDir()
	s, _ := newSet(t, dir, filepath.Join(dir, "none", "late"))
	s.watch.close()
	s.watch = &watcher{}
	stop, stopNow := context.WithCancel(context.Background())
	defer stopNow()
	found := make(chan *Input, 2)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(stop, context.Background(), func(in *Input) bool {
			found <- in
			return true
		})
	}()
	write(t, filepath.Join(dir, "run.log"), "a line\n")
	in := await.Receive(t, "the file is found", found)
	if in.Path != filepath.Join(dir, "run.log") {
		t.Errorf("found %s", in.Path)
	}
	defer in.Journal.Close()
	stopNow()
	await.Receive(t, "the end of Run", ended)
	if len(s.Failed()) > 0 {
		t.Error(s.Failed())
	}
}

// An input that is found when nobody takes it any more waits for the next start.
func TestNobodyReceives(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "run.log"), "a line\n")
	s, folder := newSet(t, dir)
	alive, dead := context.WithCancel(context.Background())
	s.Run(context.Background(), alive, func(*Input) bool {
		dead()
		return false
	})
	left, err := folder.Leftover()
	if err != nil || len(left) != 1 || left[0].Holder != 0 || left[0].Unacked != 7 {
		t.Errorf("%+v, %v", left, err)
	}
}

// An input whose file is gone is given up, unless the whole folder is gone with it.
func TestForget(t *testing.T) {
	for _, c := range []struct {
		name string
		gone func(dir string) error
		acks int64
		said string
		lost bool
		kept int
	}{
		{"folder gone", os.RemoveAll, 14, "does not exist", false, 1},
		{"file gone", func(dir string) error { return os.Remove(filepath.Join(dir, "run.log")) }, 14, "all that was seen of it was shipped", false, 0},
		{"bytes lost", func(dir string) error { return os.Remove(filepath.Join(dir, "run.log")) }, 7, "at least 7 bytes", true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "events")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "run.log")
			write(t, path, "a line\nb line\n")
			s, folder := newSet(t, path)
			j := s.Found()[0].Journal
			if _, err := j.ReadAt(make([]byte, 20), 0); err != nil {
				t.Fatal(err)
			}
			if err := j.Ack(journal.Cursor{Offset: c.acks}); err != nil {
				t.Fatal(err)
			}
			j.Close()
			s.close()
			if err := c.gone(dir); err != nil {
				t.Fatal(err)
			}
			said, lost, err := Forget(folder, j.ID(), path)
			if err != nil || lost != c.lost || !strings.Contains(said, c.said) || !strings.Contains(said, path) {
				t.Errorf("%q, %v, %v", said, lost, err)
			}
			if left, err := folder.Leftover(); err != nil || len(left) != c.kept {
				t.Errorf("%+v, %v", left, err)
			}
		})
	}
}

func TestMatches(t *testing.T) {
	for name, want := range map[string]bool{"a.log": true, "a.jsonl": true, ".log": true, "a.log.1": false, "a.json": false, "log": false, "a.LOG": false} {
		if matches(name) != want {
			t.Errorf("matches(%q) = %v", name, !want)
		}
	}
}

// A process in another container may share the folder and have the same process id. Its inputs are
// not taken for inputs of this process, which would be released soon.
func TestHeldInAnotherContainer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	write(t, path, "a\n")
	s, folder := newSet(t, path)
	defer s.close()
	for _, in := range s.Found() {
		defer in.Journal.Close()
	}
	known := func(folder *journal.Folder) (all []Known) {
		left, err := folder.Leftover()
		if err != nil || len(left) != 1 {
			t.Fatal(left, err)
		}
		return []Known{{Left: left[0], Mine: true}}
	}
	other, err := journal.Open(folder.Path())
	if err != nil {
		t.Fatal(err)
	}
	for folder, own := range map[*journal.Folder]bool{folder: true, other: false} {
		next, err := New(Options{Paths: []string{path}, Reading: context.Background(), Folder: folder, Known: known(folder), About: about})
		held, is := errors.AsType[*journal.HeldError](err)
		switch {
		case own && err != nil:
			t.Error(err)
		case own:
			next.close()
		case !is || held.HeldHere || held.Pid != os.Getpid():
			t.Errorf("New with a folder that holds the input: %v, error %v", own, err)
		}
	}
}

// If the journal's folder is gone, files are not parked: their cursors are only in this process, so
// what comes of the files later would not be shipped.
func TestNothingIsParkedInMemory(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.log"), "a\n")
	folder, err := journal.Open(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{Paths: []string{dir}, Reading: context.Background(), Folder: folder, About: about, most: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := os.RemoveAll(folder.Path()); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "b.log"), "b\n")
	look := func(after time.Duration) (found []*Input) {
		t.Helper()
		if err := s.look(time.Now().Add(after)); err != nil {
			t.Fatal(err)
		}
		found = s.Found()
		for _, in := range found {
			t.Cleanup(func() { in.Journal.Close() })
		}
		return found
	}
	inputs := append(look(0), look(0)...)
	if len(inputs) != 2 {
		t.Skipf("NOT TESTED: %d inputs, because there is no memory to keep one in", len(inputs))
	}
	write(t, filepath.Join(dir, "c.log"), "c\n")
	inputs = append(inputs, look(0)...)
	write(t, filepath.Join(dir, "d.log"), "d\n") // as many files are followed as may be
	look(2 * s.o.Patience.Park)
	for _, in := range inputs {
		if in.Journal.Ended() {
			t.Errorf("%s was parked", in.Path)
		}
	}
}
