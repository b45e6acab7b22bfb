package status

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"perstack-shipper/shipper/journal"
)

// beat opens a journal folder and gives it a shipper's heartbeat that is this old.
func beat(t *testing.T, dir, host string, ago time.Duration) *journal.Heartbeat {
	t.Helper()
	folder, err := journal.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	h := folder.Heartbeat(host)
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	files, err := filepath.Glob(filepath.Join(dir, "alive-*-"+host))
	if err != nil || len(files) != 1 {
		t.Fatalf("heartbeats of %s: %q (%v)", host, files, err)
	}
	then := time.Now().Add(-ago)
	if err := os.Chtimes(files[0], then, then); err != nil {
		t.Fatal(err)
	}
	return h
}

func dead(t *testing.T, dir, host string) string {
	t.Helper()
	view, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return Dead(view, host, time.Now())
}

func TestAStuckLoopIsNotAlive(t *testing.T) {
	dir := t.TempDir()
	h := beat(t, dir, "a", time.Minute)
	if got := dead(t, dir, "a"); !strings.Contains(got, "has been stuck for 1m0s") {
		t.Errorf("Dead of a loop that was last alive a minute ago: %q", got)
	}
	h.Beat(time.Now().Add(journal.HeartbeatEvery)) // the loop goes on
	if got := dead(t, dir, "a"); got != "" {
		t.Errorf("Dead of a loop that is alive again: %q", got)
	}
}

// Hosts may share a folder. Each host reports on its own shipper, and a host without a shipper
// reports on all of them.
func TestEachHostAnswersForItsOwnShipper(t *testing.T) {
	dir := t.TempDir()
	beat(t, dir, "a", 0)
	beat(t, dir, "b", time.Minute)
	for host, want := range map[string]string{"a": "", "b": "stuck", "c": "stuck"} {
		if got := dead(t, dir, host); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("on host %s: %q, want %q", host, got, want)
		}
	}
}

func TestAHeartbeatOutlivesItsFile(t *testing.T) {
	dir := t.TempDir()
	h := beat(t, dir, "a", 0)
	files, _ := filepath.Glob(filepath.Join(dir, "alive-*"))
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	if got := dead(t, dir, "a"); !strings.Contains(got, "no shipper is running") {
		t.Errorf("Dead without a heartbeat: %q", got)
	}
	h.Beat(time.Now().Add(journal.HeartbeatEvery))
	if got := dead(t, dir, "a"); got != "" {
		t.Errorf("Dead after a new heartbeat: %q", got)
	}
}

func TestAnotherUsersFolder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: only root can make a folder of another user")
	}
	dir := t.TempDir()
	if _, err := journal.Open(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, 65532, 65532); err != nil {
		t.Fatal(err)
	}
	_, err := Open(dir)
	want := dir + " belongs to user 65532, and this process runs as user 0: run it as user 65532"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// Unhealthy needs little memory, however much is waiting.
func TestALookTakesLittleMemory(t *testing.T) {
	dir := t.TempDir()
	folder, err := journal.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	line := append(bytes.Repeat([]byte{'x'}, 7<<20), '\n')
	for range 10 {
		j, err := folder.NewPipe(journal.NewID(), nil, journal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		if _, err := j.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	view, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	sentences, err := Unhealthy(view, Limits{OlderThan: time.Hour}, time.Now())
	runtime.ReadMemStats(&after)
	if err != nil || len(sentences) > 0 {
		t.Fatal(sentences, err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 2<<20 {
		t.Errorf("Unhealthy allocates %d bytes for 10 inputs of 7 MiB", took)
	}
}
