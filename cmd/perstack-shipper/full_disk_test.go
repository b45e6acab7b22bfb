package main

// This file shows how the program starts on a disk that is already full, of other files or of what
// earlier processes left in the journal.

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"perstack-shipper/shipper/testkit"
)

// fill takes all the room beside the journal, to the last block.
func (w *world) fill() {
	w.T.Helper()
	f, err := os.Create(filepath.Join(filepath.Dir(w.Journal), "ballast"))
	if err != nil {
		w.T.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 64<<10); len(block) > 0; {
		if _, err := f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
}

// fillWithLeftovers fills a small disk with what a killed shipper leaves of the text that it
// returns. From then on puts get no answer.
func (w *world) fillWithLeftovers() (text string) {
	w.T.Helper()
	w.Stall()
	line := fmt.Sprintf("{\"type\":\"callTools\",\"jobId\":\"old\",\"x\":%q}\n", strings.Repeat("x", 1000))
	text = strings.Repeat(line, 8000) // more than the disk holds
	c := w.command()
	c.Stdin = strings.NewReader(text)
	r := w.Start(c)
	w.Until("the disk is full", func() bool { return r.Says("no room") })
	r.Kill()
	w.fill()
	return text
}

// starts is the ways to start the program on an input.
var starts = map[string]func(w *world, input string) *testkit.Process{
	"ship": func(w *world, input string) *testkit.Process {
		c := w.command()
		f, err := os.Open(input)
		if err != nil {
			w.T.Fatal(err)
		}
		w.T.Cleanup(func() { f.Close() })
		c.Stdin = f
		return w.Start(c)
	},
	"exec": func(w *world, input string) *testkit.Process { return w.Start(w.command("exec", "--", "cat", input)) },
	"--input": func(w *world, input string) *testkit.Process {
		return w.Start(w.command("--input", input, "--until-idle=300ms"))
	},
}

func (w *world) input(text string) (path string) {
	w.T.Helper()
	path = filepath.Join(w.T.TempDir(), "input.jsonl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.T.Fatal(err)
	}
	return path
}

// Without room for a journal, the program says so and starts nothing.
func TestStartOnAFullDisk(t *testing.T) {
	for name, start := range starts {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.smallDisk(4)
			w.fill()
			r := start(w, w.input("{\"jobId\":\"j\"}\n"))
			r.Wait(exitUsage)
			if log := r.Said(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "perstack-shipper: --journal-dir ") || !strings.Contains(log, "no room") {
				t.Errorf("it printed\n%s", log)
			}
			if c, ok := r.Cmd.Stdin.(*os.File); ok {
				if at, err := c.Seek(0, 1); at != 0 || err != nil {
					t.Errorf("%d bytes of stdin were read (%v)", at, err)
				}
			}
			if len(w.Gathered()) > 0 {
				t.Errorf("%d inputs arrived, want none", len(w.Gathered()))
			}
		})
	}
}

// check reports that there is no room, and names a remedy.
func TestCheckOnAFullDisk(t *testing.T) {
	w := newWorld(t)
	w.smallDisk(4)
	check := func(code int) string {
		t.Helper()
		c := w.command("check")
		var out bytes.Buffer
		c.Stdout = &out
		w.Start(c).Wait(code)
		return out.String()
	}
	if out := check(exitOK); !regexp.MustCompile(`(?m)^warn  journal +\S+ can be written, on tmpfs, \d\.\d MiB free.*\n +-> make room there`).MatchString(out) {
		t.Errorf("on an empty disk of 4 MiB it prints\n%s", out)
	}
	w.fill()
	if out := check(exitFailure); !regexp.MustCompile(`(?m)^FAIL  journal +.* no room: .*\n +-> make room there, or give --journal-dir a folder on another disk`).MatchString(out) {
		t.Errorf("on a full disk it prints\n%s", out)
	}
}

// A disk that is full of what earlier processes left does not stay so. The program ships that, and
// then has room for the new input.
func TestStartOnADiskFullOfLeftovers(t *testing.T) {
	for name, start := range starts {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.smallDisk(4)
			old := w.fillWithLeftovers()
			w.Unstall()
			now := start(w, w.input("{\"jobId\":\"new\"}\n"))
			now.Wait(exitOK)
			var came []string
			for _, in := range w.Gathered() {
				if text, _ := in.Text(); text != "" {
					came = append(came, text)
				}
			}
			if len(came) != 2 {
				t.Fatalf("%d inputs arrived, want 2; it printed\n%s", len(came), now.Said())
			}
			if len(came[0]) < len(came[1]) {
				came[0], came[1] = came[1], came[0]
			}
			if !strings.HasPrefix(old, came[0]) || len(came[0]) < 2<<20 || came[1] != "{\"jobId\":\"new\"}\n" {
				t.Errorf("%d bytes of the old input arrived, and %.100q", len(came[0]), came[1])
			}
		})
	}
}

// The disk fills while files are followed. A file that appears then is shipped once there is room.
// A shipper that is stopped before that reports that the file is left.
func TestFollowOnADiskThatFills(t *testing.T) {
	w := newWorld(t)
	w.smallDisk(4)
	events := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(events, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.jsonl", "{\"jobId\":\"a\"}\n")
	r := w.Start(w.command("--input", events))
	w.Until("the first file is shipped", func() bool { return w.has(`"a"`) })
	w.fill()
	write("b.jsonl", "{\"jobId\":\"b\"}\n")
	w.Until("it reports that there is no room", func() bool { return r.Says("no room") })
	r.Stop(exitLeft)
	if log := r.Said(); !strings.Contains(log, "b.jsonl is not shipped: its 14 bytes are left for the next start") {
		t.Errorf("it printed\n%s", log)
	}
	ballast := filepath.Join(filepath.Dir(w.Journal), "ballast")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	r = w.Start(w.command("--input", events))
	w.Until("the second file is shipped", func() bool { return w.has(`"b"`) })
	w.fill()
	write("c.jsonl", "{\"jobId\":\"c\"}\n")
	w.Until("it reports that there is no room", func() bool { return r.Says("no room") })
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	w.Until("the third file is shipped", func() bool { return w.has(`"c"`) })
	r.Stop(exitOK)
	w.all("", 3)
}

// The rest of a followed file is shipped even if the journal's disk is full, because that needs no
// room.
func TestResumeOfAFollowedFileOnAFullDisk(t *testing.T) {
	w := newWorld(t)
	w.smallDisk(4)
	w.Stall()
	path := w.input("{\"jobId\":\"j\"}\n")
	r := w.Start(w.command("--input", path))
	w.Until("its journal is there", func() bool {
		begun, err := filepath.Glob(filepath.Join(w.Journal, "*", "input"))
		return err == nil && len(begun) == 1
	})
	r.Kill()
	w.fill()
	w.Unstall()
	resume := w.Start(w.command("resume"))
	resume.Wait(exitOK)
	if !w.has(`"j"`) {
		t.Errorf("nothing arrived; it printed\n%s", resume.Said())
	}
}

// The writer of a FIFO waits while there is no room for its journal. The program must not open and
// close the FIFO meanwhile, which would kill the writer and lose what it wrote.
func TestFIFOOnAFullDisk(t *testing.T) {
	w := newWorld(t)
	w.smallDisk(4)
	events := t.TempDir()
	path := filepath.Join(events, "fifo")
	// The first file shows, once it is shipped, that the program has looked at all paths. If the
	// FIFO existed from the start, a full disk would be a reason not to begin.
	first := filepath.Join(events, "first.jsonl")
	if err := os.WriteFile(first, []byte("{\"jobId\":\"first\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := w.Start(w.command("--input", first, "--input", path, "--input-wait"))
	w.Until("it has begun", func() bool { return w.has(`"first"`) })
	w.fill()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	writer := w.sh(`for n in 1 2 3; do echo "{\"jobId\":\"j\",\"n\":$n}"; sleep 0.1; done > "$1"`, path)
	writing := w.Start(writer)
	w.Until("it reports that there is no room", func() bool { return r.Says("FIFO "+path+": ") && r.Says("no room") })
	if err := os.Remove(filepath.Join(filepath.Dir(w.Journal), "ballast")); err != nil {
		t.Fatal(err)
	}
	writing.Wait(0)
	w.Until("all is shipped", func() bool { return w.has(`"n":3`) })
	if !w.has(`"n":1`) || !w.has(`"n":2`) {
		t.Error("lines are lost")
	}
	r.Stop(exitOK)
}

// A start without room for the input of a FIFO names the full folder and the FIFO.
func TestStartWithAFIFOOnAFullDisk(t *testing.T) {
	w := newWorld(t)
	w.smallDisk(4)
	w.Start(w.command("resume")).Wait(exitOK) // it creates the folder
	w.fill()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	r := w.Start(w.command("--input", path))
	r.Wait(exitUsage)
	if want := "perstack-shipper: --journal-dir " + w.Journal + " cannot take another input: FIFO " + path + ": "; !strings.HasPrefix(r.Said(), want) {
		t.Errorf("it printed\n%s\nwant it to begin with\n%s", r.Said(), want)
	}
}

// The reader of a FIFO was killed with the disk full of what it had read. When it starts again, it
// ships that first and does not take its own input for another reader's.
func TestFIFOOnADiskFullOfLeftovers(t *testing.T) {
	w := newWorld(t)
	w.smallDisk(4)
	w.Stall()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.OpenFile(path, os.O_RDWR, 0) // so that the FIFO always has a reader
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	r := w.Start(w.command("--input", path))
	line := fmt.Sprintf("{\"jobId\":\"old\",\"x\":%q}\n", strings.Repeat("x", 1000))
	go in.WriteString(strings.Repeat(line, 3000))
	w.Until("the disk is nearly full", func() bool {
		segments, err := filepath.Glob(filepath.Join(w.Journal, "*", "*.segment"))
		var size int64
		for _, segment := range segments {
			if info, err := os.Stat(segment); err == nil {
				size += info.Size()
			}
		}
		return err == nil && size == int64(3000*len(line))
	})
	r.Kill()
	w.fill()
	r = w.Start(w.command("--input", path, "--until-idle=500ms"))
	w.Until("what is left is shipped first", func() bool { return r.Says("is shipped first") })
	time.Sleep(300 * time.Millisecond) // it tries to begin every 100 ms, and logs no attempt
	w.Unstall()
	w.Until("it is shipped", func() bool { return w.has("old") })
	if _, err := in.WriteString("{\"jobId\":\"new\"}\n"); err != nil {
		t.Fatal(err)
	}
	r.Wait(exitOK)
	if got := w.Gathered(); len(got) != 2 {
		t.Errorf("%d inputs arrived, want 2; it printed\n%s", len(got), r.Said())
	}
}
