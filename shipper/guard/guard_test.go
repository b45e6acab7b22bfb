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

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"perstack-shipper/shipper/child"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/testkit/await"
)

// writer returns a script that writes blocks of 64 KiB, at about 50 MB/s.
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

// start starts a shell script with this stdout.
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

// stopped reports whether a shell is stopped. A shell in the middle of a vfork is in state D until
// its stopped child goes on.
func stopped(t *testing.T, c *child.Child) bool {
	t.Helper()
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(c.Pid()) + "/stat")
	if err != nil {
		return false
	}
	_, behind, ok := strings.Cut(string(stat), ") ")
	if !ok {
		t.Fatalf("/proc/%d/stat is %q", c.Pid(), stat)
	}
	return behind[0] == 'T' || behind[0] == 'D'
}

func wantCode(t *testing.T, c *child.Child, code int) {
	t.Helper()
	await.Until(t, "the command ends", c.Ended)
	if got := c.Code(); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
}

// guarded starts a shell script whose stdout is a journal, and a guard that keeps it below limit.
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
		await.Return(t, "the end of the guard", running.Wait)
	})
	return c, j, logs
}

// A guard stops a command that writes faster than CloudWatch accepts before it reaches the limit,
// and continues it when there is room. Nothing is lost.
func TestGuardKeepsTheLimit(t *testing.T) {
	const limit, blocks = 16 << 20, 500
	c, j, logs := guarded(t, limit, writer(blocks))
	var read, most int64
	var stops int
	buf := make([]byte, 1<<20)
	for !c.Ended() || read < j.Size() {
		if !c.Ended() {
			await.Until(t, "the command is stopped or has ended", func() bool { return c.Stopped() && stopped(t, c) || c.Ended() })
		}
		if c.Stopped() {
			stops++
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
		await.Until(t, "the command goes on", func() bool { return !c.Stopped() || c.Ended() })
	}
	wantCode(t, c, 0)
	if want := int64(blocks*65536 + len("the end\n")); read != want {
		t.Errorf("read %d bytes of %d", read, want)
	}
	if most > limit || stops < 2 {
		t.Errorf("the output took %d bytes, limit %d; the command was stopped %d times, want 2", most, limit, stops)
	}
	t.Logf("stopped %d times; the output took at most %d bytes of %d", stops, most, limit)
	if n := logs.FilterMessageSnippet("the command is stopped (SIGSTOP)").Len(); n != logs.FilterMessageSnippet("the command goes on").Len() || n < 2 {
		t.Errorf("%d messages say that the command was stopped: %v", n, logs.All())
	}
}

// A stopped command that gets SIGTERM may use part of the margin for its last words.
func TestGuardLeavesRoomForTheEnd(t *testing.T) {
	c, j, _ := guarded(t, 16<<20, `trap 'echo last words; exit 4' TERM; while :; do head -c 65536 /dev/zero; done`)
	await.Until(t, "the command is stopped", func() bool { return c.Stopped() && stopped(t, c) })
	c.Signal(15)
	wantCode(t, c, 4)
	tail := make([]byte, 11)
	if n, err := j.ReadAt(tail, j.Size()-11); n != 11 || err != nil || string(tail) != "last words\n" {
		t.Errorf("the output ends with %q, %v", tail[:n], err)
	}
}

// The reserved bytes count as free, because they are for the command.
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
	command := child.New(child.Patience{}) // never started
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
		t.Errorf("room %d before the reservation, %d after it, %v", before, after, err)
	}
	if j.Ahead() < 512<<10 {
		t.Errorf("%d bytes are reserved, want 512 KiB", j.Ahead())
	}
	if err := os.Truncate(j.Path()+"/00000000000000000000.output", 0); err != nil { // the reservation goes with it
		t.Fatal(err)
	}
	if j.Size(); j.Ahead() != 0 {
		t.Errorf("%d bytes are still reserved after a truncation", j.Ahead())
	}

	g.o.Limit, g.bounded = 0, false
	if room, which, err := g.room(); err != nil || room == math.MaxInt64 || which != "the end of the disk at "+j.Path() {
		t.Errorf("without a limit: room %d below %s, %v", room, which, err)
	}
	if _, err := out.Write(make([]byte, 2<<20)); err != nil {
		t.Fatal(err)
	}
	if _, err := New(command, Options{Limit: 2<<20 + 512<<10, Log: zap.NewNop()}, j); !errors.Is(err, journal.ErrFull) {
		t.Errorf("New without enough room: %v, want ErrFull", err)
	}
}
