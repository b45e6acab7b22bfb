//go:build linux

package chaos

// This file runs processes under strace: killed in the middle of disk operations, at the n-th call,
// or with a slow disk. Without strace there are none, and the tests say so.

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

// diskCalls lists the system calls of the journal.
var diskCalls = []string{"splice", "pwrite64", "write", "renameat", "unlinkat", "mkdirat", "flock", "openat"}

// strace returns the words to put before a command to inject what into calls, as with strace's -e
// inject. With -D the command stays our own child, so its signals and exit code are its own. It
// does not use --seccomp-bpf, which is faster but does not count calls.
func strace(calls, what string) []string {
	return []string{"strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + calls, "-e", "inject=" + calls + ":" + what}
}

func deadly(call string, n int) []string { return strace(call, fmt.Sprintf("signal=KILL:when=%d", n)) }

// traceable returns why strace cannot be used here, or nil.
var traceable = sync.OnceValue(func() error {
	with := strace("openat", "delay_enter=1")
	return exec.Command(with[0], append(with[1:], binary, "version")...).Run()
})

// traced sometimes returns words to put before a command. kills reports that they will kill it.
func (o *options) traced(t testing.TB, rng *rand.Rand) (with []string, kills bool) {
	roll := rng.IntN(16)
	if roll >= 4 {
		return nil, false
	}
	if err := traceable(); err != nil {
		o.tally.once("strace", func() {
			t.Logf("SKIPPED: no kills at disk calls and no slow disks, because strace does not work here (%v)", err)
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
		n += 8 // the first ones come from the Go runtime and the SDK
	}
	return deadly(call, n), true // the n-th call of a thread
}

// TestKillAtEveryDiskCall kills a process at its first call of a kind, at its second, and so on
// until it survives. Then it does the same to a process that ships what another one left. A last
// process must find everything that was read.
func TestKillAtEveryDiskCall(t *testing.T) {
	atEveryDiskCall(t, diskCalls, func(call string, n int) []string { return deadly(call, n) }, func(p *process) (more bool) { return p.killed })
}

// TestNoRoomAtEveryDiskCall makes three calls in a row fail with ENOSPC, starting with the first of
// a kind, then with the second, and so on until there are no more. The process may refuse to start,
// but it must keep what it reads, and what it says at the end must be true.
func TestNoRoomAtEveryDiskCall(t *testing.T) {
	calls := []string{"splice", "pwrite64", "renameat", "mkdirat"}
	full := func(call string, n int) []string {
		return strace(call, fmt.Sprintf("error=ENOSPC:when=%d..%d", n, n+2))
	}
	atEveryDiskCall(t, calls, full, func(p *process) (more bool) { return bytes.Contains(p.says(), []byte("no space left")) })
}

// atEveryDiskCall runs processes with a fault at the n-th call of each kind, for every n as long as
// more reports that there may be further calls.
func atEveryDiskCall(t *testing.T, calls []string, strike func(call string, n int) (with []string), more func(*process) bool) {
	if err := traceable(); err != nil {
		t.Skipf("strace does not work here: %v", err)
	}
	step := 13 // `make test` tries only some of them
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

// struck runs a process, or one that resumes what another left, with the given words before its
// command, and concludes the campaign.
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

// leave makes a process read data and kills it before it ships any of it.
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
