package run

import (
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/shipper"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/testkit/await"
)

// outlives leaves behind a command that has outlived its shipper. The command goes on with a script
// when open is called.
func (w *world) outlives(script string, tweaks ...func(*setup)) (open func()) {
	w.t.Helper()
	atGate, open := w.gate()
	p := w.exec(`echo '{"jobId":"j"}'; `+atGate+script, append(tweaks, readFor(200*time.Millisecond))...)
	await.Until(w.t, "the first line is shipped", func() bool { return w.holds("jobId") })
	p.stop(Left)
	if p.result.Ended {
		w.t.Fatalf("the command has ended: %+v", p.result)
	}
	return open
}

// dieAs leaves the journal of a command that has ended and had the same process group as the
// surviving command. Its id sorts after all others.
func (w *world) dieAs(text string) {
	w.t.Helper()
	group := 0
	left, err := w.Folder().Leftover()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, l := range left {
		a, err := readAbout(l)
		if err != nil {
			w.t.Fatal(err)
		}
		group = max(group, a.ProcessGroup)
	}
	if group == 0 {
		w.t.Fatal("no journal names a process group")
	}
	w.session(nil, func(_ *setup, session *Session, _ *going) (Outcome, error) {
		const id = "zzzzzzzz"
		a := session.newAbout(session.shapeOf(id), "", "")
		a.ProcessGroup = group
		j, out, err := session.folder.NewOutput(id, a.encode(), journal.Options{})
		if err != nil {
			return Failed, err
		}
		defer j.Close()
		defer out.Close()
		_, err = out.WriteString(text)
		return Left, err
	}).wait(Left)
}

// resume keeps a surviving command below --journal-max, also if the journal of a dead command names
// the same process group, because containers use the same ids again.
func TestSurvivorIsKeptBelowTheLimit(t *testing.T) {
	w := newSerialWorld(t)
	w.needsLinux("exec")
	if disk, err := w.Folder().Disk(); err != nil || !disk.Holes {
		t.Skipf("NOT TESTED: this file system punches no holes (%v)", err)
	}
	limit := func(s *setup) { s.Journal.Max = 16 << 20 }
	enough := w.path("enough")
	// The command writes until the file exists. The count bounds what it writes if nobody stops it.
	open := w.outlives(`n=0; text=`+strings.Repeat("x", 16<<10)+`
		until [ -e `+enough+` ] || [ $n -gt 300 ]; do
			for i in 1 2 3 4 5 6 7 8; do echo $text; done; n=$((n+1)); sleep 0.01
		done; echo last`, limit)
	w.dieAs("{\"jobId\":\"dead\"}\n")
	w.away()
	resume := w.resume(limit)
	await.Until(t, "resume has all inputs", func() bool { return w.held() == len(w.Kept()) })
	open()
	await.Until(t, "the command is stopped or has ended", func() bool {
		return resume.says("the limit of --journal-max: the command is stopped") || w.inOutput("last\n")
	})
	resume.mustSay("the limit of --journal-max: the command is stopped")
	w.touch(enough)
	w.back()
	resume.wait(Delivered)
	resume.mustSay("the command goes on after")
	if !w.holds("last\n") {
		t.Error("the last line of the command is not shipped")
	}
	w.nothingKept()
}

// resume does not advise to use exec if exec ran the command that died in the middle of its output.
func TestSurvivorThatDies(t *testing.T) {
	w := newSerialWorld(t)
	open := w.outlives(`echo '` + strings.TrimSpace(runEvent("startRun", "j")) + `'; printf '{"type":"x' >&2; kill -9 $$`)
	resume := w.resume()
	await.Until(t, "resume has both inputs", func() bool { return w.held() == 2 })
	open()
	resume.wait(Delivered)
	const died = "; the command ended, or was killed, before it had written more"
	if n := strings.Count(resume.said(), died); n != 2 || resume.says("use `perstack-shipper exec`") {
		t.Errorf("%d inputs are reported as cut short, want 2", n)
	}
	w.nothingKept()
}

// If the bytes of a surviving command cannot be moved to the journal, its input has not ended.
func TestMoverOfASurvivorFails(t *testing.T) {
	w := newSerialWorld(t)
	w.needsLinux("a FIFO of a journal")
	var stderr *os.File
	w.session(nil, func(_ *setup, session *Session, _ *going) (Outcome, error) {
		const id = "aaaaaaaa"
		j, in, err := session.folder.NewFIFO(id, session.newAbout(session.shapeOf(id), "", "").encode(), session.keep)
		if err != nil {
			return Failed, err
		}
		stderr = in
		return Left, j.Close()
	}).wait(Left)
	defer stderr.Close()
	folder := w.Folder()
	left, err := folder.Leftover()
	if err != nil || len(left) != 1 {
		t.Fatalf("%v is left, %v", left, err)
	}
	a, err := readAbout(left[0])
	if err != nil {
		t.Fatal(err)
	}
	in, err := recoverInput(t.Context(), folder, left[0], a, Patience{}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer in.Journal.Close()
	if err := in.mover.j.End(); err != nil { // from now on, it takes no bytes
		t.Fatal(err)
	}
	if _, err := stderr.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	<-in.mover.done
	if !in.mover.hasFailed() || in.Ending() != shipper.PausedInLine {
		t.Errorf("the mover has failed: %v; the input ends as %v", in.mover.hasFailed(), in.Ending())
	}
	stderr.Close()
}
