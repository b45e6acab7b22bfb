//go:build linux

package chaos

// This file runs processes of `exec`. Their agent writes to the journal directly and may outlive
// them.

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// agentBinary is testdata/agent, built by TestMain.
var agentBinary string

// agent is the command of an exec process.
type agent struct {
	out, errs []byte // what it would write
	note      string // the file in which it records how much of that it wrote
	cut       bool   // it truncated its stdout, so some of out is lost
	// alive is the write end of a pipe whose read end only the agent and its shipper hold. An error
	// on it means that both are gone.
	alive *os.File
}

// exec starts a process whose agent writes out and errs.
func (o *options) exec(t testing.TB, rng *rand.Rand, name string, out, errs []byte, drain time.Duration) *process {
	a := &agent{out: out, errs: errs, note: filepath.Join(o.stderrs, name+".note")}
	said, complained := filepath.Join(o.stderrs, name+".out"), filepath.Join(o.stderrs, name+".err")
	for path, data := range map[string][]byte{said: out, complained: errs} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := append([]string{"exec"}, o.shipping(name)...)
	args = append(args, "--tee", []string{"none", "stderr", "all"}[rng.IntN(3)])
	if rng.IntN(3) == 0 {
		args = append(args, "--stdout", "pipe")
	}
	p := o.start(t, rng, name, drain, args, "--", agentBinary, said, complained, a.note, fmt.Sprint(rng.Uint64()))
	a.alive, p.agent = p.w, a
	p.r.Close()
	return p
}

// gone reports whether the agent ends within a time.
func (a *agent) gone(within time.Duration) bool {
	for until := time.Now().Add(within); ; {
		fds := []unix.PollFd{{Fd: int32(a.alive.Fd())}}
		n, err := unix.Poll(fds, int(min(within, 100*time.Millisecond).Milliseconds()))
		if err == nil && n > 0 && fds[0].Revents&unix.POLLERR != 0 {
			return true
		}
		if !time.Now().Before(until) {
			return false
		}
	}
}

// wait waits until the agent is gone and records what it wrote. It reports false if that takes too
// long.
func (a *agent) wait(out, errs *procInput) bool {
	defer a.alive.Close()
	if !a.gone(patience) {
		return false
	}
	note, err := os.ReadFile(a.note)
	if err != nil {
		return os.IsNotExist(err) // the agent was never started
	}
	var said struct {
		Wrote [2]int
		Cuts  []int
	}
	if err := json.Unmarshal(note, &said); err != nil {
		return false
	}
	out.data, errs.data = a.out[:said.Wrote[0]], a.errs[:said.Wrote[1]]
	if a.cut = len(said.Cuts) > 0; a.cut {
		from := 0
		for _, at := range append(said.Cuts, said.Wrote[0]) {
			out.pieces = append(out.pieces, a.out[from:at])
			from = at
		}
		out.data = nil
	}
	return true
}
