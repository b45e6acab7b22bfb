//go:build linux

package chaos

// Processes under strace: killed in the very middle of what they do to the disk, at its n-th call,
// or with a disk that takes its time. Where there is no strace there are none, and that is said.

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// diskCalls are the system calls of the journal.
var diskCalls = []string{"splice", "pwrite64", "write", "renameat", "unlinkat", "mkdirat", "flock", "openat"}

// strace is the words before a command that do something to it at calls, as strace's -e inject
// says. By -D the command stays our own child, so that signals and exit codes are its own. Not
// --seccomp-bpf, which is faster and does not count.
func strace(calls, what string) []string {
	return []string{"strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + calls, "-e", "inject=" + calls + ":" + what}
}

func deadly(call string, n int) []string { return strace(call, fmt.Sprintf("signal=KILL:when=%d", n)) }

// traceable says why strace cannot be used here, or nil.
var traceable = sync.OnceValue(func() error {
	with := strace("openat", "delay_enter=1")
	return exec.Command(with[0], append(with[1:], binary, "version")...).Run()
})

// traced is what to put before a command, sometimes; kills: it will be the end of that.
func (o *options) traced(t testing.TB, rng *rand.Rand) (with []string, kills bool) {
	roll := rng.IntN(16)
	if roll >= 4 {
		return nil, false
	}
	if err := traceable(); err != nil {
		o.tally.once("strace", func() {
			t.Logf("SKIPPED: no kills at disk calls and no slow disks, for strace does not work here (%v)", err)
		})
		return nil, false
	}
	if roll == 0 {
		o.tally.add(func(y *tally) { y.slowDisks++ })
		return strace(strings.Join(diskCalls, ","), fmt.Sprintf("delay_enter=%d", 100+rng.IntN(3000))), false // µs
	}
	call := diskCalls[rng.IntN(len(diskCalls))]
	n := 1 + rng.IntN(10)
	if call == "openat" {
		n += 8 // the first are the Go runtime's and the SDK's
	}
	return deadly(call, n), true // the n-th of a thread
}

// TestKillAtEveryDiskCall kills a process at its first call of a kind, at its second and so on
// until it survives, and then another process, which ships what the first has left, in the same
// way. A last one must find all that was taken.
func TestKillAtEveryDiskCall(t *testing.T) {
	atEveryDiskCall(t, diskCalls, func(call string, n int) []string { return deadly(call, n) }, func(p *process) (more bool) { return p.killed })
}

// TestNoRoomAtEveryDiskCall has three calls in a row find no room, from the first of a kind on,
// from the second and so on until there are no more. The process may refuse to begin; what it takes
// it keeps, and what it says at its end is true.
func TestNoRoomAtEveryDiskCall(t *testing.T) {
	calls := []string{"splice", "pwrite64", "renameat", "mkdirat"}
	full := func(call string, n int) []string {
		return strace(call, fmt.Sprintf("error=ENOSPC:when=%d..%d", n, n+2))
	}
	atEveryDiskCall(t, calls, full, func(p *process) (more bool) { return bytes.Contains(p.says(), []byte("no space left")) })
}

// atEveryDiskCall strikes processes at the n-th call of each kind for every n, for as long as there
// is more.
func atEveryDiskCall(t *testing.T, calls []string, strike func(call string, n int) (with []string), more func(*process) bool) {
	if err := traceable(); err != nil {
		t.Skipf("strace does not work here: %v", err)
	}
	step := 7 // inside `make test` not each of them
	if os.Getenv("CHAOS_TIME") != "" {
		step = 1
	}
	y := newTally()
	for i, call := range calls {
		for what, resumes := range map[string]bool{"ship": false, "resume": true} {
			struck := true
			for n := 1 + i%step; struck; n += step {
				t.Run(fmt.Sprintf("%s %s %d", what, call, n), func(t *testing.T) {
					struck = more(newPlainCampaign(t, 1, uint64(n), y).struck(strike(call, n), resumes))
				})
			}
		}
	}
	t.Logf("%d processes, %d of them killed, %d lines: lost %d, altered %d", y.campaigns, y.signals["KILL"], y.lines, y.lost, y.altered)
}

// struck runs a process, or one that resumes what another left, with words before it that strike
// it, and concludes the campaign.
func (c *campaign) struck(with []string, resumes bool) *process {
	var p *process
	data := newSpeaker(c.rng, false).say(5000)
	if resumes {
		c.leave(data)
		c.opt.with = with
		p = c.opt.resume(c.t, c.rng, "p2", 5*time.Second)
	} else {
		c.opt.with = with
		p = c.opt.ship(c.t, c.rng, "p1", data, 5*time.Second)
		for p.written.Load() < int64(len(data)) && !p.wait(time.Millisecond) {
		}
	}
	p.w.Close()
	c.settle(p)
	c.opt.with = nil
	c.conclude()
	return p
}

// leave has a process take data, and killed before it ships any of it.
func (c *campaign) leave(data []byte) {
	c.end.set(outage)
	p := c.opt.ship(c.t, c.rng, "p1", data, time.Second)
	for left := int64(1); p.written.Load() < int64(len(data)) || left > 0; time.Sleep(time.Millisecond) {
		var err error
		if left, err = p.leftInPipe(); err != nil {
			c.t.Fatal(err)
		}
	}
	_ = p.signal(syscall.SIGKILL)
	c.settle(p)
	c.end.set(calm)
}
