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
	s := newStage(t)
	open := s.gate()
	r := s.exec(`echo one; ` + atGate + `echo two >/dev/stdout; touch $GATE.two; until [ -e $GATE.three ]; do sleep 0.01; done; echo three`)
	s.Until("the first line is in the journal", func() bool { return s.wrote("one\n") })
	r.Kill()
	open()
	gate := strings.TrimPrefix(s.Env[len(s.Env)-1], "GATE=")
	s.Until("it has truncated", func() bool { _, err := os.Stat(gate + ".two"); return err == nil })
	resume := s.Start(s.command("resume"))
	s.Until("the cut is noticed", func() bool { return resume.Says(wasTruncated) })
	if err := os.WriteFile(gate+".three", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	resume.Wait(exitRejected)
	in, text := s.one("")
	if got := strings.TrimPrefix(text, "one\n"); got != "two\nthree\n" || !in.Ended() || !strings.Contains(lastSeal(in), `"truncated":{"times":1`) {
		t.Errorf("%q came, ended: %v, the seal is %s", text, in.Ended(), lastSeal(in))
	}
	s.nothingLeft()
}

// What an agent writes to a FIFO while no shipper is there stays in it, and does not kill the
// agent; the next start reads on, as often as need be.
func TestExecKilledKeepsWhatIsInTheFIFOs(t *testing.T) {
	s := newStage(t)
	open := s.gate()
	gate := strings.TrimPrefix(s.Env[len(s.Env)-1], "GATE=")
	r := s.exec(`echo '{"jobId":"j"}'; echo first >&2; `+atGate+`seq 10000; seq 20000 >&2; echo by name >/dev/stderr; touch $GATE.written
		until [ -e $GATE.end ]; do sleep 0.01; done; echo last; echo last >&2`, "--stdout=pipe")
	s.Until("the first lines are shipped", func() bool { return s.has("jobId") && s.has("first") })
	r.Kill()
	open()
	s.Until("it has written, with no reader", func() bool { _, err := os.Stat(gate + ".written"); return err == nil })
	resume := s.Start(s.command("resume"))
	s.Until("what was in the FIFOs is shipped", func() bool { return s.has("\n10000\n") && s.has("by name\n") })
	resume.Stop(exitLeft)
	resume = s.Start(s.command("resume"))
	s.Until("the next one has both inputs", func() bool { return s.reads(resume, 2) })
	if err := os.WriteFile(gate+".end", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	resume.Wait(exitOK)
	if got, want := s.text(""), "{\"jobId\":\"j\"}\n"+outputOf(t, "seq 10000")+"last\n"; got != want {
		t.Errorf("of stdout came %d bytes, want %d", len(got), len(want))
	}
	if got, want := s.text("stderr"), "first\n"+outputOf(t, "seq 20000")+"by name\nlast\n"; got != want {
		t.Errorf("of stderr came %d bytes, want %d", len(got), len(want))
	}
	for _, source := range []string{"", "stderr"} {
		if in := s.all(source, 1)[0]; !in.Ended() {
			t.Errorf("no seal says that the input of %q ended", source)
		}
	}
	s.nothingLeft()
}

// When agent and shipper are both killed, what is in a FIFO is gone with them, and what had come
// out of it is shipped.
func TestExecKilledWithItsAgent(t *testing.T) {
	s := newStage(t)
	r := s.exec(`echo $$ >$STAGE/pid; echo '{"jobId":"j"}'; echo one >&2; while :; do sleep 0.01; done`)
	s.Until("its lines are shipped", func() bool { return s.has("jobId") && s.has("one") })
	r.Kill()
	s.killRest()
	resume := s.Start(s.command("resume"))
	resume.Wait(exitOK)
	if got := s.text("stderr"); got != "one\n" {
		t.Errorf("%q came", got)
	}
	s.nothingLeft()
}

// A stderr of ours that takes nothing holds up neither the agent nor the shipping.
func TestExecWhoseStderrIsStuck(t *testing.T) {
	s := newStage(t)
	stuck, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close()
	c := s.command("exec", "--log-level=error", "--", "sh", "-c", `seq 100000 >&2; echo '{"jobId":"j"}'`)
	c.Stderr = w
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	s.Until("all is shipped", func() bool { return s.has("jobId") && s.has("\n100000\n") })
	if err := syscall.Kill(c.Process.Pid, 0); err != nil {
		t.Error("it does not wait for its stderr at all:", err)
	}
	stuck.Close() // its reader goes
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	s.nothingLeft()
}
