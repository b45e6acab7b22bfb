package chaos

// Processes under strace: killed in the very middle of what they do to the disk, at its n-th call, or with a disk that takes its time. Where
// there is no strace there are none, and that is said.

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// diskCalls are the system calls of the journal.
var diskCalls = []string{"splice", "pwrite64", "write", "renameat", "unlinkat", "mkdirat", "flock", "openat"}

// strace is the words before a command that do something to it at calls, as strace's -e inject says. By -D the command stays our own child, so that signals and
// exit codes are its own. Not --seccomp-bpf, which is faster and does not count.
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

// TestKillAtEveryDiskCall kills a process at its first call of a kind, at its second and so on until it survives, and then another process, which ships what
// the first has left, in the same way. A last one must find all that was taken.
func TestKillAtEveryDiskCall(t *testing.T) {
	if err := traceable(); err != nil {
		t.Skipf("strace does not work here: %v", err)
	}
	step := 7 // inside `make test` not each of them
	if os.Getenv("CHAOS_TIME") != "" {
		step = 1
	}
	y := newTally()
	for i, call := range diskCalls {
		for what, resumes := range map[string]bool{"ship": false, "resume": true} {
			killed := true
			for n := 1 + i%step; killed; n += step {
				t.Run(fmt.Sprintf("%s %s %d", what, call, n), func(t *testing.T) {
					killed = newPlainCampaign(t, 1, uint64(n), y).killAt(deadly(call, n), resumes)
				})
			}
		}
	}
	t.Logf("%d processes, %d of them killed, %d lines: lost %d, altered %d", y.campaigns, y.signals["KILL"], y.lines, y.lost, y.altered)
}

// killAt has with kill a process, or one that resumes what another left, and finishes the campaign. It reports whether it was killed.
func (c *campaign) killAt(with []string, resumes bool) (killed bool) {
	data := newSpeaker(c.rng, false).say(5000)
	if resumes {
		c.end.set(outage)
		p := c.opt.ship(c.t, c.rng, "p1", data, time.Second)
		for p.written.Load() < int64(len(data)) {
			time.Sleep(time.Millisecond)
		}
		left, err := p.leftInPipe()
		for ; err == nil && left > 0; left, err = p.leftInPipe() {
			time.Sleep(time.Millisecond)
		}
		if err != nil {
			c.t.Fatal(err)
		}
		_ = p.signal(9)
		c.settle(p)
		c.end.set(calm)
		c.opt.with, data = with, nil
		p = c.opt.resume(c.t, c.rng, "p2", time.Second)
		p.w.Close()
		c.settle(p)
		killed = p.killed
	} else {
		c.opt.with = with
		p := c.opt.ship(c.t, c.rng, "p1", data, time.Second)
		for p.written.Load() < int64(len(data)) && !p.wait(time.Millisecond) {
		}
		p.w.Close()
		c.settle(p)
		killed = p.killed
	}
	c.opt.with = nil
	c.conclude()
	return killed
}
