package run

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"perstack-shipper/shipper/child"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/testkit/await"
)

// gate is a file that a script waits for. at is the script's code that waits, and open creates the
// file.
func (w *world) gate() (at string, open func()) {
	path := filepath.Join(w.t.TempDir(), "gate")
	return "until [ -e " + path + " ]; do sleep 0.01; done; ", func() { w.touch(path) }
}

func (w *world) touch(path string) {
	w.t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// wantCode waits for the end of the run and of its command.
func (g *going) wantCode(code int, want Outcome) {
	g.t.Helper()
	g.wait(want)
	if !g.result.Ended || g.result.Code != code {
		g.t.Errorf("the command has ended: %v, with code %d; want %d", g.result.Ended, g.result.Code, code)
	}
}

// wantText checks what was shipped of one source, "" for stdout, and that it was sealed as ended.
func (w *world) wantText(source, want string) {
	w.t.Helper()
	in := w.source(source)
	if got := w.text(in); got != want {
		w.t.Errorf("%d bytes of %q are shipped, want %d: %.300q", len(got), source, len(want), got)
	}
	if !w.ended(in) {
		w.t.Errorf("the seal of %q does not say that it ended", source)
	}
}

// held returns how many inputs in the journal folder a process holds.
func (w *world) held() (n int) {
	w.t.Helper()
	left, err := w.Folder().Leftover()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, l := range left {
		if l.Holder != 0 {
			n++
		}
	}
	return n
}

// inOutput reports whether the file that is the command's stdout contains the text.
func (w *world) inOutput(text string) bool {
	found, _ := filepath.Glob(filepath.Join(w.Journal, "*", "*.output"))
	return slices.ContainsFunc(found, func(f string) bool {
		data, err := os.ReadFile(f)
		return err == nil && bytes.Contains(data, []byte(text))
	})
}

func outputOf(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.CommandContext(await.Context(t), "sh", "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// Everything that an agent wrote before it died is shipped, whatever killed it.
func TestExecOfAnAgentThatWritesAndDies(t *testing.T) {
	w := newSerialWorld(t)
	twoMB := `seq -f '{"type":"continueToNextStep","jobId":"j","runId":"r","timestamp":1795347082176,"n":%.0f,"text":"` +
		strings.Repeat("a few words to make it longer ", 32) + `"}' 1 2000`
	want := outputOf(t, twoMB)
	if len(want) < 2e6 {
		t.Fatalf("the script writes %d bytes only", len(want))
	}
	w.exec(twoMB+`; echo '{"type":"x","jobId":"j"}' >&2; kill -9 $$`).wantCode(128+9, Delivered)
	w.wantText("", want)
	w.wantText("stderr", `{"type":"x","jobId":"j"}`+"\n")
	w.nothingKept()
}

// A command that cannot be started leaves nothing behind.
func TestExecOfAnAgentThatCannotStart(t *testing.T) {
	w := newSerialWorld(t)
	w.needsLinux("exec")
	p := w.session(nil, func(s *setup, session *Session, g *going) (Outcome, error) {
		result, err := session.Exec(ExecOptions{File: w.path("none"), Command: []string{"none"}, Stdin: os.Stdin})
		return result.Outcome, err
	})
	p.end()
	if start, ok := errors.AsType[*child.StartError](p.err); !ok || start.Code != child.CodeNotExecutable {
		t.Errorf("%v", p.err)
	}
	w.nothingKept()
}

// A command that ignores a signal is not killed: the run ends in time, and the next run ships the
// rest.
func TestExecOfAnAgentThatGoesOnAtTheDeadline(t *testing.T) {
	w := newSerialWorld(t)
	atGate, open := w.gate()
	p := w.exec(`echo '{"jobId":"j"}'; printf half; `+atGate+`echo " a line"; echo last`, readFor(200*time.Millisecond))
	await.Until(t, "the first line is shipped", func() bool { return w.holds("jobId") })
	p.stop(Left)
	if p.result.Ended || !p.result.Left {
		t.Errorf("%+v", p.result)
	}
	p.mustSay("the command (process ", "is still running; what it writes to stdout and stderr from now on is kept in "+w.Journal)
	resume := w.resume()
	await.Until(t, "resume has both inputs", func() bool { return w.held() == 2 })
	open()
	resume.wait(Delivered)
	w.wantText("", "{\"jobId\":\"j\"}\nhalf a line\nlast\n")
	w.nothingKept()
}

func orphans(patience time.Duration) func(*setup) {
	return func(s *setup) { s.Patience.Orphans = patience }
}

// A run does not wait for an orphan that keeps stdout open. What the orphan writes later is kept.
func TestExecOfAnAgentThatLeavesAnOrphan(t *testing.T) {
	w := newSerialWorld(t)
	atGate, open := w.gate()
	closed := w.path("closed") // says that the orphan has closed its stderr
	p := w.exec(`( : >`+closed+`; `+atGate+`echo late ) 2>&- & until [ -e `+closed+` ]; do sleep 0.01; done; echo '{"jobId":"j"}'`, orphans(20*time.Millisecond))
	p.wantCode(0, Delivered)
	p.mustSay("processes that the command left behind are still running; what they write to stdout from now on is kept in " + w.Journal + ": the next start")
	if got := w.text(w.source("")); got != "{\"jobId\":\"j\"}\n" {
		t.Errorf("%q is shipped", got)
	}
	open()
	w.resume().wait(Delivered)
	w.wantText("", "{\"jobId\":\"j\"}\nlate\n")
	w.nothingKept()
}

// npx ends before the agent that it started, whose last lines come a moment later.
func TestExecTakesTheLastLinesOfAnOrphan(t *testing.T) {
	w := newSerialWorld(t)
	w.exec(`( sleep 0.2; echo last ) & echo first`, orphans(await.Deadline)).wantCode(0, Delivered)
	w.wantText("", "first\nlast\n")
	w.nothingKept()
}

// A command that closes its stdout has not ended.
func TestExecOfAnAgentThatClosesItsStdout(t *testing.T) {
	w := newSerialWorld(t)
	atGate, open := w.gate()
	p := w.exec(`echo first; exec >&-; ` + atGate + `echo second >&2; exit 3`)
	await.Until(t, "the first line is written", func() bool { return w.inOutput("first") })
	open()
	p.wantCode(3, Delivered)
	w.wantText("", "first\n")
	w.wantText("stderr", "second\n")
	w.nothingKept()
}

// If an agent ends while CloudWatch is unavailable, its output is left, and the exit code is its
// own.
func TestExecWithoutCloudWatch(t *testing.T) {
	for _, code := range []int{0, 7} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			w := newSerialWorld(t)
			w.away()
			p := w.exec(fmt.Sprintf(`echo kept; exit %d`, code), giveUp(50*time.Millisecond))
			p.wantCode(code, Left)
			if !p.result.Left {
				t.Error("the result does not say that some output is left")
			}
			w.back()
			w.resume().wait(Delivered)
			w.wantText("", "kept\n")
			w.nothingKept()
		})
	}
}

// If a job fails, the run fails, although its command succeeded.
func TestExecFailOn(t *testing.T) {
	w := newSerialWorld(t)
	failOn := func(s *setup) { s.FailOn = []string{"unfinished"} }
	script := `echo '` + strings.TrimSuffix(runEvent("startRun", "a"), "\n") + `'; exit `
	p := w.exec(script+"0", failOn)
	p.wantCode(0, Failed)
	p.mustSay("exit code 1 because of --fail-on unfinished")
	p = w.exec(script+"4", failOn)
	p.wantCode(4, Delivered)
	if p.says("--fail-on") {
		t.Error("--fail-on is logged although the command failed itself")
	}
}

// What an agent writes is put as soon as the flush interval allows, because its writes wake the
// loop.
func TestExecIsPrompt(t *testing.T) {
	w := newSerialWorld(t)
	seen := make(chan time.Duration, 100)
	stamp := regexp.MustCompile(`at (\d{19})`)
	w.Fail(func(call *cwlocal.Call) cwlocal.Fault {
		for _, m := range stamp.FindAllSubmatch(call.Body, -1) {
			if ns, err := strconv.ParseInt(string(m[1]), 10, 64); err == nil && call.Action == "PutLogEvents" {
				seen <- time.Since(time.Unix(0, ns))
			}
		}
		return cwlocal.Fault{}
	})
	w.exec(`echo '{"jobId":"j"}'; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; echo "at $(date +%s%N)"; done`).wantCode(0, Delivered)
	var took []time.Duration
	for len(seen) > 0 {
		took = append(took, <-seen)
	}
	if len(took) != 10 {
		t.Fatalf("%d of 10 lines were put", len(took))
	}
	slices.Sort(took)
	t.Logf("from the write to the put: %s to %s, half of them within %s", took[0], took[9], took[4])
	if took[4] > time.Second {
		t.Errorf("half of the lines took longer than %s", took[4])
	}
}

// wasTruncated is the message about a stdout that was truncated.
const wasTruncated = "was truncated, as opening /dev/stdout by name does: output may be lost: "

// A FIFO may be opened by name any number of times. stderr is a FIFO, and stdout if the option asks
// for it.
func TestExecOfAnAgentThatOpensItsOutputByName(t *testing.T) {
	w := newSerialWorld(t)
	copied := &bytes.Buffer{}
	p := w.exec(`echo '{"jobId":"j"}'; echo one >/dev/stdout; echo two; echo three | tee /dev/stderr >/dev/stdout
		for i in $(seq 500); do echo "trace $i" >&2; done; echo note >/dev/stderr; echo last >&2`,
		func(s *setup) { s.pipe, s.copyStderr = true, copied })
	p.wantCode(0, Delivered)
	w.wantText("", "{\"jobId\":\"j\"}\none\ntwo\nthree\n")
	want := "three\n" + outputOf(t, `for i in $(seq 500); do echo "trace $i"; done`) + "note\nlast\n"
	w.wantText("stderr", want)
	for _, e := range w.source("stderr").Lines {
		if e.JobID != "j" {
			t.Errorf("a line of stderr has job %q", e.JobID)
		}
	}
	if copied.String() != want || p.says("truncated") {
		t.Errorf("copied: %.300q; the run said\n%s", copied, p.said())
	}
	w.nothingKept()
}

// Opening a stdout that is a file by name truncates it. The log, the seal and the outcome report
// that, with the bytes known to be lost and the remedy. What the agent writes afterwards is shipped
// as the same input.
func TestExecOfAnAgentThatTruncatesItsStdout(t *testing.T) {
	const before, after = "{\"jobId\":\"j\"}\n", "{\"jobId\":\"j\",\"n\":\"a line that is longer than what stood there before\"}\nthree\n"
	for _, c := range []struct {
		name      string
		shipped   bool
		say, seal string
	}{
		{"all that was there was read", true, "everything seen of it had been read, but what was written since then is lost", `"truncated":{"times":1,"bytes":0}`},
		{"nobody saw what was there", false, "", `"truncated":{"times":1,"bytes":`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newSerialWorld(t)
			atGate, open := w.gate()
			if !c.shipped {
				atGate = ""
			}
			p := w.exec(`echo '{"jobId":"j"}'; ` + atGate + `echo '{"jobId":"j","n":"a line that is longer than what stood there before"}' >/dev/stdout; echo three; echo err >&2`)
			if c.shipped {
				await.Until(t, "the first line is shipped", func() bool { return w.holds(before) })
				open()
			}
			p.wantCode(0, Rejected)
			in := w.source("")
			got := w.text(in)
			if got != before+after && (c.shipped || got != after) || !in.Ended() {
				t.Errorf("%q is shipped, ended: %v", got, in.Ended())
			}
			if seal, _ := in.Seal(); !strings.Contains(seal.Message, c.seal) {
				t.Errorf("the seal is %s", seal.Message)
			}
			if said := p.said(); strings.Count(said, wasTruncated+c.say) != 1 || !strings.Contains(said, "--stdout pipe") {
				t.Errorf("the run said\n%s", said)
			}
			w.wantText("stderr", "err\n")
			w.nothingKept()
		})
	}
}

// A stdout that is truncated and gets no line is reported too, and nothing of it is left.
func TestExecOfAnAgentThatOnlyTruncates(t *testing.T) {
	w := newSerialWorld(t)
	w.exec(`: >/dev/stdout`).wantCode(0, Rejected)
	w.nothingKept()
}

// Bytes that are on disk and were not read are counted: CloudWatch is unavailable, and memory is
// full.
func TestTruncatedBacklogIsCounted(t *testing.T) {
	w := newSerialWorld(t)
	w.away()
	atGate, open := w.gate()
	written, cut := w.path("written"), w.path("cut")
	long := `{"type":"continueToNextStep","jobId":"j","runId":"r","text":"` + strings.Repeat("x", 8<<10-64) + `"}`
	script := fmt.Sprintf(`seq -f '%s%%.0f' 1 2560`, long) // 20 MiB
	p := w.exec(script+`; : >`+written+`; `+atGate+`: >/dev/stdout; echo '{"jobId":"j","n":"last"}'; : >`+cut,
		func(s *setup) { s.Delivery.MemoryMax = 8 << 20 })
	exists := func(path string) func() bool {
		return func() bool { _, err := os.Stat(path); return err == nil }
	}
	await.Until(t, "everything is written", exists(written))
	open()
	await.Until(t, "stdout is truncated", exists(cut))
	w.back()
	p.wantCode(0, Rejected)
	p.mustSay(wasTruncated + "at least ")
	in := w.source("")
	if got := w.text(in); !strings.HasSuffix(got, "\"n\":\"last\"}\n") || len(got) > 12<<20 {
		t.Errorf("%d bytes are shipped, the last are %q", len(got), got[max(0, len(got)-40):])
	}
	if seal, _ := in.Seal(); seal.Truncated.Times != 1 || seal.Truncated.Bytes < 8<<20 || seal.Truncated.Bytes > 20<<20 {
		t.Errorf("the seal is %s", seal.Message)
	}
	w.nothingKept()
}

// A run does not wait for an orphan that keeps the FIFOs open. What the orphan writes later is kept
// for the next start.
func TestExecOfAnAgentWhoseOrphanHoldsTheFIFOs(t *testing.T) {
	w := newSerialWorld(t)
	atGate, open := w.gate()
	p := w.exec(`( `+atGate+`echo late; echo late >&2 ) & echo '{"jobId":"j"}'; printf half >&2`, orphans(20*time.Millisecond), func(s *setup) { s.pipe = true })
	p.wantCode(0, Delivered)
	p.mustSay("what they write to stdout and stderr from now on is kept in " + w.Journal + " (of stdout and stderr only 1 MiB, in a FIFO, ")
	if fifos, err := filepath.Glob(filepath.Join(w.Journal, "*", "fifo")); len(fifos) != 2 {
		t.Fatal(fifos, err)
	}
	resume := w.resume()
	await.Until(t, "resume has both inputs", func() bool { return w.held() == 2 })
	open()
	resume.wait(Delivered)
	w.wantText("", "{\"jobId\":\"j\"}\nlate\n")
	w.wantText("stderr", "halflate\n")
	w.nothingKept()
}

// A second signal ends a run at once, and what is not shipped is left.
func TestExecSecondSignal(t *testing.T) {
	w := newSerialWorld(t)
	w.away()
	atGate, open := w.gate()
	p := w.exec(`echo '{"jobId":"j"}'; ` + atGate)
	await.Until(t, "the command has written", func() bool { return w.inOutput("jobId") })
	p.signal()
	await.Until(t, "the run has the first signal", func() bool { return p.says("another signal stops at once") })
	p.signals <- syscall.SIGINT
	p.wait(Left)
	p.mustSay("bytes of the input are not delivered (stopped by a second signal)")
	open()
	w.back()
	w.resume().wait(Delivered)
	w.wantText("", "{\"jobId\":\"j\"}\n")
	w.nothingKept()
}
