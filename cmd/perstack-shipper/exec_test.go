package main

// This file shows what happens to an agent's output when the agent or the shipper misbehaves.

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"perstack-shipper/shipper/testkit"
)

func outputOf(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.CommandContext(lifetime(t), "sh", "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// A command that continues after SIGTERM is not killed. The shipper exits in time, and the next
// start ships the rest.
func TestExecOfAnAgentThatIgnoresSIGTERM(t *testing.T) {
	w := newWorld(t)
	_, open := w.gate()
	r := w.exec(`trap "" TERM; echo "{\"jobId\":\"j\"}"; printf half; `+atGate+`echo " a line"; echo last`, "--drain-timeout=4s")
	w.Until("the first line is shipped", func() bool { return w.has("jobId") })
	began := time.Now()
	r.Stop(exitLeft)
	if took := time.Since(began); took > 3500*time.Millisecond {
		t.Errorf("it exited %s after the signal", took)
	}
	if log := r.Said(); !strings.Contains(log, "is still running; what it writes to stdout and stderr from now on is kept in "+w.Journal) {
		t.Errorf("it printed\n%s", log)
	}
	if in, got := w.one(""); got != "{\"jobId\":\"j\"}\n" || in.Ended() {
		t.Errorf("at its exit %q had arrived, ended: %v", got, in.Ended())
	}
	// The agent writes more, and ends while the next process reads it.
	resume := w.Start(w.command("resume"))
	w.Until("resume has the input", func() bool { return w.reads(resume, 2) })
	open()
	resume.Wait(exitOK)
	if in, got := w.one(""); got != "{\"jobId\":\"j\"}\nhalf a line\nlast\n" || !in.Ended() {
		t.Errorf("in the end %q had arrived, ended: %v", got, in.Ended())
	}
	w.nothingLeft()
}

// reads reports whether a process ships that many inputs of the folder and has the FIFOs among them
// open. The contents of a FIFO are lost when the last process closes it.
func (w *world) reads(p *testkit.Process, inputs int) bool {
	w.T.Helper()
	held, fifos := 0, 0
	for _, name := range w.Kept() {
		f, err := os.Open(filepath.Join(w.Journal, name, "lock"))
		if err != nil {
			continue
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil {
			held++
		}
		f.Close()
		if _, err := os.Stat(filepath.Join(w.Journal, name, "fifo")); err == nil {
			fifos++
		}
	}
	for _, path := range w.open(p) {
		if filepath.Base(path) == "fifo" {
			fifos--
		}
	}
	return held == inputs && fifos <= 0
}

// open returns the paths of the files in the journal folder that a process has open.
func (w *world) open(p *testkit.Process) (paths []string) {
	w.T.Helper()
	found, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.Cmd.Process.Pid))
	if err != nil {
		w.T.Fatal(err)
	}
	for _, fd := range found {
		if path, err := os.Readlink(fd); err == nil && strings.HasPrefix(path, w.Journal+"/") {
			paths = append(paths, path)
		}
	}
	return paths
}

// kill -9 of the shipper leaves the agent running. resume ships the agent's output until no process
// writes it any more.
func TestExecKilled(t *testing.T) {
	w := newWorld(t)
	_, open := w.gate()
	r := w.exec(`echo '{"jobId":"j","n":1}'; ` + atGate + `echo '{"jobId":"j","n":2}'; echo end >&2`)
	w.Until("the first line is shipped", func() bool { return w.has(`"n":1`) })
	r.Kill()
	resume := w.Start(w.command("resume"))
	w.Until("resume has both inputs", func() bool { return w.reads(resume, 2) })
	open()
	resume.Wait(exitOK)
	if in, got := w.one(""); got != "{\"jobId\":\"j\",\"n\":1}\n{\"jobId\":\"j\",\"n\":2}\n" || !in.Ended() {
		t.Errorf("%q arrived, ended: %v", got, in.Ended())
	}
	if got := w.text("stderr"); got != "end\n" {
		t.Errorf("%q arrived of stderr", got)
	}
	w.nothingLeft()
}

// Signals go to the whole process group of the command.
func TestExecPassesSignalsOn(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2} {
		t.Run(sig.String(), func(t *testing.T) {
			w := newWorld(t)
			name := map[syscall.Signal]string{
				syscall.SIGTERM: "TERM", syscall.SIGINT: "INT", syscall.SIGHUP: "HUP", syscall.SIGQUIT: "QUIT", syscall.SIGUSR1: "USR1", syscall.SIGUSR2: "USR2",
			}[sig]
			// A child of the command must get the signal as well, as npx's agent does.
			r := w.exec(`trap 'echo parent; exit 9' ` + name + `
				sh -c 'trap "echo child; exit" ` + name + `; echo ready; while :; do sleep 0.01; done'; exit 1`)
			w.Until("both are ready", func() bool { return w.has("ready") || w.wrote("ready") })
			r.Signal(sig)
			r.Wait(9)
			if got := w.text(""); got != "ready\nchild\nparent\n" {
				t.Errorf("%q arrived", got)
			}
		})
	}
}

// A second signal is passed on and ends the shipper at once.
func TestExecSecondSignal(t *testing.T) {
	w := newWorld(t)
	w.Stall()
	r := w.exec(`trap 'echo heard' INT TERM; echo ready; while :; do sleep 0.01; done`)
	w.Until("it is ready", func() bool { return w.wrote("ready") })
	r.Signal(syscall.SIGINT)
	w.Until("the command got it", func() bool { return w.wrote("heard") })
	began := time.Now()
	r.Signal(syscall.SIGTERM)
	r.Wait(exitLeft)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s to exit", took)
	}
	w.Until("the command got the second", func() bool { return w.wrote("heard\nheard") })
	log := r.Said()
	if !strings.Contains(log, "bytes of the input are not delivered") {
		t.Errorf("it printed\n%s", log)
	}
	pid, _, _ := strings.Cut(log[strings.Index(log, "process ")+len("process "):], ")")
	if n, err := strconv.Atoi(pid); err != nil || syscall.Kill(-n, syscall.SIGKILL) != nil {
		t.Errorf("the command is not running as the message says: %q", pid)
	}
}
