package journal

import (
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perstack-shipper/shipper/disk"
	"perstack-shipper/shipper/testkit/await"
)

func newOutput(t testing.TB, f *Folder, id string, o Options) (*Output, *os.File) {
	t.Helper()
	j, w, err := f.NewOutput(id, []byte("about"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(); j.Close() })
	return j, w
}

// shell starts sh with its stdout and stderr in the journal.
func shell(t testing.TB, w *os.File, script string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd
}

// reattach recovers an Output without its watcher.
func reattach(t *testing.T, f *Folder, id string) *Output {
	t.Helper()
	base, err := f.reopen(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { base.Close() })
	j := &Output{Journal: base}
	if err := j.attach(); err != nil {
		t.Fatal(err)
	}
	j.opened()
	return j
}

// waitFor waits for rings of the journal's bell until is returns true.
func waitFor(t testing.TB, of based, what string, is func() bool) {
	t.Helper()
	j := of.Base()
	deadline := time.After(await.Deadline)
	for !is() {
		select {
		case <-j.Changed():
		case <-deadline:
			t.Fatal("timed out waiting for ", what)
		}
	}
}

func TestCommandWritesTheSegmentItself(t *testing.T) {
	for _, where := range []string{"disk", "memory"} {
		t.Run(where, func(t *testing.T) {
			f := openFolder(t)
			if where == "memory" {
				f = inMemory(t, 0)
			}
			j, w := newOutput(t, f, "output", Options{})
			cmd := shell(t, w, `echo one; echo two >&2; exec /bin/echo three`)
			w.Close()
			waitFor(t, j, "growth", func() bool { return j.Size() == 14 })
			if err := await.Exit(t, cmd); err != nil {
				t.Fatal(err)
			}
			wantRest(t, j, 0, []byte("one\ntwo\nthree\n"))
			if j.Ended() {
				t.Fatal("the input ended without End")
			}
			if err := j.End(); err != nil || !j.Ended() {
				t.Fatal(err)
			}
			if ms := j.ArrivalAt(13); time.Since(time.UnixMilli(ms)) > time.Minute {
				t.Fatal("the last byte arrived at", ms)
			}
			if err := j.Remove(); !errors.Is(err, ErrUnacked) {
				t.Fatal(err)
			}
			ack(t, j, 14, "")
			if err := j.Remove(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestAckedBytesOfAnOutputAreFreed(t *testing.T) {
	for _, where := range []string{"disk", "memory"} {
		t.Run(where, func(t *testing.T) {
			f := openFolder(t)
			if where == "memory" {
				f = inMemory(t, 0)
			}
			j, w := newOutput(t, f, "holes", Options{})
			if !j.PunchesHoles() {
				t.Skip("NOT TESTED: this file system punches no holes")
			}
			data := random(7, 3<<20)
			var acked int64
			buf := make([]byte, 128<<10)
			for i := 0; i < len(data); i += 1 << 18 {
				if _, err := w.Write(data[i : i+1<<18]); err != nil {
					t.Fatal(err)
				}
				for {
					n, err := j.ReadAt(buf, acked)
					if err != nil {
						t.Fatal(err)
					}
					if n == 0 {
						break
					}
					if string(buf[:n]) != string(data[acked:acked+int64(n)]) {
						t.Fatal("wrong bytes at", acked)
					}
					acked += int64(n)
					ack(t, j, acked, "")
				}
				if got := j.Allocated(); got > punchStep+1<<18+64<<10 {
					t.Fatalf("%d bytes are allocated although all are acked", got)
				}
			}
			if got := j.Allocated(); got > 64<<10 {
				t.Fatalf("%d bytes are allocated at the end", got)
			}
			if _, err := j.ReadAt(buf, 100); !errors.Is(err, ErrAcked) {
				t.Fatal("a hole was read:", err)
			}
			// More bytes come, and a restart.
			if where == "disk" {
				j.Close()
				w.Write([]byte("more"))
				j = recoverAs[*Output](t, f, "holes")
				if j.Fallback() != "" || j.Damage() != nil || j.Cursor().Offset != acked {
					t.Fatal(j.Fallback(), j.Damage(), j.Cursor().Offset)
				}
				wantRest(t, j, acked, []byte("more"))
			}
		})
	}
}

// TestRetainPreventsHoles checks that a second reader never reads a hole.
func TestRetainPreventsHoles(t *testing.T) {
	j, w := newOutput(t, openFolder(t), "teed", Options{})
	data := random(8, 2<<20)
	w.Write(data)
	j.Retain(0)
	got, _ := readRest(t, j, 0)
	ack(t, j, int64(len(got)), "")
	wantRest(t, j, 0, data)
	j.Retain(1 << 20)
	wantRest(t, j, 1<<20, data[1<<20:])
	j.StopRetaining()
	if j.PunchesHoles() && j.Allocated() > 64<<10 {
		t.Fatalf("%d bytes are allocated after StopRetaining", j.Allocated())
	}
}

// startCommand starts a command that has written "before\n". When goOn is called, it writes
// "after\n" and ends.
func startCommand(t *testing.T, f *Folder, id string) (j *Output, goOn func()) {
	t.Helper()
	j, w := newOutput(t, f, id, Options{})
	r, gate, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", "echo before; read x; echo after")
	cmd.Stdin, cmd.Stdout = r, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	w.Close()
	waitFor(t, j, "first line", func() bool { return j.Size() == 7 })
	return j, func() {
		t.Helper()
		gate.Write([]byte("go\n"))
		gate.Close()
		if err := await.Exit(t, cmd); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRecoveredOutputEndsWithItsLastWriter: the command has outlived its shipper.
func TestRecoveredOutputEndsWithItsLastWriter(t *testing.T) {
	f := openFolder(t)
	j, goOn := startCommand(t, f, "orphan")
	if writer, known := j.HasWriter(); !known {
		t.Skip("NOT TESTED: this file system has no leases")
	} else if !writer {
		t.Fatal("HasWriter is false while the command runs")
	}
	j.Close()
	j = recoverAs[*Output](t, f, "orphan")
	if j.Ended() {
		t.Fatal("the input ended while the command runs")
	}
	goOn()
	waitFor(t, j, "the end", j.Ended)
	wantRest(t, j, 0, []byte("before\nafter\n"))
	if writer, known := j.HasWriter(); writer || !known {
		t.Fatal(writer, known)
	}
}

func TestRecoveredOutputWithoutWriterHasEndedAtOnce(t *testing.T) {
	f := openFolder(t)
	j, w := newOutput(t, f, "dead", Options{})
	w.WriteString("last words")
	w.Close()
	j.Close()
	j = reattach(t, f, "dead") // without the watcher, which would find out as well
	if _, known := j.HasWriter(); !known {
		t.Skip("NOT TESTED: this file system has no leases")
	}
	if !j.Ended() || j.Size() != 10 {
		t.Fatal(j.Ended(), j.Size())
	}
}

// TestPollingAloneFindsGrowthAndTheEnd: inotify is not always available.
func TestPollingAloneFindsGrowthAndTheEnd(t *testing.T) {
	f := openFolder(t)
	j, w := newOutput(t, f, "polled", Options{})
	j.Close()
	j = reattach(t, f, "polled")
	j.done.Go(func() { j.file.watchWith(j.stop, j.file.poll, nil, nil) })
	w.WriteString("one\n")
	waitFor(t, j, "growth", func() bool { return j.file.lastSeen() == 4 })
	w.Close()
	if _, known := j.HasWriter(); known {
		waitFor(t, j, "the end", j.Ended)
	}
}

// lastSeen returns the size that the last look found, without looking again.
func (g *grownFile) lastSeen() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seen
}

// TestLostCursorOfAPunchedOutput checks that without a cursor an Output starts behind its hole, so
// that nobody reads the hole as bytes.
func TestLostCursorOfAPunchedOutput(t *testing.T) {
	f := openFolder(t)
	j, w := newOutput(t, f, "holes", Options{})
	if !j.PunchesHoles() {
		t.Skip("NOT TESTED: this file system punches no holes")
	}
	data := random(14, 1<<20)
	w.Write(data)
	w.Close()
	readRest(t, j, 0)
	ack(t, j, 800_000, "state")
	dir := j.Path()
	j.Close()
	for _, name := range cursorNames {
		if err := spoil(filepath.Join(dir, name), 20); err != nil {
			t.Fatal(err)
		}
	}
	j = recoverAs[*Output](t, f, "holes")
	at := j.Cursor().Offset
	if at < 500_000 || at > 800_000 || !strings.Contains(j.Fallback(), "starting at offset") {
		t.Fatal(at, j.Fallback())
	}
	wantRest(t, j, at, data[at:])
	if _, err := j.ReadAt(make([]byte, 1), at-1); !errors.Is(err, ErrAcked) {
		t.Fatal("read a hole:", err)
	}
}

// TestWithoutHolesTheFileKeepsItsBlocks checks that nothing else differs if the file system cannot
// punch holes.
func TestWithoutHolesTheFileKeepsItsBlocks(t *testing.T) {
	j, w := newOutput(t, openFolder(t), "solid", Options{})
	j.file.punches = false
	data := random(13, 1<<20)
	w.Write(data)
	wantRest(t, j, 0, data)
	ack(t, j, 1<<20, "")
	if j.PunchesHoles() || j.Allocated() < 1<<20 {
		t.Fatal(j.PunchesHoles(), j.Allocated())
	}
	wantRest(t, j, 0, data)
}

func TestReserveAndHeadroom(t *testing.T) {
	const limit = 4 << 20
	j, w := newOutput(t, openFolder(t), "greedy", Options{MaxBytes: limit})
	room, err := j.Headroom()
	if err != nil || room > limit || room < limit-64<<10 { // the head of the file takes one block
		t.Fatal(room, err)
	}
	ahead, err := j.Reserve(1 << 20)
	if err != nil || ahead != 1<<20 && ahead != 0 {
		t.Fatal(ahead, err)
	}
	if ahead == 0 {
		t.Log("NOT TESTED: this file system cannot reserve space")
	} else if got := j.Allocated(); got < 1<<20 {
		t.Fatalf("only %d bytes are allocated after Reserve", got)
	}
	if j.Size() != 0 {
		t.Fatal("Reserve changed the size to", j.Size())
	}
	if room, err = j.Headroom(); err != nil || room < limit-128<<10 || room > limit {
		t.Fatal(room, err)
	}
	data := random(9, 3<<20)
	w.Write(data)
	if room, err = j.Headroom(); err != nil || room > 1<<20 || room < 1<<20-128<<10 {
		t.Fatal(room, err)
	}
	if ahead, err = j.Reserve(64 << 20); err != nil || ahead > 1<<20 {
		t.Fatal("Reserve exceeded the limit:", ahead, err)
	}
	got, _ := readRest(t, j, 0)
	ack(t, j, int64(len(got)), "")
	if room, err = j.Headroom(); err != nil || j.PunchesHoles() && room < limit-512<<10 {
		t.Fatal("there is no more room although bytes were acked:", room, err)
	}
	j.End()
	if room, err := j.Headroom(); err != nil || room != math.MaxInt64 {
		t.Fatal(room, err)
	}
}

func TestRecoveryOfADamagedOutput(t *testing.T) {
	head := int64(len(outputHead("dead")))
	for _, c := range []struct {
		name              string
		damage            func(dir string) error
		cursor            int64
		fallback, damaged string
		cut               string // the bytes that remain after a truncation
	}{
		{"nothing", func(string) error { return nil }, 400, "", "", ""},
		{"cursors corrupt", func(dir string) error {
			return errors.Join(spoil(filepath.Join(dir, cursorNames[0]), 20), spoil(filepath.Join(dir, cursorNames[1]), 20))
		}, 0, "starting at offset 0", "", ""},
		{"output deleted", func(dir string) error { return os.Remove(filepath.Join(dir, outputName)) }, 400, "", "400 to 1000", ""},
		{"output cut above the cursor", func(dir string) error { return os.Truncate(filepath.Join(dir, outputName), head+700) }, 400, "", "", "400 to 700"},
		{"output cut below the cursor", func(dir string) error { return os.Truncate(filepath.Join(dir, outputName), head+300) }, 400, "", "", "nothing"},
		{"output emptied", func(dir string) error { return os.Truncate(filepath.Join(dir, outputName), 0) }, 400, "", "", "nothing"},
		{"input deleted", func(dir string) error { return os.Remove(filepath.Join(dir, inputName)) }, 400, "", "treated as a command's output", ""},
		{"foreign file", func(dir string) error { return os.WriteFile(filepath.Join(dir, "core"), nil, 0o600) }, 400, "", "core", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := openFolder(t)
			j, w := newOutput(t, f, "dead", Options{})
			data := random(10, 1000)
			w.Write(data)
			w.Close()
			readRest(t, j, 0)
			ack(t, j, 400, "state")
			dir := j.Path()
			j.Close()
			if err := c.damage(dir); err != nil {
				t.Fatal(err)
			}
			if left, err := f.Leftover(); err != nil || len(left) != 1 || left[0].Kind != KindOutput {
				t.Fatalf("%+v %v", left, err)
			}
			j = recoverAs[*Output](t, f, "dead")
			if j.Cursor().Offset != c.cursor {
				t.Fatal("cursor", j.Cursor().Offset)
			}
			wantText(t, "Fallback", j.Fallback(), c.fallback)
			damaged := ""
			if j.Damage() != nil {
				damaged = j.Damage().Error()
			}
			wantText(t, "Damage", damaged, c.damaged)
			switch _, err := os.Stat(filepath.Join(dir, outputName)); {
			case c.cut != "":
				var cut *CutError
				if _, err := j.ReadAt(make([]byte, 1), c.cursor); !errors.As(err, &cut) || cut.Lost != 600 || cut.To != 1001 {
					t.Fatal(err)
				}
				rest := []byte{}
				if c.cut == "400 to 700" {
					rest = data[400:700]
				}
				wantRest(t, j, cut.To, rest)
			case err != nil:
				if got, gaps := readRest(t, j, c.cursor); len(got) > 0 || len(gaps) != 1 || gaps[0] != (Gap{400, 1000}) {
					t.Fatal(len(got), gaps)
				}
			default:
				wantRest(t, j, c.cursor, data[c.cursor:])
			}
		})
	}
}

// TestRecoveredOutputWithoutLeases: the file system cannot tell whether the command still writes.
// The output has ended once it has not grown for quietEnd and no process here has it open.
func TestRecoveredOutputWithoutLeases(t *testing.T) {
	if !disk.KnowsWriters {
		t.Skip("only Linux tells which processes write a file")
	}
	f := openFolder(t)
	j, goOn := startCommand(t, f, "remote")
	j.Close()
	j = reattach(t, f, "remote")
	o, now := j.file, time.Now()
	o.hasWriter = func(*os.File) (writer, known bool) { return true, false }
	may := func(after time.Duration) bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.look()
		return o.mayHaveWriter(now.Add(after))
	}
	for _, after := range []time.Duration{0, quietEnd - 1, quietEnd, 10 * quietEnd} {
		if !may(after) {
			t.Fatalf("after %s mayHaveWriter is false while the command runs", after)
		}
	}
	goOn()
	if !may(20*quietEnd) || !may(21*quietEnd-1) {
		t.Fatal("mayHaveWriter is false right after the file grew")
	}
	if may(21 * quietEnd) {
		t.Fatal("mayHaveWriter is true although the file has not grown for quietEnd")
	}
	o.quietEnd, o.quietSince = 0, time.Time{}
	if o.poll(); !j.Ended() {
		t.Fatal("the input does not end")
	}
	wantRest(t, j, 0, []byte("before\nafter\n"))
}

// TestWritersWithoutLeases: if the file system cannot tell who writes, the processes of this
// machine can. That matters because npx dies before the agent that it started, whose last lines
// come after that. A process that only reads the output is not a writer.
func TestWritersWithoutLeases(t *testing.T) {
	j, w := newOutput(t, openFolder(t), "remote", Options{})
	if _, known := disk.OthersWrite(j.file.who, outputName); !known {
		t.Skip("NOT TESTED: processes cannot be listed here")
	}
	j.file.hasWriter = func(*os.File) (writer, known bool) { return true, false }
	if _, err := w.WriteString("before\n"); err != nil {
		t.Fatal(err)
	}
	began := func(script string, stdout *os.File) (end func()) {
		t.Helper()
		cmd := exec.Command("/bin/sh", "-c", script, "sh", filepath.Join(j.Path(), outputName))
		cmd.Stdout = stdout
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return func() {
			t.Helper()
			stdin.Close()
			if err := await.Exit(t, cmd); err != nil {
				t.Error(err)
			}
		}
	}
	want := func(want bool) {
		t.Helper()
		if writer, known := j.HasWriter(); writer != want || !known {
			t.Errorf("HasWriter returned %t, %t, want %t, true", writer, known, want)
		}
	}
	endWriter := began("read x; echo after", w)
	w.Close()
	want(true)
	endWriter()
	want(false)
	read, said, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	endReader := began(`exec 3<"$1"; read line <&3; echo $line; read x || true`, said)
	said.Close()
	if _, err := read.Read(make([]byte, 7)); err != nil { // it has the file open now
		t.Fatal(err)
	}
	want(false)
	endReader()
}
