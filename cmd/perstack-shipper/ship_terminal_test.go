package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// This file shows a pipe at a terminal, where Ctrl-C reaches the agent and the shipper alike.

// shellPipe is a shell that pipes an agent's script into the program at a terminal, and says the
// program's exit code.
func (s *stage) shellPipe(agent string) *console {
	s.t.Helper()
	c := exec.Command("sh", "-c", `trap : INT; sh -c "$AGENT" | perstack-shipper --log-format console; echo "code $?"`)
	c.Env = append(s.Env, "PERSTACK_SHIPPER_JOURNAL_DIR="+s.Journal, "AGENT="+agent)
	return s.at(c)
}

// The pipe is read to its end, the agent's last words among it, and all is shipped.
func TestCtrlCAtAPipe(t *testing.T) {
	s := newStage(t)
	term := s.shellPipe(`trap 'sleep 0.3; echo last words; exit' INT; echo '{"jobId":"j"}'; while :; do sleep 0.01; done`)
	s.Until("the first line is shipped", func() bool { return s.has("jobId") })
	term.types(ctrlC)
	term.shows("code 0")
	term.ends(exitOK)
	if in, got := s.one(""); got != "{\"jobId\":\"j\"}\nlast words\n" || !in.Ended() {
		t.Errorf("%q came, ended: %v", got, in.Ended())
	}
	s.nothingLeft()
}

// A second Ctrl-C stops now, and what is left is said.
func TestSecondCtrlCAtAPipe(t *testing.T) {
	s := newStage(t)
	open := s.gate()
	s.stuck.Store(true)
	term := s.shellPipe(`trap : INT; echo '{"jobId":"j"}'; ` + atGate)
	s.Until("the first line is kept", func() bool { return s.keeps("jobId") })
	term.types(ctrlC)
	term.shows("another signal stops at once")
	time.Sleep(200 * time.Millisecond) // nobody presses it faster
	term.types(ctrlC)
	term.shows("bytes of the input are not delivered (stopped by a second signal)")
	open() // the shell waits for the agent, too
	term.shows("code 75")
	term.ends(exitOK)
	s.stuck.Store(false)
	s.Start(s.command("resume")).Wait(exitOK)
	if got := s.text(""); got != "{\"jobId\":\"j\"}\n" {
		t.Errorf("%q came", got)
	}
	s.nothingLeft()
}

// Where stdin is the terminal itself, that is said, and Ctrl-C ends at once: nobody types on.
func TestCtrlCAtTheTerminalItself(t *testing.T) {
	s := newStage(t)
	term := s.at(s.command("--drain-timeout=1h"))
	term.shows("reading the terminal: Ctrl-D ends the input")
	term.types("{\"jobId\":\"j\"}\n")
	s.Until("the line is shipped", func() bool { return s.has("jobId") })
	term.types(ctrlC)
	term.ends(exitOK)
	if in, got := s.one(""); got != "{\"jobId\":\"j\"}\n" || !in.Ended() {
		t.Errorf("%q came, ended: %v", got, in.Ended())
	}
	s.nothingLeft()
}

// Ctrl-D ends the input like the end of a pipe.
func TestCtrlDAtTheTerminal(t *testing.T) {
	s := newStage(t)
	term := s.at(s.command())
	term.shows("reading the terminal")
	term.types("typed\n\x04")
	term.ends(exitOK)
	if got := s.text(""); got != "typed\n" {
		t.Errorf("%q came", got)
	}
}

// drained is what a terminal shows of a drain of one line, and erase takes that away.
const (
	drained = "the input has ended: 14 bytes left to ship"
	erase   = "\r\x1b[K"
)

// While the rest is delivered after the end of a pipe, one line says how that is getting on, in the
// width of the terminal. It is gone when the program ends, whether or not it says anything more.
func TestProgressOfADrainOnATerminal(t *testing.T) {
	for level, ending := range map[string]string{"info": "shipped 1 line", "error": ""} {
		t.Run(level, func(t *testing.T) {
			s := newStage(t)
			s.stuck.Store(true)
			c := exec.Command("sh", "-c", `echo '{"jobId":"j"}' | perstack-shipper --log-level "$LEVEL"`)
			c.Env = append(s.Env, "PERSTACK_SHIPPER_JOURNAL_DIR="+s.Journal, "LEVEL="+level)
			term := s.at(c)
			s.Until("the line is rewritten", func() bool { return strings.Count(term.screen(), drained) >= 2 })
			if err := pty.Setsize(term.keys, &pty.Winsize{Rows: 24, Cols: 31}); err != nil {
				t.Fatal(err)
			}
			term.shows(erase + drained[:29] + "…")
			s.stuck.Store(false)
			term.ends(exitOK)
			<-term.done
			screen := term.screen()
			if got := screen[strings.LastIndex(screen, erase)+len(erase):]; !strings.Contains(got, ending) || (got == "") != (ending == "") {
				t.Errorf("when it has ended, the terminal shows %q, want %q", got, ending)
			}
		})
	}
}

// keeps reports whether the journal of a pipe holds the text.
func (s *stage) keeps(text string) bool {
	found, err := filepath.Glob(filepath.Join(s.Journal, "*", "*.segment"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range found {
		if data, err := os.ReadFile(f); err == nil && bytes.Contains(data, []byte(text)) {
			return true
		}
	}
	return false
}
