package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/cwlocal/localtest"
	"perstack-shipper/shipper/testkit"
)

// leave ships text from stdin to a group while CloudWatch is away, and returns the id of the input that stays in the journal.
func (w *sidecar) leave(group, text string, args ...string) string {
	w.t.Helper()
	before := w.Kept()
	w.FailPuts(localtest.Unavailable())
	p := w.run([]byte(text), append([]string{"--log-group", group, "--journal-dir", w.Journal, "--give-up-after", "1s"}, args...)...)
	p.Wait(75)
	p.MustSay(fmt.Sprintf("%d bytes", len(text)), "resume --journal-dir "+w.Journal)
	w.FailPuts(cwlocal.Fault{})
	for _, id := range w.Kept() {
		if !slices.Contains(before, id) {
			return id
		}
	}
	w.t.Fatal("nothing stays in the journal")
	return ""
}

func (w *sidecar) resume(args ...string) *testkit.Process {
	w.t.Helper()
	return w.run(nil, append([]string{"resume", "--journal-dir", w.Journal}, args...)...)
}

// wasShipped fails the test unless a group has exactly that input.
func (w *sidecar) wasShipped(group, id, text string) *testkit.Input {
	w.t.Helper()
	for _, in := range w.GatheredFrom(group).Sorted() {
		if in.ID != id {
			continue
		}
		if got := textOf(w.t, in); got != text {
			w.t.Errorf("input %s in %s is %.200q, want %.200q", id, group, got, text)
		}
		return in
	}
	w.t.Fatalf("input %s is not in %s", id, group)
	return nil
}

func TestResumeShipsToEveryTarget(t *testing.T) {
	w := newSidecar(t)
	groups := []string{"/perstack/one", "/perstack/two", "/perstack/three"}
	var ids []string
	for n, group := range groups {
		ids = append(ids, w.leave(group, lines(fmt.Sprint("job", n), 0, 10), "--retention-days", fmt.Sprint([]int{1, 3, 5}[n]), "--field", fmt.Sprintf("n=%d", n)))
	}
	p := w.resume()
	p.Wait(0)
	if strings.Count(p.Said(), "shipped 30 lines") != 1 {
		t.Error("no summary of all")
	}
	for n, group := range groups {
		in := w.wasShipped(group, ids[n], lines(fmt.Sprint("job", n), 0, 10))
		if !ended(t, in) {
			t.Errorf("the seal in %s does not say that it ended", group)
		}
		if r := in.Lines[testkit.Place{Seq: 1}]; !bytes.Contains(r.ShipperMember, fmt.Appendf(nil, `"n":"%d"`, n)) {
			t.Errorf("shipped without its field: %s", r.ShipperMember)
		}
	}
	if kept := w.Kept(); len(kept) > 0 {
		t.Errorf("the journal keeps %q", kept)
	}
	p = w.resume()
	p.Wait(0)
	p.MustSay("nothing is left in " + w.Journal)
}

// What one target refuses does not keep the others waiting, and stays.
func TestResumeWithOneTargetAway(t *testing.T) {
	w := newSidecar(t)
	good, bad := w.leave("/perstack/good", lines("a", 0, 10)), w.leave("/perstack/bad", lines("b", 0, 10))
	decide := testkit.Fault(func(call *cwlocal.Call) cwlocal.Fault {
		if call.Group == "/perstack/bad" {
			return localtest.Unavailable()
		}
		return cwlocal.Fault{}
	})
	w.Fail(decide)
	p := w.resume("--give-up-after", "1s")
	p.Wait(75)
	p.MustSay(filepath.Join(w.Journal, bad))
	w.wasShipped("/perstack/good", good, lines("a", 0, 10))
	if kept := w.Kept(); !slices.Equal(kept, []string{bad}) {
		t.Errorf("the journal keeps %q", kept)
	}
	w.FailPuts(cwlocal.Fault{})
	w.resume().Wait(0)
	w.wasShipped("/perstack/bad", bad, lines("b", 0, 10))
}

func TestResumeSaysWhatWasRejected(t *testing.T) {
	w := newSidecar(t)
	id := w.leave(sidecarGroup, lines("a", 0, 3)+`{"jobId":"a","poison":1}`+"\n"+lines("a", 3, 6))
	decide := testkit.Fault(func(call *cwlocal.Call) cwlocal.Fault {
		if call.Action == "PutLogEvents" && bytes.Contains(call.Body, []byte("poison")) {
			return cwlocal.Fault{Code: "InvalidParameterException", Message: "Log event is invalid"}
		}
		return cwlocal.Fault{}
	})
	w.Fail(decide)
	p := w.resume()
	p.Wait(65)
	rejects := filepath.Join(w.Journal, id, "rejects.jsonl")
	p.MustSay(rejects)
	if data, err := os.ReadFile(rejects); err != nil || bytes.Count(data, []byte("\n")) != 1 || !bytes.Contains(data, []byte("poison")) {
		t.Errorf("%s, %v", data, err)
	}
	p = w.resume()
	p.Wait(0)
	p.MustSay("nothing is left")
}

// A journal that was damaged is shipped as far as it is there, and what is missing is said; that is no business of a process with an input of its own.
func TestDamagedLeftover(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(dir string) error
		text   string // what comes of it
		said   string
		code   int // of resume
	}{
		{"segment cut", func(dir string) error { return cutSegment(dir, 30) }, lines("a", 0, 9), "missing", 65},
		{"cursors spoilt", spoilCursors, lines("a", 0, 10), "cursor", 0},
		{"options gone", func(dir string) error { return os.Remove(filepath.Join(dir, "about")) }, "", "does not say what it is for", 75},
	} {
		for _, by := range []string{"resume", "another"} {
			t.Run(c.name+" "+by, func(t *testing.T) {
				w := newSidecar(t)
				id := w.leave(sidecarGroup, lines("a", 0, 10))
				if err := c.damage(filepath.Join(w.Journal, id)); err != nil {
					t.Fatal(err)
				}
				var p *testkit.Process
				if by == "resume" {
					p = w.resume()
					p.Wait(c.code)
				} else {
					p = w.run([]byte(lines("own", 0, 3)), "--log-group", sidecarGroup, "--journal-dir", w.Journal)
					p.Wait(0)
					w.input(lines("own", 0, 3))
				}
				p.MustSay(c.said, id)
				if c.text == "" {
					if kept := w.Kept(); !slices.Equal(kept, []string{id}) {
						t.Errorf("the journal keeps %q", kept)
					}
					return
				}
				got := ""
				for _, in := range w.shipped() {
					if in.ID == id {
						got = textOf(t, in)
					}
				}
				if !strings.HasPrefix(got, c.text) {
					t.Errorf("shipped is %q", got)
				}
				if kept := w.Kept(); len(kept) > 0 {
					t.Errorf("the journal keeps %q", kept)
				}
			})
		}
	}
}

func cutSegment(dir string, bytes int64) error {
	segments, err := filepath.Glob(filepath.Join(dir, "*.segment"))
	if err != nil {
		return err
	}
	last := segments[len(segments)-1]
	info, err := os.Stat(last)
	if err != nil {
		return err
	}
	return os.Truncate(last, info.Size()-bytes)
}

func spoilCursors(dir string) error {
	for _, name := range []string{"cursor.a", "cursor.b"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("no cursor"), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// What earlier processes left goes beside the own input; for another target it waits, and is named once.
func TestLeftoversBesideTheOwnInput(t *testing.T) {
	w := newSidecar(t)
	mine, other := w.leave(sidecarGroup, lines("a", 0, 10), "--field", "run=first"), w.leave("/perstack/other", lines("b", 0, 10))
	p := w.run([]byte(lines("own", 0, 3)), "--log-group", sidecarGroup, "--journal-dir", w.Journal)
	p.Wait(0)
	if n := strings.Count(p.Said(), other); n != 2 || !strings.Contains(p.Said(), "/perstack/other") { // its id and its folder, in one line
		t.Errorf("%d times said", n)
	}
	p.MustSay("shipped 3 lines") // its own
	w.input(lines("own", 0, 3))
	in := w.wasShipped(sidecarGroup, mine, lines("a", 0, 10))
	if r := in.Lines[testkit.Place{Seq: 1}]; !bytes.Contains(r.ShipperMember, []byte(`"run":"first"`)) || !ended(t, in) {
		t.Errorf("ended %v, shipped as %s", ended(t, in), r.ShipperMember)
	}
	if kept := w.Kept(); !slices.Equal(kept, []string{other}) || len(w.GatheredFrom("/perstack/other")) > 0 {
		t.Errorf("the journal keeps %q", kept)
	}
}

// Leftovers that cannot be delivered keep no process for longer than the drain, and are not its fault.
func TestLeftoverThatCannotBeDelivered(t *testing.T) {
	w := newSidecar(t)
	left := w.leave(sidecarGroup, lines("a", 0, 10))
	decide := testkit.Fault(func(call *cwlocal.Call) cwlocal.Fault {
		if call.Stream == "a" {
			return localtest.Throttle()
		}
		return cwlocal.Fault{}
	})
	w.Fail(decide)
	began := time.Now()
	p := w.run([]byte(lines("own", 0, 3)), "--log-group", sidecarGroup, "--journal-dir", w.Journal, "--drain-timeout", "1s")
	p.Wait(0)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	p.MustSay(filepath.Join(w.Journal, left))
	w.input(lines("own", 0, 3))
}

// resume ships what a followed file holds beyond the cursor, and leaves the cursor for who follows it again.
func TestResumeOfAFollowedFile(t *testing.T) {
	w := newSidecar(t)
	w.write("run.jsonl", lines("a", 0, 5))
	p := w.follow("--input", w.path("run.jsonl"))
	w.Until("it is shipped", func() bool { return w.has(w.path("run.jsonl"), lines("a", 0, 5)) })
	p.Kill()
	w.write("run.jsonl", lines("a", 5, 10))
	w.resume().Wait(0)
	if ended(t, w.input(lines("a", 0, 10))) {
		t.Error("the seal says that it ended")
	}
	p = w.resume()
	p.Wait(0)
	p.MustSay("nothing is left")
	// Another process on that journal has no part in it.
	w.write("run.jsonl", lines("a", 10, 15))
	w.run([]byte(lines("own", 0, 3)), "--log-group", sidecarGroup, "--journal-dir", w.Journal).Wait(0)
	w.write("run.jsonl", lines("a", 15, 20))
	w.follow("--input", w.path("run.jsonl"), "--until-idle", "100ms").Wait(0)
	if in := w.input(lines("a", 0, 20)); in.Repeats > 5 {
		t.Errorf("%d repeats", in.Repeats)
	}
	w.input(lines("own", 0, 3))

	// Renamed, it is found; deleted, it is said to be gone.
	w.write("run.jsonl", lines("a", 20, 25))
	w.rename("run.jsonl", "run.jsonl.1")
	w.resume().Wait(0)
	if !ended(t, w.input(lines("a", 0, 25))) || len(w.Kept()) > 0 {
		t.Errorf("the seal does not say that it ended; the journal keeps %q", w.Kept())
	}
	for _, c := range []struct {
		more, said string
		code       int
	}{
		{"", "is gone; all that was seen of it was shipped", 0},
		{lines("b", 5, 9), fmt.Sprintf("is gone; at least %d bytes of it were not shipped", len(lines("b", 5, 9))), 65},
	} {
		w.write("run.jsonl", lines("b", 0, 5))
		w.follow("--input", w.path("run.jsonl"), "--until-idle", "100ms").Wait(0)
		if c.more != "" {
			w.FailPuts(localtest.Unavailable())
			w.write("run.jsonl", c.more)
			p = w.follow("--input", w.path("run.jsonl"), "--drain-timeout", "1s")
			failed := w.Server.Stats().Errors["ServiceUnavailableException"]
			w.Until("a put has failed", func() bool { return w.Server.Stats().Errors["ServiceUnavailableException"] > failed })
			p.Stop(75)
			w.FailPuts(cwlocal.Fault{})
		}
		if err := os.Remove(w.path("run.jsonl")); err != nil {
			t.Fatal(err)
		}
		p = w.resume()
		p.Wait(c.code)
		p.MustSay(w.path("run.jsonl") + " " + c.said)
		if kept := w.Kept(); len(kept) > 0 {
			t.Errorf("the journal keeps %q", kept)
		}
	}
}

// Who follows a file waits for another process that ships what an earlier one left of it.
func TestFollowedFileIsLent(t *testing.T) {
	w := newSidecar(t)
	w.write("run.jsonl", lines("a", 0, 5))
	w.FailPuts(localtest.Unavailable())
	p := w.follow("--input", w.path("run.jsonl"))
	w.Until("a put has failed", func() bool { return w.Server.Stats().Errors["ServiceUnavailableException"] > 0 })
	p.Kill()
	stdin, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	defer writer.Close()
	cmd := exec.Command("perstack-shipper", "--log-group", sidecarGroup, "--journal-dir", w.Journal)
	cmd.Stdin = stdin
	other := w.Start(cmd)
	w.Until("another process has it", func() bool { return strings.Contains(other.Said(), "from where that stopped") })
	p = w.follow("--input", w.path("run.jsonl"))
	w.Until("it waits", func() bool {
		return strings.Contains(p.Said(), fmt.Sprintf("waits until process %d", other.Cmd.Process.Pid))
	})
	// One who is stopped before that has not shipped all.
	p.Stop(exitLeft)
	p.MustSay(w.path("run.jsonl")+" is not shipped here", fmt.Sprintf("process %d still ships", other.Cmd.Process.Pid))
	p = w.follow("--input", w.path("run.jsonl"))
	w.Until("it waits", func() bool { return strings.Contains(p.Said(), "waits until process") })
	w.write("run.jsonl", lines("a", 5, 10))
	w.FailPuts(cwlocal.Fault{})
	w.Until("all is shipped", func() bool { return w.has(w.path("run.jsonl"), lines("a", 0, 10)) })
	p.Stop(0)
	writer.Close()
	other.Wait(0)
	if in := w.input(lines("a", 0, 10)); ended(t, in) || in.Repeats > 0 {
		t.Errorf("ended %v, %d repeats", ended(t, in), in.Repeats)
	}
}

// A child that outlived its shipper goes on writing: resume ships it to its end, and nobody else waits for it.
func TestResumeOfALivingChild(t *testing.T) {
	w := newSidecar(t)
	script := fmt.Sprintf(`echo '{"jobId":"child","n":1}'; while [ ! -e %[1]s ]; do sleep 0.05; done; echo '{"jobId":"child","n":2}'`, w.path("go"))
	t.Cleanup(func() { w.write("go") })
	p := w.run(nil, "exec", "--log-group", sidecarGroup, "--journal-dir", w.Journal, "--flush-interval", "50ms", "--", "sh", "-c", script)
	const first, second = `{"jobId":"child","n":1}` + "\n", `{"jobId":"child","n":2}` + "\n"
	shipped := func(text string) bool {
		return slices.ContainsFunc(w.shipped(), func(in *testkit.Input) bool { got, _ := in.Text(); return got == text })
	}
	w.Until("its first line is shipped", func() bool { return shipped(first) })
	p.Kill()

	began := time.Now()
	w.run([]byte(lines("own", 0, 3)), "--log-group", sidecarGroup, "--journal-dir", w.Journal).Wait(0)
	p = w.resume()
	w.Until("resume is at work", func() bool { return strings.Contains(p.Said(), "from where it stopped") })
	p.Signal(syscall.SIGTERM)
	p.Wait(75)
	p.MustSay("has not ended")
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %s", took)
	}

	p = w.resume()
	w.Until("resume is at work", func() bool { return strings.Contains(p.Said(), "from where it stopped") })
	w.write("go")
	p.Wait(0)
	if !ended(t, w.input(first+second)) || len(w.Kept()) > 0 {
		t.Errorf("the seal does not say that it ended; the journal keeps %q", w.Kept())
	}
}

// A journal folder of another user is refused, untouched: what it holds may be anything.
func TestJournalOfAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root can give a folder to another user")
	}
	w := newSidecar(t)
	w.write("run.jsonl", lines("a", 0, 3))
	id := w.leave(sidecarGroup, lines("b", 0, 3))
	if err := os.Chown(w.Journal, 12345, -1); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*testkit.Process{w.follow("--input", w.path("run.jsonl")), w.resume(), w.run([]byte("{}\n"), "--log-group", "g", "--journal-dir", w.Journal)} {
		p.Wait(2)
		p.MustSay("--journal-dir", w.Journal+" belongs to user 12345")
	}
	if kept := w.Kept(); !slices.Equal(kept, []string{id}) || len(w.shipped()) > 0 {
		t.Errorf("the journal keeps %q, %d inputs are shipped", kept, len(w.shipped()))
	}
}
