package main

// This file shows that an agent notices nothing when the journal's folder is removed or its disk
// fails.

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"perstack-shipper/shipper/testkit"
)

// piper is the writing end of a pipe into the program. It fails the test where an agent would get
// EPIPE.
type piper struct {
	w     *world
	in    *os.File
	bytes bytes.Buffer
	lines int
}

// pipe starts the program with a pipe for its stdin. Segments are small, so that there are many.
func (w *world) pipe(with []string, flags ...string) (*testkit.Process, *piper) {
	w.T.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(func() { in.Close() })
	defer out.Close()
	c := w.command(append([]string{"--journal-max=16MiB"}, flags...)...)
	if len(with) > 0 {
		program, err := exec.LookPath(with[0])
		if err != nil {
			w.T.Fatal(err)
		}
		c.Path, c.Args = program, append(with, c.Args...)
	}
	c.Stdin = out
	return w.Start(c), &piper{w: w, in: in}
}

// write writes that many MiB of lines.
func (p *piper) write(mib int) {
	p.w.T.Helper()
	filler := strings.Repeat("x", 8<<10-100)
	for end := p.bytes.Len() + mib<<20; p.bytes.Len() < end; {
		p.lines++
		line := fmt.Sprintf(`{"type":"continueToNextStep","jobId":"j","runId":"r","n":%d,"text":"%s"}`+"\n", p.lines, filler)
		p.bytes.WriteString(line)
		if _, err := io.WriteString(p.in, line); err != nil {
			p.w.T.Fatalf("the agent would die at line %d: %v", p.lines, err)
		}
	}
}

// segments returns the files of the only input in the journal.
func (w *world) segments() []string {
	w.T.Helper()
	found, err := filepath.Glob(filepath.Join(w.Journal, "*", "*.segment"))
	if err != nil {
		w.T.Fatal(err)
	}
	return found
}

// wayOfFailing is a way in which a journal's disk fails.
type wayOfFailing struct {
	name    string
	prepare func(w *world)
	fail    func(w *world)
	heal    func(w *world) // nil if the disk cannot be repaired
	says    string
}

var waysOfFailing = []wayOfFailing{
	{
		name:    "the folder is removed",
		prepare: func(*world) {},
		fail: func(w *world) {
			w.T.Helper()
			if err := os.RemoveAll(w.Journal); err != nil {
				w.T.Fatal(err)
			}
		},
		says: "no such file or directory",
	},
	{
		name:    "a tmpfs is mounted read-only",
		prepare: func(w *world) { w.smallDisk(64) },
		fail: func(w *world) {
			w.T.Helper()
			// The kernel refuses to remount a file system read-only while files are open for
			// writing. So mount it once more on top of itself, and make that mount read-only: open
			// files can still be written, but every file that is looked up by its name is
			// read-only.
			disk := filepath.Dir(w.Journal)
			if err := mountAgain(disk); err != nil {
				w.T.Skipf("NOT TESTED: mounting is not permitted here: %v", err)
			}
			w.T.Cleanup(func() {
				if readOnly(disk) {
					unmount(w, disk)
				}
			})
			if err := remountReadOnly(disk); err != nil {
				w.T.Skipf("NOT TESTED: remounting is not permitted here: %v", err)
			}
		},
		heal: func(w *world) { unmount(w, filepath.Dir(w.Journal)) },
		says: "read-only file system",
	},
	{
		name: "an ext4 aborts",
		prepare: func(w *world) {
			w.T.Helper()
			disk, image := w.T.TempDir(), filepath.Join(w.T.TempDir(), "image")
			if err := os.WriteFile(image, nil, 0o600); err != nil {
				w.T.Fatal(err)
			}
			if err := os.Truncate(image, 96<<20); err != nil {
				w.T.Fatal(err)
			}
			for _, c := range [][]string{{"mkfs.ext4", "-q", image}, {"mount", "-o", "loop", image, disk}} {
				if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
					w.T.Skipf("NOT TESTED: %s does not work here: %v: %s", c[0], err, out)
				}
			}
			w.T.Cleanup(func() {
				w.KillAll()
				if err := unmountNow(disk); err != nil {
					w.T.Error(err)
				}
			})
			w.Journal = filepath.Join(disk, "journal")
		},
		fail: func(w *world) {
			w.T.Helper()
			if out, err := exec.Command("mount", "-o", "remount,abort", filepath.Dir(w.Journal)).CombinedOutput(); err != nil {
				w.T.Skipf("NOT TESTED: ext4 does not support abort here: %v: %s", err, out)
			}
		},
		says: "read-only file system",
	},
}

func unmount(w *world, disk string) {
	w.T.Helper()
	if err := unmountNow(disk); err != nil {
		w.T.Error(err)
	}
}

func readOnly(dir string) bool {
	var st syscall.Statfs_t
	const readOnlyFlag = 1 // ST_RDONLY: statfs(2)
	return syscall.Statfs(dir, &st) == nil && st.Flags&readOnlyFlag != 0
}

// The agent keeps writing, every line arrives once, and the exit code is 0. This holds while
// CloudWatch is down and everything is kept, and while it accepts what arrives.
func TestPipeWhoseDiskFails(t *testing.T) {
	for _, way := range waysOfFailing {
		for _, away := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, CloudWatch away %v", way.name, away), func(t *testing.T) {
				w := newWorld(t)
				way.prepare(w)
				if away {
					w.Stall()
				}
				r, agent := w.pipe(nil)
				agent.write(3)
				w.Until("it has begun", func() bool { return !away && w.has(`"n":1,`) || away && len(w.segments()) > 1 })
				way.fail(w)
				agent.write(9)
				if !away {
					agent.write(24) // more than fits in memory
				}
				w.Unstall()
				agent.write(1)
				agent.in.Close()
				r.Wait(exitOK)
				if got := w.text(""); got != agent.bytes.String() {
					t.Errorf("%d bytes arrived, want %d", len(got), agent.bytes.Len())
				}
				log := r.Said()
				if strings.Count(log, "new input is kept in memory") != 1 || !strings.Contains(log, way.says) || !strings.Contains(log, w.Journal) {
					t.Errorf("it printed\n%s", log)
				}
				if strings.Contains(log, "are lost") || strings.Count(log, `"level":"error"`) > 4 {
					t.Errorf("it printed\n%s", log)
				}
			})
		}
	}
}

// Lines that only memory holds at the end are lost, and the program says so. The others are in the
// folder.
func TestPipeWhoseDiskFailsAndThatIsStopped(t *testing.T) {
	for _, way := range waysOfFailing {
		t.Run(way.name, func(t *testing.T) {
			w := newWorld(t)
			way.prepare(w)
			w.Stall()
			r, agent := w.pipe(nil, "--drain-timeout=2s")
			agent.write(3)
			w.Until("it has begun", func() bool { return len(w.segments()) > 1 })
			way.fail(w)
			agent.write(5)
			w.Until("it reports the failure", func() bool { return r.Says("new input is kept in memory") })
			r.Stop(exitLeft)
			log := r.Said()
			if !strings.Contains(log, "are lost: ") || !strings.Contains(log, "could no longer be used, so only this process held them") {
				t.Errorf("it printed\n%s", log)
			}
			if kept := strings.Contains(log, "the others are kept there"); kept == (way.name == "the folder is removed") {
				t.Errorf("it printed\n%s", log)
			}
			if way.heal == nil {
				return
			}
			way.heal(w)
			w.Unstall()
			next := w.Start(w.command("resume"))
			code := next.End()
			got := w.text("")
			if !strings.HasPrefix(agent.bytes.String(), strings.TrimSuffix(got, "\n")) || len(got) < 3<<20 {
				t.Errorf("%d bytes arrived, which should be at least 3 MiB and a prefix of what was written", len(got))
			}
			if log := next.Said(); code == exitOK || !strings.Contains(log, "are missing") {
				t.Errorf("exit code %d, it said\n%s", code, log)
			}
		})
	}
}

// The disk answers EIO from the n-th call of a kind on.
func TestPipeWhoseDiskAnswersEIO(t *testing.T) {
	with := func(call, when string) []string {
		return []string{"strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + call, "-e", "inject=" + call + ":error=EIO:when=" + when}
	}
	words := with("splice", "1")
	if out, err := exec.Command(words[0], append(words[1:], "true")...).CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED: strace does not work here: %v %s", err, out)
	}
	for _, c := range []struct{ call, when string }{
		{"splice", "1"}, {"splice", "9"}, // only that one: splice also moves data to memory
		{"pwrite64", "12+"}, // cursor and arrivals
		{"unlinkat", "8+"},  // acknowledged segments
	} {
		t.Run(c.call+" "+c.when, func(t *testing.T) {
			w := newWorld(t)
			r, agent := w.pipe(with(c.call, c.when))
			agent.write(30)
			agent.in.Close()
			r.Wait(exitOK)
			if got := w.text(""); got != agent.bytes.String() {
				t.Errorf("%d bytes arrived, want %d", len(got), agent.bytes.Len())
			}
			log := r.Said()
			if degraded := strings.Contains(log, "new input is kept in memory"); strings.Contains(log, "are lost") || c.call == "splice" && !degraded {
				t.Errorf("it printed\n%s", log)
			}
		})
	}
}

// The file that a command writes stays open, whether or not it has a name. Nothing stops, and
// acknowledged bytes still give their space back.
func TestExecWhoseFolderIsRemoved(t *testing.T) {
	w := newWorld(t)
	_, open := w.gate()
	block, script := w.bulk(160) // 40 MiB
	r := w.exec(`echo '{"jobId":"j","begun":true}'; `+atGate+script+"; echo problems >&2", "--journal-max=24MiB")
	w.Until("it has begun", func() bool { return w.has(`"begun"`) })
	if err := os.RemoveAll(w.Journal); err != nil {
		t.Fatal(err)
	}
	open()
	r.Wait(exitOK)
	if got, want := w.text(""), "{\"jobId\":\"j\",\"begun\":true}\n"+strings.Repeat(block, 160); got != want {
		t.Errorf("%d bytes arrived, want %d", len(got), len(want))
	}
	if got := w.text("stderr"); got != "problems\n" {
		t.Errorf("%q arrived of stderr", got)
	}
	if log := r.Said(); strings.Count(log, `"level":"error"`) > 1 { // if the command was stopped, that cannot be recorded
		t.Errorf("it printed\n%s", log)
	}
}

// Followed files are shipped without a cursor once the folder is gone, including files that appear
// later.
func TestFollowedFilesWhenTheFolderIsRemoved(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	add := func(name, line string) {
		t.Helper()
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := io.WriteString(f, line); err != nil {
			t.Fatal(err)
		}
	}
	add("one.jsonl", "{\"jobId\":\"j\",\"n\":1}\n")
	r := w.Start(w.command("--input", dir))
	w.Until("it has begun", func() bool { return w.has(`"n":1`) })
	if err := os.RemoveAll(w.Journal); err != nil {
		t.Fatal(err)
	}
	add("one.jsonl", "{\"jobId\":\"j\",\"n\":2}\n")
	add("two.jsonl", "{\"jobId\":\"j\",\"n\":3}\n")
	w.Until("both are shipped", func() bool { return w.has(`"n":2`) && w.has(`"n":3`) })
	r.Stop(exitOK)
	log := r.Said()
	if strings.Count(log, "kept in memory") != 1 {
		t.Errorf("it printed\n%s", log)
	}
}

// The output of a command is lost with the last process that has the file open, if the file has no
// name any more.
func TestExecWhoseFolderIsRemovedAndThatIsStopped(t *testing.T) {
	w := newWorld(t)
	w.Stall()
	w.gate()
	r := w.exec(`echo '{"jobId":"j"}'; `+atGate, "--drain-timeout=2s")
	w.Until("it has begun", func() bool { return w.wrote("{\"jobId\":\"j\"}\n") })
	if err := os.RemoveAll(w.Journal); err != nil {
		t.Fatal(err)
	}
	r.Stop(128 + int(syscall.SIGTERM))
	if log := r.Said(); !strings.Contains(log, "14 bytes of the input are not delivered") || !strings.Contains(log, "and are lost: "+w.Journal) {
		t.Errorf("it printed\n%s", log)
	}
}
