//go:build linux

package chaos

// This file runs one process of the built binary with its own pipe, and counts the bytes that it
// read.

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// binary is the program under test, built by TestMain.
var binary string

// patience is how long anything may take before a process counts as hanging.
const patience = 30 * time.Second

// process is one run of the program. Its fields, except written, belong to one goroutine.
type process struct {
	name    string // its --field proc, which identifies its events
	cmd     *exec.Cmd
	log     string // the file with its stderr
	started time.Time
	asked   time.Time     // when it was first told to end; zero: never
	drain   time.Duration // its --drain-timeout
	killed  bool          // whether SIGKILL ended it; set once it is dead
	traced  bool          // strace will kill it at a disk call

	agent *agent    // of exec; else nil
	file  *followed // the file that it follows; else nil

	exited chan struct{} // closed once it is dead
	state  *os.ProcessState

	// The pipe. Both ends stay open here as long as the process lives, so that what it did not read
	// can be counted.
	data    []byte // what its agent would write
	r, w    *os.File
	written atomic.Int64
	wrote   sync.WaitGroup
}

type options struct {
	folder  string
	url     string
	max     string // --journal-max
	stream  string // --log-stream
	sync    string // --journal-sync
	memory  string // --memory-max
	stderrs string // folder for the processes' stderr
	tally   *tally
	with    []string // words to put before each command
	perhaps bool     // sometimes put strace there instead
}

// ship starts a process that ships data, which is written to its stdin in random pieces.
func (o *options) ship(t testing.TB, rng *rand.Rand, name string, data []byte, drain time.Duration) *process {
	p := o.start(t, rng, name, drain, append([]string{"ship"}, o.shipping(name)...))
	p.data = data
	paced := rand.New(rand.NewPCG(rng.Uint64(), 0))
	ends := rng.IntN(4) > 0
	p.wrote.Go(func() { p.feed(paced, ends) })
	return p
}

// resume starts a process that ships what others left.
func (o *options) resume(t testing.TB, rng *rand.Rand, name string, drain time.Duration) *process {
	return o.start(t, rng, name, drain, []string{"resume"})
}

// shipping returns the options of a process that has its own input.
func (o *options) shipping(name string) []string {
	return []string{"--log-group", group, "--endpoint-url", o.url, "--region", "eu-west-1", "--journal-max", o.max, "--journal-sync", o.sync, "--log-stream", o.stream, "--field", "proc=" + name}
}

func (o *options) start(t testing.TB, rng *rand.Rand, name string, drain time.Duration, args []string, rest ...string) *process {
	p := &process{name: name, exited: make(chan struct{}), log: filepath.Join(o.stderrs, name), drain: drain}
	args = append(args, "--journal-dir", o.folder, "--memory-max", o.memory, "--compress", []string{"gzip", "off"}[rng.IntN(2)],
		"--flush-interval", fmt.Sprintf("%dms", 10+rng.IntN(40)), "--drain-timeout", drain.String(), "--give-up-after", "5s")
	with := o.with
	if o.perhaps && len(rest) == 0 { // not with a command, which would be traced as well
		with, p.traced = o.traced(t, rng)
	}
	command := slices.Concat(with, []string{binary}, args, rest)
	p.cmd = exec.Command(command[0], command[1:]...)
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=secret", "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "HOME=/nonexistent"}
	stderr, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	p.cmd.Stderr = stderr
	if p.r, p.w, err = os.Pipe(); err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdin = p.r
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the state tells everything
		p.state = p.cmd.ProcessState
		if status, ok := p.state.Sys().(syscall.WaitStatus); ok && status.Signal() == syscall.SIGKILL {
			p.killed = true
		}
		close(p.exited)
	}()
	return p
}

// feed acts as the agent. It stops writing when the process dies.
func (p *process) feed(rng *rand.Rand, ends bool) {
	burst := rng.IntN(2) == 0
	for at := 0; at < len(p.data); {
		n := min(len(p.data)-at, 1+rng.IntN(64<<10))
		wrote, err := p.w.Write(p.data[at : at+n])
		at += wrote
		p.written.Add(int64(wrote))
		if err != nil {
			return // the write deadline, set because the process is dead
		}
		if !burst {
			select {
			case <-p.exited:
				return
			case <-time.After(time.Duration(rng.IntN(5000)) * time.Microsecond):
			}
		}
	}
	if ends {
		p.w.Close()
	}
}

// signal sends sig. An error means that the process is already dead.
func (p *process) signal(sig syscall.Signal) error {
	if sig == syscall.SIGTERM && p.asked.IsZero() {
		p.asked = time.Now()
	}
	return p.cmd.Process.Signal(sig)
}

// wait waits until the process is dead. It reports false if that takes longer than d.
func (p *process) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-timer.C:
		return false
	}
}

// adopt makes this process the parent of orphaned agents and tracers, so that reap can collect them
// if PID 1 does not.
func adopt() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// reap collects dead orphans. It leaves alone the children that this process started, because
// exec.Cmd waits for them.
func reap() {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return
	}
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it is gone
		}
		var pid, parent int
		var name, state string
		if _, err := fmt.Sscanf(string(stat), "%d %s %s %d", &pid, &name, &state, &parent); err == nil && parent == os.Getpid() && state == "Z" && (name == "(strace)" || name == "(agent)") {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
		}
	}
}

// consumed stops the agent, and returns how many bytes the dead process read from the pipe.
func (p *process) consumed() (int64, error) {
	_ = p.w.SetWriteDeadline(time.Now()) // an error means that it is closed
	p.wrote.Wait()
	left, err := p.leftInPipe()
	p.w.Close()
	p.r.Close()
	return p.written.Load() - left, err
}

// leftInPipe returns how many bytes are in the pipe.
func (p *process) leftInPipe() (int64, error) {
	left, err := unix.IoctlGetInt(int(p.r.Fd()), unix.TIOCINQ)
	if err != nil {
		return 0, fmt.Errorf("bytes left in the pipe: %w", err)
	}
	return int64(left), nil
}

// says returns what the process printed on stderr.
func (p *process) says() []byte {
	said, err := os.ReadFile(p.log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return []byte(err.Error())
	}
	return said
}

// code returns the exit code, or -1 for a signal.
func (p *process) code() int { return p.state.ExitCode() }

// misbehaved returns what the process did that no process may do, however it ends, or "".
func (p *process) misbehaved(consumed int64) string {
	// A truncation may lose output. compareCut checks that the seal says so.
	said := regexp.MustCompile(`(?m)^.*was truncated, as opening /dev/stdout by name does: .*$`).ReplaceAll(p.says(), nil)
	for _, never := range []string{"panic:", "fatal error:", "DATA RACE", "goroutine ", "is damaged", "and lost, because", "is lost", "are lost", "could not be kept"} {
		if bytes.Contains(said, []byte(never)) {
			return fmt.Sprintf("it printed %q", never)
		}
	}
	if late := time.Since(p.asked) - p.drain; !p.killed && !p.asked.IsZero() && late > 5*time.Second {
		return fmt.Sprintf("it ended %s after its deadline", late)
	}
	if consumed == 0 && !p.asked.IsZero() && p.code() == -1 {
		return "" // the signal came before it could handle one
	}
	if code := p.code(); p.agent != nil && code > 128 || p.file != nil && bytes.Contains(said, []byte("is held by")) {
		return "" // the signal came before its agent could handle one, or another process has the file
	}
	if code := p.code(); !p.killed && code != 0 && code != 65 && code != 75 && !(bytes.Contains(said, []byte("no space left")) && code <= 2) {
		return fmt.Sprintf("it ended with %s", p.state)
	}
	return ""
}
