package main

// This file shows a pipe at a terminal, where Ctrl-C reaches both the agent and the shipper.

import (
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"perstack-shipper/shipper/testkit/await"
)

// shellPipe returns a shell at a terminal that pipes an agent's script into the program and prints
// the program's exit code.
func (w *world) shellPipe(agent string) *console {
	w.T.Helper()
	return w.at(w.sh(`trap : INT; sh -c "$1" | perstack-shipper --log-format console; echo "code $?"`, agent))
}

// After Ctrl-C the program reads the pipe to its end, including the agent's last words, and ships
// everything.
func TestCtrlCAtAPipe(t *testing.T) {
	w := newWorld(t)
	term := w.shellPipe(`trap 'sleep 0.3; echo last words; exit' INT; echo '{"jobId":"j"}'; while :; do sleep 0.01; done`)
	w.Until("the first line is shipped", func() bool { return w.has("jobId") })
	term.types(ctrlC)
	term.shows("code 0")
	term.ends(exitOK)
	if in, got := w.one(""); got != "{\"jobId\":\"j\"}\nlast words\n" || !in.Ended() {
		t.Errorf("%q arrived, ended: %v", got, in.Ended())
	}
	w.nothingLeft()
}

// A second Ctrl-C stops the program at once, and it reports what is left.
func TestSecondCtrlCAtAPipe(t *testing.T) {
	w := newWorld(t)
	_, open := w.gate()
	w.Stall()
	term := w.shellPipe(`trap : INT; echo '{"jobId":"j"}'; ` + atGate)
	w.Until("the first line is in the journal", func() bool { return w.keeps("jobId") })
	term.types(ctrlC)
	term.shows("another signal stops at once")
	time.Sleep(200 * time.Millisecond) // a person does not press it faster
	term.types(ctrlC)
	term.shows("bytes of the input are not delivered (stopped by a second signal)")
	open() // the shell also waits for the agent
	term.shows("code 75")
	term.ends(exitOK)
	w.Unstall()
	w.Start(w.command("resume")).Wait(exitOK)
	if got := w.text(""); got != "{\"jobId\":\"j\"}\n" {
		t.Errorf("%q arrived", got)
	}
	w.nothingLeft()
}

// If stdin is the terminal itself, the program says so, and Ctrl-C ends it at once: the person has
// stopped typing.
func TestCtrlCAtTheTerminalItself(t *testing.T) {
	w := newWorld(t)
	term := w.at(w.command("--drain-timeout=1h"))
	term.shows("reading the terminal: Ctrl-D ends the input")
	term.types("{\"jobId\":\"j\"}\n")
	w.Until("the line is shipped", func() bool { return w.has("jobId") })
	term.types(ctrlC)
	term.ends(exitOK)
	if in, got := w.one(""); got != "{\"jobId\":\"j\"}\n" || !in.Ended() {
		t.Errorf("%q arrived, ended: %v", got, in.Ended())
	}
	w.nothingLeft()
}

// Ctrl-D ends the input as the end of a pipe does.
func TestCtrlDAtTheTerminal(t *testing.T) {
	w := newWorld(t)
	term := w.at(w.command())
	term.shows("reading the terminal")
	term.types("typed\n\x04")
	term.ends(exitOK)
	if got := w.text(""); got != "typed\n" {
		t.Errorf("%q arrived", got)
	}
}

// drained is what a terminal shows while one line is left to ship, and erase removes it.
const (
	drained = "the input has ended: 14 bytes left to ship"
	erase   = "\r\x1b[K"
)

// While the rest is delivered after the end of a pipe, one line shows the progress, cut to the
// width of the terminal. The line disappears when the program ends, whether or not the program
// prints anything more.
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
			await.Receive(t, "the end of the terminal", term.done)
			screen := term.screen()
			if got := screen[strings.LastIndex(screen, erase)+len(erase):]; !strings.Contains(got, ending) || (got == "") != (ending == "") {
				t.Errorf("after the end of the program the terminal shows %q, want %q", got, ending)
			}
		})
	}
}
