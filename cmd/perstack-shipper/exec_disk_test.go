package main

// This file shows exec on a disk with little room, where an agent that writes a file would die when
// the file cannot grow.

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// smallDisk makes the journal's folder a file system of its own with that many MiB.
func (w *world) smallDisk(mib int) {
	w.T.Helper()
	dir := w.T.TempDir()
	if err := mountSmall(dir, mib); err != nil {
		w.T.Skipf("NOT TESTED: mounting is not permitted here: %v", err)
	}
	w.T.Cleanup(func() {
		w.KillAll()
		if err := unmountNow(dir); err != nil {
			w.T.Error(err)
		}
	})
	w.Journal = filepath.Join(dir, "journal")
}

// bulk returns 256 KiB of lines, and a script that writes them that many times at about 20 MB/s. On
// a disk of 24 MiB this leaves the shipper 300 ms between its margin and the end of the disk,
// enough on a machine that is busy with all the tests.
func (w *world) bulk(times int) (block, script string) {
	w.T.Helper()
	line := `{"type":"continueToNextStep","jobId":"j","runId":"r","text":"` + strings.Repeat("x", 8<<10-64) + `"}` + "\n"
	block = strings.Repeat(line, (256<<10)/len(line))
	path := filepath.Join(w.T.TempDir(), "block")
	if err := os.WriteFile(path, []byte(block), 0o600); err != nil {
		w.T.Fatal(err)
	}
	return block, fmt.Sprintf(`n=0; while [ $n -lt %d ]; do cat %s || exit 99; n=$((n+1)); sleep 0.01; done`, times, path)
}

// An agent that writes more than the disk holds while CloudWatch is down is stopped before the disk
// is full, and continued once there is room.
func TestExecOfAnAgentThatFillsTheDisk(t *testing.T) {
	for _, c := range []struct {
		name  string
		flag  string
		small bool
	}{
		{"the disk's end", "--journal-max=4GiB", true},
		{"--journal-max", "--journal-max=24MiB", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			if c.small {
				w.smallDisk(24)
			}
			w.Stall()
			block, script := w.bulk(160) // 40 MiB
			r := w.exec(script, c.flag, "--journal-dir="+w.Journal)
			w.Until("it is stopped", func() bool { return r.Says("the command is stopped (SIGSTOP)") })
			var taken int64
			for _, f := range w.outputs() {
				var st syscall.Stat_t
				if err := syscall.Stat(f, &st); err != nil {
					t.Fatal(err)
				}
				taken += st.Blocks * 512
			}
			if taken > 24<<20 || taken < 8<<20 {
				t.Errorf("it was stopped with %d bytes on disk, want 8 to 24 MiB", taken)
			}
			w.Unstall()
			r.Wait(exitOK)
			if got, want := w.text(""), strings.Repeat(block, 160); got != want {
				t.Errorf("%d bytes arrived, want %d", len(got), len(want))
			}
			log := r.Said()
			stopped, goesOn := strings.Count(log, "the command is stopped (SIGSTOP)"), strings.Count(log, "the command goes on")
			if goesOn < 1 || goesOn != stopped && goesOn != stopped-1 { // the command may end while it is being stopped
				t.Errorf("it printed\n%s", log)
			}
			t.Logf("stopped %d times, the first time with %d bytes on disk", stopped, taken)
			w.nothingLeft()
		})
	}
}

// An agent that writes more to its stderr than the disk holds waits, as behind a pipe, or is
// stopped. Nothing is lost.
func TestExecOfAnAgentThatFillsTheDiskByItsStderr(t *testing.T) {
	for _, stdout := range []string{"file", "pipe"} {
		t.Run(stdout, func(t *testing.T) {
			w := newWorld(t)
			w.smallDisk(24)
			w.Stall()
			block, script := w.bulk(160) // 40 MiB
			r := w.exec(`{ `+script+`; } >&2`, "--tee=none", "--stdout="+stdout, "--journal-dir="+w.Journal)
			w.Until("the command is stopped, or waits", func() bool {
				log := r.Said()
				return strings.Contains(log, isStopped) || strings.Contains(log, "the input waits meanwhile")
			})
			w.Unstall()
			r.Wait(exitOK)
			if got, want := w.text("stderr"), strings.Repeat(block, 160); got != want {
				t.Errorf("%d bytes arrived, want %d", len(got), len(want))
			}
			w.nothingLeft()
		})
	}
}

// On a disk that is full from the start, the command is not even started.
func TestExecOnAFullDisk(t *testing.T) {
	for _, free := range []int{64 << 10, 512 << 10} { // too little even for the journal's own files, or enough for those
		t.Run(fmt.Sprint(free), func(t *testing.T) { execOnAFullDisk(t, free) })
	}
}

func execOnAFullDisk(t *testing.T, free int) {
	w := newWorld(t)
	w.smallDisk(4)
	if err := os.WriteFile(filepath.Join(filepath.Dir(w.Journal), "full"), make([]byte, 4<<20-free), 0o600); err != nil {
		t.Fatal(err)
	}
	ran := filepath.Join(t.TempDir(), "ran")
	r := w.exec("touch " + ran)
	r.Wait(exitUsage)
	if _, err := os.Stat(ran); err == nil {
		t.Error("the command was started")
	}
	if log := r.Said(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "perstack-shipper: --journal-dir ") || !strings.Contains(log, "no room") {
		t.Errorf("it printed\n%s", log)
	}
}

// On SIGTERM while it is stopped, the command gets the signal and has room for its last words, and
// the shipper exits in time.
func TestExecStoppedAndSignalled(t *testing.T) {
	w := newWorld(t)
	w.Stall()
	_, script := w.bulk(300)
	r := w.exec(`trap 'echo last words; exit 4' TERM; `+script, "--journal-max=16MiB", "--drain-timeout=4s", "--memory-max=8MiB")
	w.Until("it is stopped", func() bool { return r.Says("the command is stopped (SIGSTOP)") })
	r.Signal(syscall.SIGTERM)
	w.Until("the command got the signal", func() bool { return w.wrote("last words\n") })
	r.Wait(4)
	if log := r.Said(); !strings.Contains(log, "bytes of the input are not delivered") {
		t.Errorf("it printed\n%s", log)
	}
	w.Unstall()
	w.Start(w.command("resume")).Wait(exitOK)
	if got := w.text(""); !strings.HasSuffix(got, "}\nlast words\n") {
		t.Errorf("%d bytes arrived, which end with %q", len(got), got[max(0, len(got)-20):])
	}
	w.nothingLeft()
}

// isStopped is the message about a command for which there is no room.
const isStopped = "the command is stopped (SIGSTOP)"

// killedWhileStopped leaves behind a command that was stopped for lack of room when its shipper was
// killed. The command writes a block 160 times and then "last words". Puts get no answer.
func (w *world) killedWhileStopped() (block string) {
	w.T.Helper()
	w.smallDisk(24)
	w.Stall()
	block, script := w.bulk(160)
	r := w.exec(script+`; echo last words`, "--journal-dir="+w.Journal)
	w.Until("it is stopped", func() bool { return r.Says(isStopped) && stoppedBelow(r.Cmd.Process.Pid) })
	r.Kill()
	return block
}

// The shipper is killed while its command is stopped for lack of room. The next start lets the
// command continue, but not before there is room.
func TestExecKilledWhileItsCommandIsStopped(t *testing.T) {
	w := newWorld(t)
	block := w.killedWhileStopped()
	before := w.written()
	resume := w.Start(w.command("resume"))
	w.Until("resume has checked the room", func() bool { return resume.Says(isStopped) })
	if after := w.written(); after != before {
		t.Errorf("the command wrote %d bytes when there was no room", after-before)
	}
	w.Unstall()
	resume.Wait(exitOK)
	if got, want := w.text(""), strings.Repeat(block, 160)+"last words\n"; got != want {
		t.Errorf("%d bytes arrived, want %d", len(got), len(want))
	}
	if log := resume.Said(); !strings.Contains(log, " is stopped until there is room again") || !strings.Contains(log, "the command goes on after ") {
		t.Errorf("it printed\n%s", log)
	}
	w.nothingLeft()
}

// A command that survived its shipper is stopped, and somebody makes room by truncating its output.
// The command continues, is still guarded, and its output is shipped.
func TestOutlivedCommandWhoseOutputIsCut(t *testing.T) {
	w := newWorld(t)
	w.killedWhileStopped()
	resume := w.Start(w.command("resume"))
	said := func() int { return strings.Count(resume.Said(), isStopped) }
	w.Until("resume has checked the room", func() bool { return said() == 1 })
	for _, f := range w.outputs() {
		if err := os.Truncate(f, 0); err != nil {
			t.Fatal(err)
		}
	}
	w.Until("the command is stopped again for lack of room", func() bool { return said() == 2 })
	w.Unstall()
	resume.Wait(exitRejected)
	if !w.has("last words") {
		t.Errorf("the last words did not arrive; it printed\n%s", resume.Said())
	}
	w.nothingLeft()
}

// A command that survived its shipper stays stopped while there is little room. That also holds
// between the loop that makes room for a start and the loop that runs after it.
func TestOutlivedCommandStaysStoppedAtAStart(t *testing.T) {
	w := newWorld(t)
	w.killedWhileStopped()
	w.fill() // as other programs may
	before := w.written()
	r := w.Start(w.command("--input", w.input("{\"jobId\":\"new\"}\n")))
	w.Until("what is left is shipped first", func() bool { return r.Says("is shipped first") })
	ballast := filepath.Join(filepath.Dir(w.Journal), "ballast")
	info, err := os.Stat(ballast)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(ballast, info.Size()-1<<20); err != nil { // room for that input and little else
		t.Fatal(err)
	}
	// Once for stdout and once for stderr.
	w.Until("what is left is shipped beside the input", func() bool { return strings.Count(r.Said(), " is shipped from where it stopped") == 4 })
	w.Until("the guard has checked the room", func() bool { return strings.Count(r.Said(), isStopped) == 2 })
	if after := w.written(); after != before || r.Says("goes on after") {
		t.Errorf("the command wrote %d bytes when there was no room; it printed\n%s", after-before, r.Said())
	}
	w.Unstall()
	w.Until("all is shipped", func() bool { return w.has("last words") && w.has(`"new"`) })
	r.Stop(exitOK)
}

// stoppedBelow reports whether a descendant of the process pid is stopped.
func stoppedBelow(pid int) bool {
	var children strings.Builder
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // any thread may have started the child
	for _, thread := range threads {
		data, _ := os.ReadFile(thread) // if it is missing, the thread has ended
		children.Write(append(data, ' '))
	}
	for _, child := range strings.Fields(children.String()) {
		stat, err := os.ReadFile("/proc/" + child + "/stat")
		if err != nil {
			continue
		}
		if _, state, found := strings.Cut(string(stat), ") "); found && strings.HasPrefix(state, "T") {
			return true
		}
		if n, err := strconv.Atoi(child); err == nil && stoppedBelow(n) {
			return true
		}
	}
	return false
}

// outputs returns the files that commands write.
func (w *world) outputs() []string {
	found, err := filepath.Glob(filepath.Join(w.Journal, "*", "*.output"))
	if err != nil {
		w.T.Fatal(err)
	}
	return found
}

// written returns the number of bytes that commands have written to those files.
func (w *world) written() (sum int64) {
	for _, f := range w.outputs() {
		info, err := os.Stat(f)
		if err != nil {
			w.T.Fatal(err)
		}
		sum += info.Size()
	}
	return sum
}
