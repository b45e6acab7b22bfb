package run

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"perstack-shipper/shipper/cwlocal/localtest"
	"perstack-shipper/shipper/testkit/await"
)

func TestFollowedFileGrows(t *testing.T) {
	w := newWorld(t)
	w.write("run.jsonl", lines("a", 0, 10))
	p := w.follow(paths(w.path("run.jsonl")))
	text := lines("a", 0, 10)
	await.Until(t, "the file is shipped", func() bool { return w.has(w.path("run.jsonl"), text) })

	// Half a line waits for its rest, while whole lines of another file are shipped.
	next := line("a", 10)
	w.write("run.jsonl", next[:20])
	for n := 11; n < 15; n++ {
		w.write("run.jsonl", next[20:], line("a", n)[:20])
		text += next
		next = line("a", n)
		await.Until(t, "the whole lines are shipped", func() bool { return w.has(w.path("run.jsonl"), text) })
	}
	w.write("run.jsonl", next[20:])
	p.stop(Delivered)
	in := w.input(text + next)
	if in.Repeats > 0 || w.ended(in) || !slices.Equal(w.Kept(), []string{in.ID}) {
		t.Errorf("%d repeats, ended %v, the journal keeps %q", in.Repeats, w.ended(in), w.Kept())
	}
	if data, err := os.ReadFile(w.path("run.jsonl")); err != nil || string(data) != text+next {
		t.Errorf("the followed file was changed: %v", err)
	}
}

func TestFollowedFileGoesOnAfterARestart(t *testing.T) {
	w := newWorld(t)
	text := ""
	for start := range 3 {
		more := lines("a", start*10, start*10+10)
		w.write("run.jsonl", more)
		text += more
		w.follow(once(300*time.Millisecond, w.path("run.jsonl"))).wait(Delivered)
		in := w.input(text)
		if in.Repeats > 0 || w.ended(in) {
			t.Fatalf("start %d: %d repeats, ended %v", start, in.Repeats, w.ended(in))
		}
	}
	if kept := w.Kept(); len(w.shipped()) != 1 || len(kept) != 1 {
		t.Errorf("%d inputs; the journal keeps %q", len(w.shipped()), kept)
	}
	// A start with nothing to do puts no events.
	before := w.Server.Stats().Events
	w.follow(once(100*time.Millisecond, w.path("run.jsonl"))).wait(Delivered)
	if after := w.Server.Stats().Events; after != before {
		t.Errorf("%d more events", after-before)
	}
}

// If its cursor is lost, a file is shipped again from its start as the same input, so readers can
// drop the repeats.
func TestFollowedFileWhoseCursorIsLost(t *testing.T) {
	for name, lose := range map[string]func(*world) error{
		"cursor":  func(w *world) error { return spoilCursors(filepath.Join(w.Journal, w.Kept()[0])) },
		"journal": func(w *world) error { return os.RemoveAll(w.Journal) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.write("run.jsonl", lines("a", 0, 10))
			w.follow(once(100*time.Millisecond, w.path("run.jsonl"))).wait(Delivered)
			if err := lose(w); err != nil {
				t.Fatal(err)
			}
			w.write("run.jsonl", lines("a", 10, 12))
			p := w.follow(once(100*time.Millisecond, w.path("run.jsonl")))
			p.wait(Delivered)
			if in := w.input(lines("a", 0, 12)); in.Repeats != 10 || len(w.shipped()) != 1 {
				t.Errorf("%d repeats, %d inputs", in.Repeats, len(w.shipped()))
			}
			if said := strings.Contains(p.said(), "cursor"); said != (name == "cursor") {
				t.Errorf("the log mentions the cursor: %v", said)
			}
		})
	}
}

func TestRenamedFileIsReadToItsEnd(t *testing.T) {
	w := newWorld(t)
	w.write("run.jsonl", lines("a", 0, 5))
	writer, err := os.OpenFile(w.path("run.jsonl"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	p := w.follow(paths(w.path("run.jsonl")))
	await.Until(t, "the file is shipped", func() bool { return w.has(w.path("run.jsonl"), lines("a", 0, 5)) })

	// Its writer still has it open, and another file takes over its name.
	w.rename("run.jsonl", "run.jsonl.1")
	w.write("run.jsonl", lines("b", 0, 5))
	await.Until(t, "the new file is shipped", func() bool { return w.has(w.path("run.jsonl"), lines("b", 0, 5)) })
	if _, err := writer.WriteString(lines("a", 5, 10)); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the lines written after the rename are shipped", func() bool { return w.has(w.path("run.jsonl"), lines("a", 0, 10)) })
	if len(w.Kept()) != 2 {
		t.Errorf("the journal keeps %q", w.Kept())
	}

	// Once its writer has closed it, it has ended.
	writer.Close()
	await.Until(t, "the renamed file's input is removed", func() bool { return len(w.Kept()) == 1 })
	w.write("run.jsonl", lines("b", 5, 10))
	p.stop(Delivered)
	old, next := w.input(lines("a", 0, 10)), w.input(lines("b", 0, 10))
	if !w.ended(old) || w.ended(next) || old.Repeats+next.Repeats > 0 || !slices.Equal(w.Kept(), []string{next.ID}) {
		t.Errorf("ended %v and %v, %d repeats, the journal keeps %q", old.Ended(), w.ended(next), old.Repeats+next.Repeats, w.Kept())
	}
}

func TestDeletedFileIsReadToItsEnd(t *testing.T) {
	w := newWorld(t)
	w.write("run.jsonl", lines("a", 0, 5))
	w.FailPuts(localtest.Throttle())
	p := w.follow(paths(w.path("run.jsonl")))
	await.Until(t, "the file is followed", func() bool { return len(w.Kept()) == 1 })
	if err := os.Remove(w.path("run.jsonl")); err != nil {
		t.Fatal(err)
	}
	w.back()
	await.Until(t, "its input is removed", func() bool { return len(w.Kept()) == 0 })
	p.stop(Delivered)
	if !w.ended(w.input(lines("a", 0, 5))) {
		t.Error("the seal does not say that it ended")
	}
}

// Files in a folder that are renamed are neither shipped twice nor lost, whether or not the new
// name is followed.
func TestRotationInAFolder(t *testing.T) {
	w := newWorld(t)
	w.write("app.log", lines("a", 0, 5))
	w.write("notes.txt", "not asked for\n")
	p := w.follow(paths(w.events))
	await.Until(t, "the first is shipped", func() bool { return w.has(w.path("app.log"), lines("a", 0, 5)) })

	texts := []string{lines("a", 0, 5)}
	for n := range 3 {
		w.write("app.log", "the last line of it\n")
		texts[n] += "the last line of it\n"
		if n == 1 {
			w.rename("app.log", "app.log.1")
		} else {
			w.rename("app.log", fmt.Sprintf("app-%d.log", n))
		}
		text := lines(fmt.Sprint("next", n), 0, 5)
		w.write("app.log", text)
		texts = append(texts, text)
		await.Until(t, "the next is followed", func() bool { return len(w.shipped()) == n+2 })
	}
	// The file whose name is not followed any more ends.
	await.Until(t, "all is shipped, and one has ended", func() bool { return len(w.shipped()) == 4 && len(w.Kept()) == 3 })
	w.write("app-0.log", "and one line more\n")
	texts[0] += "and one line more\n"
	w.write("app.log", "its last\n")
	texts[3] += "its last\n"
	p.stop(Delivered)
	for n, text := range texts {
		if in := w.input(text); in.Repeats > 0 || w.ended(in) != (n == 1) {
			t.Errorf("file %d: %d repeats, ended %v", n, in.Repeats, w.ended(in))
		}
	}

	// The next start knows the files by their new names, including one that was rotated in between.
	w.write("app.log", "written while nobody looked\n")
	texts[3] += "written while nobody looked\n"
	w.rename("app.log", "app-9.log")
	w.write("app.log", lines("last", 0, 5))
	w.write("app-0.log", "and another\n")
	texts[0] += "and another\n"
	w.follow(once(300*time.Millisecond, w.events)).wait(Delivered)
	if len(w.shipped()) != 5 {
		t.Errorf("%d inputs", len(w.shipped()))
	}
	for _, text := range append(texts, lines("last", 0, 5)) {
		if in := w.input(text); in.Repeats > 0 {
			t.Errorf("%d repeats of %.40q", in.Repeats, text)
		}
	}
}

func TestFileTurnsUpLater(t *testing.T) {
	w := newWorld(t)
	if err := os.Mkdir(w.path("old"), 0o755); err != nil {
		t.Fatal(err)
	}
	p := w.follow(paths(w.path("late.jsonl"), w.path("old"), w.path("new")), wait)
	w.write("late.jsonl", line("a", 0)[:10])
	w.write("old/later.log", "no event\n", line("b", 0))
	if err := os.Mkdir(w.path("new"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.write("new/last.jsonl", lines("c", 0, 5))
	w.write("late.jsonl", line("a", 0)[10:])
	for name, text := range map[string]string{"late.jsonl": line("a", 0), "old/later.log": "no event\n" + line("b", 0), "new/last.jsonl": lines("c", 0, 5)} {
		await.Until(t, name+" is shipped", func() bool { return w.has(w.path(name), text) })
	}
	p.stop(Delivered)
}

func TestInputThatCannotBe(t *testing.T) {
	w := newWorld(t)
	w.write("run.jsonl", lines("a", 0, 1))
	for _, c := range []struct {
		follow func(*setup)
		said   string
	}{
		{paths(w.path("none.jsonl")), w.path("none.jsonl") + " does not exist"},
		{paths(w.path("run.jsonl"), w.path("none")), w.path("none") + " does not exist"},
		{paths("/dev/null"), "/dev/null is not a file, FIFO or folder"},
		{paths(w.path("*.jsonl")), w.path("*.jsonl") + " is a pattern, and patterns are not expanded: name the folder " + w.events},
		{paths(w.path("run-?.log")), w.path("run-?.log") + " is a pattern"},
	} {
		p := w.follow(c.follow, func(s *setup) { s.Wait = strings.Contains(c.said, "?") })
		p.refuses("--input", c.said)
		if said := p.said(); said != "" {
			t.Errorf("%q: the run said %q", c.said, said)
		}
	}
	if len(w.Kept()) > 0 || len(w.shipped()) > 0 {
		t.Errorf("the journal keeps %q; shipped are %d inputs", w.Kept(), len(w.shipped()))
	}
}

// A path with the characters of a pattern is an ordinary path if such a file exists.
func TestNameLikeAPattern(t *testing.T) {
	w := newWorld(t)
	w.write("run[1].jsonl", lines("a", 0, 3))
	w.follow(once(100*time.Millisecond, w.path("run[1].jsonl"))).wait(Delivered)
	w.input(lines("a", 0, 3))
}

// A file that could not be read until the end fails the run. A file that became readable does not.
func TestFileThatCannotBeRead(t *testing.T) {
	w := newWorld(t)
	w.write("ok.log", lines("a", 0, 3))
	for _, name := range []string{"never.log", "late.log"} { // not even root can open a link to itself
		if err := os.Symlink(name, w.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	p := w.follow(paths(w.events))
	await.Until(t, "the readable file is shipped", func() bool { return w.has(w.path("ok.log"), lines("a", 0, 3)) })
	if err := os.Remove(w.path("late.log")); err != nil {
		t.Fatal(err)
	}
	w.write("late.log", lines("b", 0, 3))
	await.Until(t, "the file that became readable is shipped", func() bool { return w.has(w.path("late.log"), lines("b", 0, 3)) })
	p.stop(Rejected)
	p.mustSay(w.path("never.log") + " cannot be accessed")
	if err := os.Remove(w.path("never.log")); err != nil {
		t.Fatal(err)
	}
	w.follow(once(100*time.Millisecond, w.events)).wait(Delivered)
}

// A second process on the same input says which process holds it. On other files, it works with the
// same journal.
func TestInputHeldByAnother(t *testing.T) {
	w := newWorld(t)
	w.write("run.jsonl", lines("a", 0, 5))
	w.write("other.jsonl", lines("b", 0, 5))
	first := w.follow(paths(w.path("run.jsonl")))
	await.Until(t, "the first process ships it", func() bool { return w.has(w.path("run.jsonl"), lines("a", 0, 5)) })
	pid := fmt.Sprintf("held by process %d", os.Getpid())
	for _, input := range []string{w.path("run.jsonl"), w.events} {
		second := w.follow(paths(input))
		second.refuses("--input", w.path("run.jsonl"))
		second.refuses("--input", pid)
	}
	w.follow(once(100*time.Millisecond, w.path("other.jsonl"))).wait(Delivered)
	third := w.resume()
	third.wait(Delivered)
	third.mustSay(fmt.Sprintf("process %d", os.Getpid()))
	first.stop(Delivered)
	w.input(lines("a", 0, 5))
	w.input(lines("b", 0, 5))
}

// Files with the same first line are separate inputs, even if one takes over the name of another.
func TestSameFirstLine(t *testing.T) {
	w := newWorld(t)
	const first = "npm warn Unknown user config\n"
	w.write("run.log", first, line("a", 1))
	p := w.follow(paths(w.path("run.log")))
	await.Until(t, "the first is shipped", func() bool { return w.has(w.path("run.log"), first+line("a", 1)) })
	w.rename("run.log", "run.log.1")
	w.write("run.log", first, line("b", 2))
	await.Until(t, "the second is shipped", func() bool { return w.has(w.path("run.log"), first+line("b", 2)) })
	p.stop(Delivered)
	w.rename("run.log", "run.log.2")
	w.write("run.log", first, line("c", 3))
	w.follow(once(300*time.Millisecond, w.path("run.log"))).wait(Delivered)
	ids := map[string]bool{}
	for n, job := range []string{"a", "b", "c"} {
		in := w.input(first + line(job, n+1))
		if ids[in.ID] = true; in.Repeats > 0 {
			t.Errorf("%d repeats", in.Repeats)
		}
	}
	if len(ids) != 3 {
		t.Errorf("ids %v", ids)
	}
}

// Files with the same stem come from one process: the stderr gets the job that the stdout names,
// and its source is stderr.
func TestFilesOfOneStem(t *testing.T) {
	w := newWorld(t)
	w.write("run.err", "npm warn, before anything else\n")
	w.write("other.stderr", "a warning beside a log\n")
	w.write("lone.err", "nobody asked for this\n")
	p := w.follow(paths(w.events))
	w.write("other.log", line("other", 0))
	w.write("run.log", "a log that names no job\n")
	w.write("run.jsonl", line("a", 0))
	want := map[string]string{
		"npm warn, before anything else\n": "a stderr", "a warning beside a log\n": "other stderr", "a log that names no job\n": "a ",
		line("a", 0): "a ", line("other", 0): "other ",
	}
	await.Until(t, "all files are shipped", func() bool { return len(w.shipped()) == len(want) })
	w.write("run.err", "and more\n")
	want["npm warn, before anything else\nand more\n"] = want["npm warn, before anything else\n"]
	delete(want, "npm warn, before anything else\n")
	p.stop(Delivered)
	for text, is := range want {
		in := w.input(text)
		for _, piece := range in.Lines {
			if got := piece.JobID + " " + piece.Source; got != is {
				t.Errorf("job and source of %q are %q, want %q", text, got, is)
			}
		}
	}
	// A start that finds only the stderr continues it.
	if err := os.Remove(w.path("run.jsonl")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(w.path("run.log")); err != nil {
		t.Fatal(err)
	}
	w.write("run.err", "the last\n")
	w.follow(once(300*time.Millisecond, w.events)).wait(Delivered)
	w.input("npm warn, before anything else\nand more\nthe last\n")
	if len(w.shipped()) != len(want) {
		t.Errorf("%d inputs", len(w.shipped()))
	}
}

func TestFileBehindALink(t *testing.T) {
	w := newWorld(t)
	w.write("2026-11-22", lines("a", 0, 5))
	if err := os.Symlink("2026-11-22", w.path("current.jsonl")); err != nil {
		t.Fatal(err)
	}
	p := w.follow(paths(w.path("current.jsonl"), w.events))
	await.Until(t, "the file is shipped", func() bool { return w.has(w.path("current.jsonl"), lines("a", 0, 5)) })
	w.write("2026-11-23", lines("b", 0, 5))
	if err := os.Symlink("2026-11-23", w.path("next")); err != nil {
		t.Fatal(err)
	}
	w.rename("next", "current.jsonl")
	await.Until(t, "the file that the link now names is shipped", func() bool { return w.has(w.path("current.jsonl"), lines("b", 0, 5)) })
	p.stop(Delivered)
	if in := w.input(lines("a", 0, 5)); in.Repeats > 0 || len(w.shipped()) != 2 {
		t.Errorf("%d repeats, %d inputs", in.Repeats, len(w.shipped()))
	}
}

// Inputs that write to the same stream have only one put in flight between them.
func TestSeveralInputsShareAStream(t *testing.T) {
	w := newWorld(t)
	var files []string
	for n := range 5 {
		name := fmt.Sprintf("%d.jsonl", n)
		w.write(name, strings.Repeat(line("a", n), 800))
		files = append(files, w.path(name))
	}
	w.follow(once(time.Second, files...)).wait(Delivered)
	for n := range 5 {
		w.input(strings.Repeat(line("a", n), 800))
	}
	if stats := w.Server.Stats(); stats.MostPutsInFlightPerStream != 1 || len(w.Server.Streams(testGroup)) != 1 {
		t.Errorf("%d puts in flight at once, streams %q", stats.MostPutsInFlightPerStream, w.Server.Streams(testGroup))
	}
}
