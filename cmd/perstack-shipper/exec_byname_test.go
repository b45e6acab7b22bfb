package main

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// This file shows agents that open /dev/stdout and /dev/stderr by name, which empties what is a
// file, and what a FIFO keeps when the shipper dies.

// wasTruncated is what is said of a stdout that was emptied.
const wasTruncated = "was truncated, as opening /dev/stdout by name does: output may be lost: "

// An agent that outlived its shipper empties its stdout while nobody looks: the next start says so,
// and ships what the file holds then.
func TestExecKilledAndTruncated(t *testing.T) {
	w := newWorld(t)
	gate, open := w.gate()
	r := w.exec(`echo one; ` + atGate + `echo two >/dev/stdout; touch $GATE.two; until [ -e $GATE.three ]; do sleep 0.01; done; echo three`)
	w.Until("the first line is in the journal", func() bool { return w.wrote("one\n") })
	r.Kill()
	open()
	w.Until("it has truncated", func() bool { _, err := os.Stat(gate + ".two"); return err == nil })
	resume := w.Start(w.command("resume"))
	w.Until("the cut is noticed", func() bool { return resume.Says(wasTruncated) })
	if err := os.WriteFile(gate+".three", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	resume.Wait(exitRejected)
	in, text := w.one("")
	if got := strings.TrimPrefix(text, "one\n"); got != "two\nthree\n" || !in.Ended() || !strings.Contains(lastSeal(in), `"truncated":{"times":1`) {
		t.Errorf("%q came, ended: %v, the seal is %s", text, in.Ended(), lastSeal(in))
	}
	w.nothingLeft()
}

// What an agent writes to a FIFO while no shipper is there stays in it, and does not kill the
// agent; the next start reads on, as often as need be.
func TestExecKilledKeepsWhatIsInTheFIFOs(t *testing.T) {
	w := newWorld(t)
	gate, open := w.gate()
	r := w.exec(`echo '{"jobId":"j"}'; echo first >&2; `+atGate+`seq 10000; seq 20000 >&2; echo by name >/dev/stderr; touch $GATE.written
		until [ -e $GATE.end ]; do sleep 0.01; done; echo last; echo last >&2`, "--stdout=pipe")
	w.Until("the first lines are shipped", func() bool { return w.has("jobId") && w.has("first") })
	r.Kill()
	open()
	w.Until("it has written, with no reader", func() bool { _, err := os.Stat(gate + ".written"); return err == nil })
	resume := w.Start(w.command("resume"))
	w.Until("what was in the FIFOs is shipped", func() bool { return w.has("\n10000\n") && w.has("by name\n") })
	resume.Stop(exitLeft)
	resume = w.Start(w.command("resume"))
	w.Until("the next one has both inputs", func() bool { return w.reads(resume, 2) })
	if err := os.WriteFile(gate+".end", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	resume.Wait(exitOK)
	if got, want := w.text(""), "{\"jobId\":\"j\"}\n"+outputOf(t, "seq 10000")+"last\n"; got != want {
		t.Errorf("of stdout came %d bytes, want %d", len(got), len(want))
	}
	if got, want := w.text("stderr"), "first\n"+outputOf(t, "seq 20000")+"by name\nlast\n"; got != want {
		t.Errorf("of stderr came %d bytes, want %d", len(got), len(want))
	}
	for _, source := range []string{"", "stderr"} {
		if in := w.all(source, 1)[0]; !in.Ended() {
			t.Errorf("no seal says that the input of %q ended", source)
		}
	}
	w.nothingLeft()
}

// When agent and shipper are both killed, what is in a FIFO is gone with them, and what had come
// out of it is shipped.
func TestExecKilledWithItsAgent(t *testing.T) {
	w := newWorld(t)
	r := w.exec(`echo '{"jobId":"j"}'; echo one >&2; while :; do sleep 0.01; done`)
	w.Until("its lines are shipped", func() bool { return w.has("jobId") && w.has("one") })
	r.Kill()
	w.KillAll()
	resume := w.Start(w.command("resume"))
	resume.Wait(exitOK)
	if got := w.text("stderr"); got != "one\n" {
		t.Errorf("%q came", got)
	}
	w.nothingLeft()
}

// A stderr of ours that takes nothing holds up neither the agent nor the shipping.
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
		t.Error("it does not wait for its stderr at all:", err)
	}
	stuck.Close() // its reader goes
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	w.nothingLeft()
}
