package guard

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"perstack-shipper/shipper/child"
	"perstack-shipper/shipper/journal"
)

// writer is a script that writes blocks of 64 KiB, at some 50 MB/s.
func writer(blocks int) string {
	return fmt.Sprintf(`n=0; while [ $n -lt %d ]; do head -c 65536 /dev/zero; n=$((n+1)); done; echo the end`, blocks)
}

func null(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// start starts a shell script that writes stdout.
func start(t *testing.T, script string, stdout *os.File) *child.Child {
	t.Helper()
	null := null(t)
	c := child.New(child.Patience{})
	t.Cleanup(c.Close)
	if err := c.Start("/bin/sh", []string{"sh", "-c", script}, null, stdout, null); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Signal(syscall.SIGKILL) })
	return c
}

// stopped reports whether a shell is stopped. One that is in the middle of a vfork waits for its
// stopped child first.
func stopped(t *testing.T, c *child.Child) bool {
	t.Helper()
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(c.Pid()) + "/stat")
	if err != nil {
		return false
	}
	_, behind, ok := strings.Cut(string(stat), ") ")
	if !ok {
		t.Fatalf("/proc says %q", stat)
	}
	return behind[0] == 'T' || behind[0] == 'D'
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never came to this: ", what)
		}
	}
}

func wantCode(t *testing.T, c *child.Child, code int) {
	t.Helper()
	until(t, "the command ends", c.Ended)
	if got := c.Code(); got != code {
		t.Errorf("code %d, want %d", got, code)
	}
}

// guarded starts a shell script whose stdout is a journal that a guard keeps below limit.
func guarded(t *testing.T, limit int64, script string) (*child.Child, *journal.Output, *observer.ObservedLogs) {
	t.Helper()
	folder, err := journal.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	j, out, err := folder.NewOutput("aaaaaaaa", nil, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	defer out.Close()
	if !j.PunchesHoles() {
		t.Skip("NOT TESTED: this file system punches no holes")
	}
	c := start(t, script, out)
	core, logs := observer.New(zap.InfoLevel)
	g, err := New(c, Options{Limit: limit, Log: zap.New(core)}, j)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { g.Run(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	return c, j, logs
}

// A command that writes faster than CloudWatch takes it is stopped before the limit is reached,
// goes on when there is room, and loses nothing.
func TestGuardKeepsTheLimit(t *testing.T) {
	const limit, blocks = 16 << 20, 800
	c, j, logs := guarded(t, limit, writer(blocks))
	var read, most int64
	var held int
	buf := make([]byte, 1<<20)
	for !c.Ended() || read < j.Size() {
		if !c.Ended() {
			until(t, "it is stopped, or done", func() bool { return c.Held() && stopped(t, c) || c.Ended() })
		}
		if c.Held() {
			held++
		}
		most = max(most, j.Allocated())
		for {
			n, err := j.ReadAt(buf, read)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
			read += int64(n)
			if err := j.Ack(journal.Cursor{Offset: read}); err != nil {
				t.Fatal(err)
			}
		}
		until(t, "it goes on", func() bool { return !c.Held() || c.Ended() })
	}
	wantCode(t, c, 0)
	if want := int64(blocks*65536 + len("the end\n")); read != want {
		t.Errorf("read %d bytes of %d", read, want)
	}
	if most > limit || held < 2 {
		t.Errorf("it took %d bytes of at most %d, and was stopped %d times", most, limit, held)
	}
	t.Logf("stopped %d times, took at most %d bytes of %d", held, most, limit)
	if n := logs.FilterMessageSnippet("the command is stopped (SIGSTOP)").Len(); n != logs.FilterMessageSnippet("the command goes on").Len() || n < 2 {
		t.Errorf("it was said %d times: %v", n, logs.All())
	}
}

// A stopped command that gets SIGTERM may use part of what was kept back for its last words.
func TestGuardLeavesRoomForTheEnd(t *testing.T) {
	c, j, _ := guarded(t, 16<<20, `trap 'echo last words; exit 4' TERM; while :; do head -c 65536 /dev/zero; done`)
	until(t, "it is stopped", func() bool { return c.Held() && stopped(t, c) })
	c.Signal(15)
	wantCode(t, c, 4)
	tail := make([]byte, 11)
	if n, err := j.ReadAt(tail, j.Size()-11); n != 11 || err != nil || string(tail) != "last words\n" {
		t.Errorf("%q, %v", tail[:n], err)
	}
}

// What is reserved is counted as free, for it is the command's.
func TestRoom(t *testing.T) {
	folder, err := journal.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	j, out, err := folder.NewOutput("aaaaaaaa", nil, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	defer out.Close()
	if _, err := out.Write(make([]byte, 2<<20)); err != nil {
		t.Fatal(err)
	}
	command := child.New(child.Patience{}) // is never started
	defer command.Close()
	g, err := New(command, Options{Limit: 16 << 20, Log: zap.NewNop()}, j)
	if err != nil {
		t.Fatal(err)
	}
	before, which, err := g.room()
	if !g.bounded {
		t.Skip("NOT TESTED: this file system punches no holes")
	}
	if err != nil || before > 14<<20 || before < 14<<20-64<<10 || which != "the limit of --journal-max" {
		t.Errorf("room %d below %s, %v", before, which, err)
	}
	g.reserve()
	if after, _, err := g.room(); err != nil || after < before-64<<10 {
		t.Errorf("reserving took room: %d, then %d, %v", before, after, err)
	}
	if j.Ahead() < 512<<10 {
		t.Errorf("reserved %d bytes ahead", j.Ahead())
	}
	if err := os.Truncate(j.Path()+"/00000000000000000000.output", 0); err != nil { // what was reserved goes with it
		t.Fatal(err)
	}
	if j.Size(); j.Ahead() != 0 {
		t.Errorf("%d bytes are reserved for an output that was truncated", j.Ahead())
	}

	g.o.Limit, g.bounded = 0, false
	if room, which, err := g.room(); err != nil || room == math.MaxInt64 || which != "the end of the disk at "+j.Path() {
		t.Errorf("without a limit: room %d below %s, %v", room, which, err)
	}
	if _, err := out.Write(make([]byte, 2<<20)); err != nil {
		t.Fatal(err)
	}
	if _, err := New(command, Options{Limit: 2<<20 + 512<<10, Log: zap.NewNop()}, j); !errors.Is(err, journal.ErrFull) {
		t.Errorf("a guard that has no room: %v", err)
	}
}
