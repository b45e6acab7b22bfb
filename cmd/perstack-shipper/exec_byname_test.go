package main

// This file shows agents that open /dev/stdout and /dev/stderr by name, which truncates a file, and
// what a FIFO keeps when the shipper dies.

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// wasTruncated is the beginning of the message about a truncated stdout.
const wasTruncated = "was truncated, as opening /dev/stdout by name does: output may be lost: "

// An agent survives its shipper and truncates its stdout before the next start. The next start
// reports that and ships what the file holds then.
func TestExecKilledAndTruncated(t *testing.T) {
	w := newWorld(t)
	gate, open := w.gate()
	r := w.exec(`echo one; ` + atGate + `echo two >/dev/stdout; touch $GATE.two; until [ -e $GATE.three ]; do sleep 0.01; done; echo three`)
	w.Until("the first line is in the journal", func() bool { return w.wrote("one\n") })
	r.Kill()
	open()
	w.Until("the agent has truncated its stdout", func() bool { _, err := os.Stat(gate + ".two"); return err == nil })
	resume := w.Start(w.command("resume"))
	w.Until("resume notices the truncation", func() bool { return resume.Says(wasTruncated) })
	if err := os.WriteFile(gate+".three", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	resume.Wait(exitRejected)
	in, text := w.one("")
	if got := strings.TrimPrefix(text, "one\n"); got != "two\nthree\n" || !in.Ended() || !strings.Contains(lastSeal(in), `"truncated":{"times":1`) {
		t.Errorf("%q arrived, ended: %v, the seal is %s", text, in.Ended(), lastSeal(in))
	}
	w.nothingLeft()
}

// Output that an agent writes to a FIFO while no shipper runs stays in the FIFO, and the agent is
// not killed by it. The next start reads on, however often that happens.
func TestExecKilledKeepsWhatIsInTheFIFOs(t *testing.T) {
	w := newWorld(t)
	gate, open := w.gate()
	r := w.exec(`echo '{"jobId":"j"}'; echo first >&2; `+atGate+`seq 10000; seq 20000 >&2; echo by name >/dev/stderr; touch $GATE.written
		until [ -e $GATE.end ]; do sleep 0.01; done; echo last; echo last >&2`, "--stdout=pipe")
	w.Until("the first lines are shipped", func() bool { return w.has("jobId") && w.has("first") })
	r.Kill()
	open()
	w.Until("the agent has written without a reader", func() bool { _, err := os.Stat(gate + ".written"); return err == nil })
	resume := w.Start(w.command("resume"))
	w.Until("the contents of the FIFOs are shipped", func() bool { return w.has("\n10000\n") && w.has("by name\n") })
	resume.Stop(exitLeft)
	resume = w.Start(w.command("resume"))
	w.Until("the next resume has both inputs", func() bool { return w.reads(resume, 2) })
	if err := os.WriteFile(gate+".end", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	resume.Wait(exitOK)
	if got, want := w.text(""), "{\"jobId\":\"j\"}\n"+outputOf(t, "seq 10000")+"last\n"; got != want {
		t.Errorf("%d bytes of stdout arrived, want %d", len(got), len(want))
	}
	if got, want := w.text("stderr"), "first\n"+outputOf(t, "seq 20000")+"by name\nlast\n"; got != want {
		t.Errorf("%d bytes of stderr arrived, want %d", len(got), len(want))
	}
	for _, source := range []string{"", "stderr"} {
		if in := w.all(source, 1)[0]; !in.Ended() {
			t.Errorf("no seal says that the input of source %q has ended", source)
		}
	}
	w.nothingLeft()
}

// If agent and shipper are both killed, the contents of a FIFO are lost, but what had been read
// from it is shipped.
func TestExecKilledWithItsAgent(t *testing.T) {
	w := newWorld(t)
	r := w.exec(`echo '{"jobId":"j"}'; echo one >&2; while :; do sleep 0.01; done`)
	w.Until("its lines are shipped", func() bool { return w.has("jobId") && w.has("one") })
	r.Kill()
	w.KillAll()
	resume := w.Start(w.command("resume"))
	resume.Wait(exitOK)
	if got := w.text("stderr"); got != "one\n" {
		t.Errorf("%q arrived", got)
	}
	w.nothingLeft()
}

// If nobody reads the shipper's own stderr, neither the agent nor the shipping is held up.
func TestExecWhoseStderrIsStuck(t *testing.T) {
	w := newWorld(t)
	stuck, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close()
	c := w.command("exec", "--log-level=error", "--", "sh", "-c", `seq 100000 >&2; echo '{"jobId":"j"}'`)
	c.Stderr = in
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	w.Until("all is shipped", func() bool { return w.has("jobId") && w.has("\n100000\n") })
	if err := syscall.Kill(c.Process.Pid, 0); err != nil {
		t.Error("it ended although its stderr was stuck:", err)
	}
	stuck.Close() // the reader is gone
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	w.nothingLeft()
}
