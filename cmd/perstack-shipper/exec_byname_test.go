package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// This file shows agents that open /dev/stdout and /dev/stderr by name, which empties what is a file, and what a FIFO keeps when the shipper dies.

// wasTruncated is what is said of a stdout that was emptied.
const wasTruncated = "was truncated, as opening /dev/stdout by name does: output may be lost: "

// A FIFO may be opened by name as often as one likes: stderr is one, and stdout where that is asked for.
func TestExecOfAnAgentThatOpensItsOutputByName(t *testing.T) {
	s := newStage(t)
	r := s.exec(`echo '{"jobId":"j"}'; echo one >/dev/stdout; echo two; echo three | tee /dev/stderr >/dev/stdout
		for i in $(seq 500); do echo "trace $i" >&2; done; echo note >/dev/stderr; echo last >&2`, "--stdout=pipe", "--tee=all")
	r.Wait(exitOK)
	if got := s.text(""); got != "{\"jobId\":\"j\"}\none\ntwo\nthree\n" {
		t.Errorf("of stdout came %q", got)
	}
	want := "three\n" + outputOf(t, `for i in $(seq 500); do echo "trace $i"; done`) + "note\nlast\n"
	if got := s.text("stderr"); got != want {
		t.Errorf("of stderr came %q", got)
	}
	for _, part := range s.all("stderr", 1)[0].Lines {
		if part.JobID != "j" {
			t.Errorf("a line of it has job %q", part.JobID)
		}
	}
	if log := r.Said(); !strings.Contains(log, want) || strings.Contains(log, "truncated") {
		t.Errorf("it said\n%s", log)
	}
	s.nothingLeft()
}

// A stdout that is a file is emptied by that. It is said, with what is known to be lost and the remedy, in the seal and by the exit code; what the
// agent writes then is shipped, as the same input.
func TestExecOfAnAgentThatTruncatesItsStdout(t *testing.T) {
	for _, c := range []struct {
		name, before string
		shipped      bool
		say, seal    string
	}{
		{"all that was there was read", `{"jobId":"j"}`, true, "all that was seen of it had been read, but what was written to it since then is lost", `"truncated":{"times":1,"bytes":0}`},
		{"nobody saw what was there", `{"jobId":"j"}`, false, "", `"truncated":{"times":1,"bytes":`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			open := s.gate()
			wait := ""
			if c.shipped {
				wait = atGate
			}
			r := s.exec(`echo '`+c.before+`'; `+wait+`echo '{"jobId":"j","n":"a line that is longer than what stood there before"}' >/dev/stdout; echo three; echo err >&2`, "--tee=all")
			if c.shipped {
				s.Until("the first line is shipped", func() bool { return s.has(c.before) })
				open()
			}
			r.Wait(exitRejected)
			in, text := s.one("")
			want := "{\"jobId\":\"j\",\"n\":\"a line that is longer than what stood there before\"}\nthree\n"
			if c.shipped {
				want = c.before + "\n" + want
			}
			if got := strings.TrimPrefix(text, c.before+"\n"); got != strings.TrimPrefix(want, c.before+"\n") || c.shipped && text != want || !in.Ended() {
				t.Errorf("%q came, ended: %v", text, in.Ended())
			}
			if !strings.Contains(lastSeal(in), c.seal) {
				t.Errorf("the seal is %s", lastSeal(in))
			}
			if log := r.Said(); strings.Count(log, wasTruncated+c.say) != 1 || !strings.Contains(log, "--stdout pipe") {
				t.Errorf("it said\n%s", log)
			}
			if got := s.text("stderr"); got != "err\n" {
				t.Errorf("of stderr came %q", got)
			}
			s.nothingLeft()
		})
	}
}

// A stdout that is emptied and gets no line at all is said to be so, and nothing of it is left.
func TestExecOfAnAgentThatOnlyTruncates(t *testing.T) {
	s := newStage(t)
	s.exec(`: >/dev/stdout`).Wait(exitRejected)
	s.nothingLeft()
}

// What was on disk and not read is counted: CloudWatch is away, and memory is full.
func TestTruncatedBacklogIsCounted(t *testing.T) {
	s := newStage(t)
	s.stuck.Store(true)
	open := s.gate()
	_, script := s.bulk(80) // 20 MiB
	r := s.exec(script+`; touch $GATE.written; `+atGate+`: >/dev/stdout; echo '{"jobId":"j","n":"last"}'; touch $GATE.cut`, "--memory-max=8MiB")
	gate := strings.TrimPrefix(s.Env[len(s.Env)-1], "GATE=")
	s.Until("all is written", func() bool { _, err := os.Stat(gate + ".written"); return err == nil })
	open()
	s.Until("it is truncated", func() bool { _, err := os.Stat(gate + ".cut"); return err == nil })
	s.stuck.Store(false)
	r.Wait(exitRejected)
	if !r.Says(wasTruncated + "at least ") {
		t.Errorf("it said\n%s", r.Said())
	}
	in, text := s.one("")
	if got := text; !strings.HasSuffix(got, "\"n\":\"last\"}\n") || len(got) > 12<<20 {
		t.Errorf("%d bytes came, the last are %q", len(got), got[max(0, len(got)-40):])
	}
	if !strings.Contains(lastSeal(in), `"truncated":{"times":1,"bytes":1`) { // 10 to 19 MiB
		t.Errorf("the seal is %s", lastSeal(in))
	}
	s.nothingLeft()
}

// An agent that outlived its shipper empties its stdout while nobody looks: the next start says so, and ships what the file holds then.
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

// What an agent writes to a FIFO while no shipper is there stays in it, and does not kill the agent; the next start reads on, as often as need be.
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

// When agent and shipper are both killed, what is in a FIFO is gone with them, and what had come out of it is shipped.
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

// An orphan that holds the FIFOs is not waited for: what it writes when nobody reads is kept for the next start.
func TestExecOfAnAgentWhoseOrphanHoldsTheFIFOs(t *testing.T) {
	s := newStage(t)
	open := s.gate()
	r := s.exec(`( `+atGate+`echo late; echo late >&2 ) & echo '{"jobId":"j"}'; printf half >&2`, "--stdout=pipe")
	r.Wait(exitOK)
	if log := r.Said(); !strings.Contains(log, "what it writes to stdout and stderr from here on is kept in "+s.Journal+" (of stdout and stderr only 1 MiB, in a FIFO, ") {
		t.Errorf("it said\n%s", log)
	}
	if fifos, err := filepath.Glob(filepath.Join(s.Journal, "*", "fifo")); len(fifos) != 2 {
		t.Fatal(fifos, err)
	}
	resume := s.Start(s.command("resume"))
	s.Until("resume has both inputs", func() bool { return s.reads(resume, 2) })
	open()
	resume.Wait(exitOK)
	if out, errs := s.text(""), s.text("stderr"); out != "{\"jobId\":\"j\"}\nlate\n" || errs != "halflate\n" {
		t.Errorf("%q and %q came", out, errs)
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
