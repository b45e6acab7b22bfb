package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cwlocal"
)

// This file is what the tests of exec have in common: an endpoint in this process, the program with a journal of its own, and what came of an input.

// stage is where the program is run.
type stage struct {
	t       *testing.T
	server  *cwlocal.Server
	env     []string
	journal string
	stuck   atomic.Bool                       // puts get no answer while it is set
	watch   atomic.Pointer[func(body []byte)] // gets the body of each put; nil: nobody looks
}

const stageGroup = "/perstack/stage"

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, journal: filepath.Join(t.TempDir(), "journal")}
	server, url := listen(t, cwlocal.Options{Intercept: func(call *cwlocal.Call) cwlocal.Fault {
		if call.Action != "PutLogEvents" {
			return cwlocal.Fault{}
		}
		for s.stuck.Load() {
			time.Sleep(5 * time.Millisecond)
		}
		if look := s.watch.Load(); look != nil {
			(*look)(call.Body)
		}
		return cwlocal.Fault{}
	}})
	s.server = server
	t.Cleanup(func() { s.stuck.Store(false) }) // before the endpoint ends, and who waits there with it
	s.env = []string{
		"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "GORACE=" + fastExit,
		"AWS_ENDPOINT_URL=" + url, "AWS_REGION=eu-west-1", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test",
		"PERSTACK_SHIPPER_LOG_GROUP=" + stageGroup, "PERSTACK_SHIPPER_FLUSH_INTERVAL=20ms",
	}
	s.env = append(s.env, "STAGE="+s.journal)
	t.Cleanup(s.killRest)
	return s
}

// killRest kills what a test that failed left running: all that has its environment.
func (s *stage) killRest() {
	found, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		s.t.Error(err)
	}
	for _, f := range found {
		data, err := os.ReadFile(f)
		if err != nil || !bytes.Contains(data, []byte("STAGE="+s.journal+"\x00")) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// command is the program with these arguments. It is killed when the test ends before it.
func (s *stage) command(args ...string) *exec.Cmd {
	s.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	s.t.Cleanup(stop)
	c := exec.CommandContext(ctx, "perstack-shipper", args...)
	c.Env = append(s.env, "PERSTACK_SHIPPER_JOURNAL_DIR="+s.journal)
	return c
}

// exec is the program that runs a shell script, with these flags.
func (s *stage) exec(script string, flags ...string) *running {
	s.t.Helper()
	args := append(append([]string{"exec"}, flags...), "--", "sh", "-c", script)
	return s.start(s.command(args...))
}

// running is a program under way.
type running struct {
	s      *stage
	cmd    *exec.Cmd
	stderr saying
}

// saying is the path of what a program says.
type saying string

func (s saying) String() string {
	data, err := os.ReadFile(string(s))
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func (s *stage) start(c *exec.Cmd) *running {
	s.t.Helper()
	stderr, err := os.CreateTemp(s.t.TempDir(), "stderr")
	if err != nil {
		s.t.Fatal(err)
	}
	defer stderr.Close()
	c.Stderr = stderr
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	return &running{s: s, cmd: c, stderr: saying(stderr.Name())}
}

// wait waits for the end, and checks the exit code.
func (r *running) wait(code int) {
	r.s.t.Helper()
	err := r.cmd.Wait()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		r.s.t.Fatal(err)
	}
	if got := r.cmd.ProcessState.ExitCode(); got != code {
		r.s.t.Fatalf("%v, want exit code %d\n%s", r.cmd.ProcessState, code, r.stderr.String())
	}
}

// signal sends s to the program.
func (r *running) signal(s os.Signal) {
	r.s.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.s.t.Fatal(err)
	}
}

// until waits for something to become so.
func (s *stage) until(what string, is func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatal("it never came to this: ", what)
		}
	}
}

// arrived is what one input became in CloudWatch.
type arrived struct {
	source string
	bytes  []byte // the input as it was, as far as its lines follow each other
	ended  bool   // a seal says so
	seal   string // the last one
	parts  map[[2]int64]batch.Restored
}

// inputs is what the endpoint holds, by input.
func (s *stage) inputs() map[string]*arrived {
	s.t.Helper()
	all := map[string]*arrived{}
	for _, stream := range s.server.Streams(stageGroup) {
		for _, e := range s.server.Events(stageGroup, stream) {
			r, err := batch.Restore([]byte(e.Message))
			if err != nil {
				s.t.Fatalf("%v: %s", err, e.Message)
			}
			in := all[r.Input]
			if in == nil {
				in = &arrived{parts: map[[2]int64]batch.Restored{}}
				all[r.Input] = in
			}
			if r.Record == "" {
				in.source = r.Source
				in.parts[[2]int64{r.Seq, int64(r.Part)}] = r
			}
			if r.Record == "seal" {
				in.seal = string(r.Line)
			}
			in.ended = in.ended || r.Record == "seal" && bytes.Contains(r.Line, []byte(`"ended":true`))
		}
	}
	for _, in := range all {
		in.bytes = in.join()
	}
	return all
}

func (in *arrived) join() []byte {
	var b bytes.Buffer
	for seq := int64(1); ; seq++ {
		r, ok := in.parts[[2]int64{seq, 0}]
		for part := int64(1); !ok; part++ {
			p, there := in.parts[[2]int64{seq, part}]
			if !there {
				return b.Bytes()
			}
			b.Write(p.Line)
			r, ok = p, p.Last
			r.Line = nil
		}
		b.WriteString(strings.Repeat("\n", int(r.Empty)))
		b.Write(r.Line)
		if !r.NoNewline {
			b.WriteByte('\n')
		}
	}
}

// all is what all inputs of a source became, which must be so many.
func (s *stage) all(source string, want int) []*arrived {
	s.t.Helper()
	var found []*arrived
	for _, in := range s.inputs() {
		if in.source == source && len(in.parts) > 0 {
			found = append(found, in)
		}
	}
	if len(found) != want {
		s.t.Fatalf("%d inputs of %q, want %d", len(found), source, want)
	}
	return found
}

// text is the one input of a source.
func (s *stage) text(source string) string {
	s.t.Helper()
	return string(s.all(source, 1)[0].bytes)
}

// has reports whether the text came, in whatever input.
func (s *stage) has(text string) bool {
	for _, in := range s.inputs() {
		if bytes.Contains(in.bytes, []byte(text)) {
			return true
		}
	}
	return false
}

// nothingLeft checks that the journal folder holds no input.
func (s *stage) nothingLeft() {
	s.t.Helper()
	if left := s.left(); len(left) > 0 {
		s.t.Errorf("left in the journal: %v", left)
	}
}

func (s *stage) left() (names []string) {
	entries, err := os.ReadDir(s.journal)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// gate is a file that a script waits for, with `until [ -e $GATE ]; do sleep 0.01; done`.
func (s *stage) gate() (open func()) {
	path := filepath.Join(s.t.TempDir(), "gate")
	s.env = append(s.env, "GATE="+path)
	return func() {
		s.t.Helper()
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

// atGate is what a script says to wait for its gate.
const atGate = "until [ -e $GATE ]; do sleep 0.01; done; "
