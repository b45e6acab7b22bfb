package run

// This file tests how inputs end: signals, truncation, replacement, and FIFOs.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"perstack-shipper/shipper/testkit/await"
)

// agent writes events to a file until it is stopped, each with one write. Every 50th is long.
type agent struct {
	written atomic.Int64 // bytes of the writes that have returned
	t       testing.TB
	stop    chan struct{}
	done    chan struct{}
	text    strings.Builder // to be read after done
	once    sync.Once
}

func startAgent(t *testing.T, w io.Writer, pause time.Duration) *agent {
	t.Helper()
	a := &agent{t: t, stop: make(chan struct{}), done: make(chan struct{})}
	t.Cleanup(func() { a.end() })
	go func() {
		defer close(a.done)
		ticks := time.NewTicker(pause)
		defer ticks.Stop()
		for n := 0; ; n++ {
			text := line("job", n)
			if n%50 == 49 {
				text = fmt.Sprintf(`{"type":"x","jobId":"job","n":%d,"text":%q}`+"\n", n, strings.Repeat("long ", 50_000))
			}
			a.text.WriteString(text)
			if _, err := io.WriteString(w, text); err != nil {
				t.Error(err)
				return
			}
			a.written.Add(int64(len(text)))
			select {
			case <-a.stop:
				return
			case <-ticks.C:
			}
		}
	}()
	return a
}

// end stops the agent and returns everything that it wrote.
func (a *agent) end() string {
	a.once.Do(func() { close(a.stop) })
	await.Receive(a.t, "the end of the agent", a.done)
	return a.text.String()
}

// Everything written before the signal is in CloudWatch, although the writer goes on. The next
// start continues in the middle of what it writes.
func TestSigtermWhileTheWriterGoesOn(t *testing.T) {
	w := newWorld(t)
	writer := startAgent(t, w.open("run.jsonl", os.O_WRONLY|os.O_APPEND|os.O_CREATE), time.Millisecond)
	for n := range 2 {
		puts, goal := w.Server.Stats().Batches, writer.written.Load()+300_000
		p := w.follow(paths(w.path("run.jsonl")), readFor(500*time.Millisecond))
		await.Until(t, "the run ships, and some bytes are written", func() bool {
			return w.Server.Stats().Batches > puts && writer.written.Load() > goal
		})
		before := writer.written.Load()
		p.stop(Delivered)
		after := writer.written.Load()
		all := w.shipped()
		if len(all) != 1 {
			t.Fatalf("%d inputs, want 1", len(all))
		}
		if got := int64(len(w.text(all[0]))); got < before || got > after+1<<20 {
			t.Fatalf("stop %d: %d bytes are shipped; %d were written before the signal, %d when it ended", n, got, before, after)
		}
		if w.ended(all[0]) || all[0].Repeats > 0 {
			t.Fatalf("stop %d: ended %v, %d repeats", n, w.ended(all[0]), all[0].Repeats)
		}
	}
	text := writer.end()
	w.follow(once(300*time.Millisecond, w.path("run.jsonl"))).wait(Delivered)
	in := w.input(text)
	if in.Last != int64(strings.Count(text, "\n")) { // no stop cut a line in two
		t.Errorf("%d lines, want %d", in.Last, strings.Count(text, "\n"))
	}
}

// If a file ends in half a line at the stop, that half is shipped as it is, and what comes later
// continues it.
func TestSigtermInTheMiddleOfALine(t *testing.T) {
	w := newWorld(t)
	w.write("run.jsonl", lines("a", 0, 3), line("a", 3)[:30])
	w.write("first.jsonl", line("b", 0)[:30])
	if err := syscall.Mkfifo(w.path("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := w.follow(paths(w.events, w.path("fifo"))) // the FIFO ends before the files do
	await.Until(t, "whole lines are shipped", func() bool { return w.has(w.path("run.jsonl"), lines("a", 0, 3)) })
	p.stop(Delivered)
	w.input(lines("a", 0, 3) + line("a", 3)[:30])
	w.input(line("b", 0)[:30])
	w.write("run.jsonl", line("a", 3)[30:])
	w.write("first.jsonl", line("b", 0)[30:])
	w.follow(once(200*time.Millisecond, w.events)).wait(Delivered)
	if in := w.input(lines("a", 0, 4)); in.Repeats > 0 {
		t.Errorf("%d repeats", in.Repeats)
	}
	w.input(line("b", 0))
}

// What cannot be delivered in time is left, the log says where, and the next start continues there.
func TestSigtermWhileCloudWatchIsAway(t *testing.T) {
	w := newWorld(t)
	w.write("run.jsonl", lines("a", 0, 100))
	w.away()
	p := w.follow(paths(w.path("run.jsonl")), drain(200*time.Millisecond))
	await.Until(t, "a put has failed", func() bool { return w.Server.Stats().Calls["PutLogEvents"] > 0 })
	p.stop(Left)
	p.mustSay(w.path("run.jsonl"), fmt.Sprintf("%d bytes", len(lines("a", 0, 100))), "resume")
	w.back()
	w.follow(once(100*time.Millisecond, w.path("run.jsonl"))).wait(Delivered)
	w.input(lines("a", 0, 100))
}

func TestUntilIdle(t *testing.T) {
	w := newWorld(t)
	began := time.Now()
	w.follow(once(300*time.Millisecond, w.events)).wait(Delivered)
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("it was idle after %s", took)
	}
	writer := startAgent(t, w.open("run.jsonl", os.O_WRONLY|os.O_APPEND|os.O_CREATE), 20*time.Millisecond)
	p := w.follow(once(time.Second, w.events))
	await.Until(t, "it has written for longer than that", func() bool { return writer.written.Load() > int64(len(lines("job", 0, 90))) })
	text := writer.end()
	p.wait(Delivered)
	w.input(text)
}

// runEvent returns the first or the last event of a run.
func runEvent(kind, job string) string {
	return fmt.Sprintf(`{"type":%q,"timestamp":1795347082176,"jobId":%q,"runId":"r","expertKey":"e"}`+"\n", kind, job)
}

// A model may think for longer than the idle time, so a run under way is waited for.
func TestUntilIdleWaitsForARun(t *testing.T) {
	w := newWorld(t)
	text := runEvent("startRun", "a") + line("a", 0)
	w.write("run.jsonl", text)
	p := w.follow(once(100*time.Millisecond, w.events))
	await.Until(t, "the file is shipped", func() bool { return w.has(w.path("run.jsonl"), text) })
	time.Sleep(500 * time.Millisecond) // five times what ends a run that waits for nothing
	w.write("run.jsonl", runEvent("completeRun", "a"))
	p.wait(Delivered)
	w.input(text + runEvent("completeRun", "a"))

	// A run that has written nothing for long is not waited for.
	w.write("run.jsonl", runEvent("startRun", "dead"))
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(w.path("run.jsonl"), long, long); err != nil {
		t.Fatal(err)
	}
	p = w.follow(once(200*time.Millisecond, w.events))
	p.wait(Delivered)
	p.mustSay(w.path("run.jsonl"), "dead", "has not ended, but it has written nothing")
}

// Whoever stops the shipper often stops the agent too. What the agent writes at its end is shipped.
func TestSigtermWhileARunIsUnderWay(t *testing.T) {
	w := newWorld(t)
	text := runEvent("startRun", "a")
	writer := w.open("run.jsonl", os.O_WRONLY|os.O_APPEND|os.O_CREATE)
	quick := func(s *setup) { s.Patience.Follow.Gone = 50 * time.Millisecond }
	p := w.follow(paths(w.events), quick)
	for n, rest := range []string{text, line("a", 0), line("a", 1), runEvent("completeRun", "a")} {
		if _, err := io.WriteString(writer, rest); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			await.Until(t, "the beginning is shipped", func() bool { return w.has(w.path("run.jsonl"), text) })
			p.signal()
		} else {
			text += rest
		}
		time.Sleep(150 * time.Millisecond) // three times what ends a file that nobody writes
	}
	p.wait(Delivered)
	if in := w.input(text); w.ended(in) {
		t.Error("the seal says that it ended")
	}

	w.needsLinux("to know at once that nobody writes a file")
	// A run is not waited for if nobody has its file open for writing.
	writer.Close()
	w.write("run.jsonl", runEvent("startRun", "dead"))
	p = w.follow(paths(w.events), quick, drain(50*time.Second))
	text += runEvent("startRun", "dead")
	await.Until(t, "the file is shipped", func() bool { return w.has(w.path("run.jsonl"), text) })
	began := time.Now()
	p.stop(Delivered)
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("the run took %s to end", took)
	}
}

// In a rotation by copying, the file is truncated. What comes after that is another input, even if
// it has the same first line.
func TestFileCutWhileItIsFollowed(t *testing.T) {
	w := newWorld(t)
	const first = "the same first line\n"
	texts := []string{first + lines("a", 0, 5), first + lines("b", 0, 4), first + lines("c", 0, 8), ""}
	w.write("run.log", texts[0])
	p := w.follow(paths(w.path("run.log")))
	for n, text := range texts[:3] {
		await.Until(t, "the file is shipped", func() bool { return w.has(w.path("run.log"), text) })
		if err := os.Truncate(w.path("run.log"), 0); err != nil {
			t.Fatal(err)
		}
		w.write("run.log", texts[n+1])
	}
	await.Until(t, "the last input is removed", func() bool { return len(w.Kept()) == 0 })
	p.stop(Delivered)
	p.mustSay(w.path("run.log") + " was rotated")
	if strings.Contains(p.said(), "lost") {
		t.Error("it reports a loss, but nothing is lost")
	}
	for _, text := range texts[:3] {
		if !w.ended(w.input(text)) {
			t.Errorf("the seal of %.40q does not say that it ended", text)
		}
	}
}

// Bytes that were seen and never read are lost. The log says how many, and the outcome is Rejected.
func TestFileCutBetweenTwoStarts(t *testing.T) {
	w := newWorld(t)
	w.write("run.jsonl", lines("a", 0, 5))
	w.follow(once(100*time.Millisecond, w.path("run.jsonl"))).wait(Delivered)
	w.away()
	lost := lines("a", 5, 20)
	w.write("run.jsonl", lost)
	p := w.follow(paths(w.path("run.jsonl")), drain(200*time.Millisecond))
	await.Until(t, "a put has failed", func() bool { return w.Server.Stats().Errors["ServiceUnavailableException"] > 0 })
	p.stop(Left)
	if err := os.WriteFile(w.path("run.jsonl"), []byte(lines("b", 0, 3)), 0o644); err != nil {
		t.Fatal(err)
	}
	w.back()
	p = w.follow(once(300*time.Millisecond, w.path("run.jsonl")))
	p.wait(Rejected)
	p.mustSay(w.path("run.jsonl"), fmt.Sprintf("at least %d bytes", len(lost)))
	if !w.ended(w.input(lines("a", 0, 5))) {
		t.Error("the seal of the truncated input does not say that it ended")
	}
	if in := w.input(lines("b", 0, 3)); w.ended(in) || !slices.Equal(w.Kept(), []string{in.ID}) {
		t.Errorf("the new input: ended %v; the journal keeps %q", w.ended(in), w.Kept())
	}
}

// A writer that does not append leaves a hole when its file is truncated. What it writes after the
// hole is shipped, and the hole is not.
func TestHoleInAFollowedFile(t *testing.T) {
	w := newWorld(t)
	p := w.follow(paths(w.events))
	writer := w.open("run.jsonl", os.O_WRONLY|os.O_CREATE)
	before, after := strings.Repeat(lines("a", 0, 100), 5), lines("b", 0, 3)
	if _, err := io.WriteString(writer, before); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the file is shipped", func() bool { return w.has(w.path("run.jsonl"), before) })
	if err := os.Truncate(w.path("run.jsonl"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(writer, after); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the bytes after the hole are shipped", func() bool { return w.has(w.path("run.jsonl"), after) })
	p.stop(Delivered)
	p.mustSay("was rotated", fmt.Sprintf("has a hole from offset 0 to %d, which is skipped", len(before)))
	if strings.Contains(p.said(), "lost") {
		t.Error("it reports a loss, but nothing is lost")
	}
	for _, text := range []string{before, after} {
		if in := w.input(text); in.Repeats > 0 {
			t.Errorf("%d repeats", in.Repeats)
		}
	}
}

// A file that replaces a followed file between two starts is another input, even if it begins with
// the same lines.
func TestFileReplacedBetweenTwoStarts(t *testing.T) {
	const same = "starting worker\nloading configuration\nconnection refused, giving up\n"
	for name, replace := range map[string]func(path string) error{
		"deleted and made again": func(path string) error {
			return errors.Join(os.Remove(path), os.WriteFile(path, []byte(same+"run 2: connected\n"), 0o644))
		},
		"renamed into its place": func(path string) error {
			return errors.Join(os.WriteFile(path+".new", []byte(same+"run 2: connected\n"), 0o644), os.Rename(path+".new", path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if name == "deleted and made again" {
				w.needsLinux("to have a file get the number of a deleted one")
			}
			w.write("worker.log", same)
			w.follow(once(100*time.Millisecond, w.events)).wait(Delivered)
			time.Sleep(20 * time.Millisecond) // the kernel's clock for files ticks only every few milliseconds
			if err := replace(w.path("worker.log")); err != nil {
				t.Fatal(err)
			}
			p := w.follow(once(300*time.Millisecond, w.events))
			p.wait(Delivered)
			p.mustSay(w.path("worker.log") + " was rotated")
			if in := w.input(same + "run 2: connected\n"); in.Repeats > 0 || in.Last != 4 {
				t.Errorf("%d repeats, %d lines", in.Repeats, in.Last)
			}
			if !w.ended(w.input(same)) {
				t.Error("the seal of the replaced file does not say that it ended")
			}
			before := w.Server.Stats().Events
			w.follow(once(100*time.Millisecond, w.events)).wait(Delivered)
			if after := w.Server.Stats().Events; after != before {
				t.Errorf("a third start shipped %d more events", after-before)
			}
		})
	}
}

// Writers of a FIFO come and go, and always find it open. It ends at a signal.
func TestFIFO(t *testing.T) {
	w := newWorld(t)
	if err := syscall.Mkfifo(w.path("agent"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := w.follow(paths(w.path("agent")))
	text := ""
	for n := range 4 {
		writer := w.open("agent", os.O_WRONLY) // waits for a reader
		part := lines(fmt.Sprint("job", n), 0, 500)
		for rest := part; rest != ""; rest = rest[min(len(rest), 1000):] {
			if _, err := io.WriteString(writer, rest[:min(len(rest), 1000)]); err != nil {
				t.Fatal(err)
			}
		}
		writer.Close()
		text += part
		if n == 1 {
			await.Until(t, "the FIFO's bytes are shipped", func() bool { return w.has(w.path("agent"), text) })
		}
	}
	second := w.follow(paths(w.path("agent")))
	second.refuses("--input", w.path("agent"))
	second.refuses("--input", fmt.Sprintf("process %d", os.Getpid()))

	elsewhere := w.follow(paths(w.path("agent")), func(s *setup) { s.Journal.Dir += "2" })
	elsewhere.refuses("--input", w.path("agent")+" is already read by another process")

	// At the signal, the last writer still has the FIFO open. It writes and ends afterwards.
	writer := w.open("agent", os.O_WRONLY)
	if _, err := io.WriteString(writer, lines("late", 0, 3)); err != nil {
		t.Fatal(err)
	}
	p.signal()
	await.Until(t, "the run has the signal", func() bool { return strings.Contains(p.said(), "another signal") })
	if _, err := io.WriteString(writer, lines("late", 3, 6)); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	p.wait(Delivered)
	if in := w.input(text + lines("late", 0, 6)); !w.ended(in) || len(w.Kept()) > 0 {
		t.Errorf("ended %v; the journal keeps %q", w.ended(in), w.Kept())
	}
}

// A writer that keeps a FIFO open is read until there is just enough time left to deliver.
func TestFIFOWhoseWriterGoesOn(t *testing.T) {
	w := newWorld(t)
	p := w.follow(paths(w.path("agent")), wait, readFor(300*time.Millisecond))
	if err := syscall.Mkfifo(w.path("agent"), 0o600); err != nil {
		t.Fatal(err)
	}
	writer := w.open("agent", os.O_WRONLY)
	if _, err := io.WriteString(writer, lines("a", 0, 10)); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the FIFO's bytes are shipped", func() bool { return w.has(w.path("agent"), lines("a", 0, 10)) })
	p.stop(Delivered) // it would be Left if the FIFO were read until the deadline
	w.input(lines("a", 0, 10))
}

// An idle run ends although a writer has the FIFO open.
func TestFIFOUntilIdle(t *testing.T) {
	w := newWorld(t)
	if err := syscall.Mkfifo(w.path("agent"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := w.follow(once(1*time.Second, w.path("agent")))
	writer := w.open("agent", os.O_WRONLY)
	if _, err := io.WriteString(writer, lines("a", 0, 10)); err != nil {
		t.Fatal(err)
	}
	p.wait(Delivered)
	w.input(lines("a", 0, 10))
}
