package main

import (
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// This file shows a pipe at a terminal, where Ctrl-C reaches the agent and the shipper alike.

// shellPipe is a shell that pipes an agent's script into the program at a terminal, and says the
// program's exit code.
func (w *world) shellPipe(agent string) *console {
	w.T.Helper()
	return w.at(w.sh(`trap : INT; sh -c "$1" | perstack-shipper --log-format console; echo "code $?"`, agent))
}

// The pipe is read to its end, the agent's last words among it, and all is shipped.
func TestCtrlCAtAPipe(t *testing.T) {
	w := newWorld(t)
	term := w.shellPipe(`trap 'sleep 0.3; echo last words; exit' INT; echo '{"jobId":"j"}'; while :; do sleep 0.01; done`)
	w.Until("the first line is shipped", func() bool { return w.has("jobId") })
	term.types(ctrlC)
	term.shows("code 0")
	term.ends(exitOK)
	if in, got := w.one(""); got != "{\"jobId\":\"j\"}\nlast words\n" || !in.Ended() {
		t.Errorf("%q came, ended: %v", got, in.Ended())
	}
	w.nothingLeft()
}

// A second Ctrl-C stops now, and what is left is said.
func TestSecondCtrlCAtAPipe(t *testing.T) {
	w := newWorld(t)
	_, open := w.gate()
	w.Stall()
	term := w.shellPipe(`trap : INT; echo '{"jobId":"j"}'; ` + atGate)
	w.Until("the first line is kept", func() bool { return w.keeps("jobId") })
	term.types(ctrlC)
	term.shows("another signal stops at once")
	time.Sleep(200 * time.Millisecond) // nobody presses it faster
	term.types(ctrlC)
	term.shows("bytes of the input are not delivered (stopped by a second signal)")
	open() // the shell waits for the agent, too
	term.shows("code 75")
	term.ends(exitOK)
	w.Unstall()
	w.Start(w.command("resume")).Wait(exitOK)
	if got := w.text(""); got != "{\"jobId\":\"j\"}\n" {
		t.Errorf("%q came", got)
	}
	w.nothingLeft()
}

// Where stdin is the terminal itself, that is said, and Ctrl-C ends at once: nobody types on.
func TestCtrlCAtTheTerminalItself(t *testing.T) {
	w := newWorld(t)
	term := w.at(w.command("--drain-timeout=1h"))
	term.shows("reading the terminal: Ctrl-D ends the input")
	term.types("{\"jobId\":\"j\"}\n")
	w.Until("the line is shipped", func() bool { return w.has("jobId") })
	term.types(ctrlC)
	term.ends(exitOK)
	if in, got := w.one(""); got != "{\"jobId\":\"j\"}\n" || !in.Ended() {
		t.Errorf("%q came, ended: %v", got, in.Ended())
	}
	w.nothingLeft()
}

// Ctrl-D ends the input like the end of a pipe.
func TestCtrlDAtTheTerminal(t *testing.T) {
	w := newWorld(t)
	term := w.at(w.command())
	term.shows("reading the terminal")
	term.types("typed\n\x04")
	term.ends(exitOK)
	if got := w.text(""); got != "typed\n" {
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
			w := newWorld(t)
			w.Stall()
			term := w.at(w.sh(`echo '{"jobId":"j"}' | perstack-shipper --log-level "$1"`, level))
			w.Until("the line is rewritten", func() bool { return strings.Count(term.screen(), drained) >= 2 })
			if err := pty.Setsize(term.keys, &pty.Winsize{Rows: 24, Cols: 31}); err != nil {
				t.Fatal(err)
			}
			term.shows(erase + drained[:29] + "…")
			w.Unstall()
			term.ends(exitOK)
			<-term.done
			screen := term.screen()
			if got := screen[strings.LastIndex(screen, erase)+len(erase):]; !strings.Contains(got, ending) || (got == "") != (ending == "") {
				t.Errorf("when it has ended, the terminal shows %q, want %q", got, ending)
			}
		})
	}
}
