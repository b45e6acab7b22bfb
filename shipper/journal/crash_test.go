package journal

// These tests have processes that die in the middle of their work: the test binary starts itself as
// a writer and kills it.

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"perstack-shipper/shipper/testkit/await"
)

const taskSegment = 10_000

// runTask does the work of the other process.
func runTask(task string) {
	f, err := Open(os.Getenv("JOURNAL_TEST_DIR"))
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(3)
	}
	switch task {
	case "write":
		writeForever(f)
	case "small files":
		writeSmallFiles(f)
	}
}

// patterned fills b with the bytes at off of a pattern that repeats only after a while.
func patterned(off int64, b []byte) {
	for i := range b {
		b[i] = byte((off + int64(i)) * 131 >> 3)
	}
}

// writeForever writes, reads and acks, and prints how far it is, until it is killed.
func writeForever(f *Folder) {
	j, err := f.NewPipe("victim", []byte("about"), Options{SegmentBytes: taskSegment, MaxBytes: 100_000})
	if err != nil {
		fmt.Println("new:", err)
		os.Exit(3)
	}
	chunk := make([]byte, 1777)
	go func() {
		var off int64
		buf := make([]byte, 4000)
		for range j.Changed() {
			for {
				n, err := j.ReadAt(buf, off)
				if err != nil {
					fmt.Println("read:", err)
					os.Exit(3)
				}
				if n == 0 {
					break
				}
				off += int64(n)
				if err := j.Ack(Cursor{off, fmt.Appendf(nil, "acked %d", off)}); err != nil {
					fmt.Println("ack:", err)
					os.Exit(3)
				}
				fmt.Println("acked", off)
			}
		}
	}()
	for {
		size := j.Size()
		patterned(size, chunk)
		for rest := chunk; len(rest) > 0; {
			n, err := j.Write(rest)
			rest = rest[n:]
			if errors.Is(err, ErrFull) {
				time.Sleep(time.Millisecond)
			} else if err != nil {
				fmt.Println("write:", err)
				os.Exit(3)
			}
		}
		fmt.Println("wrote", j.Size())
	}
}

func startTask(t *testing.T, task, dir string) (cmd *exec.Cmd, out io.ReadCloser) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "JOURNAL_TEST_TASK="+task, "JOURNAL_TEST_DIR="+dir, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(await.Deadline, func() {
		t.Errorf("the task %q has not ended within %s", task, await.Deadline)
		cmd.Process.Kill()
	})
	t.Cleanup(func() { late.Stop() })
	return cmd, out
}

// TestKilledAtAnyInstant checks that a process killed at any instant leaves an intact journal: no
// byte that Write accepted is missing, and no ack is forgotten.
func TestKilledAtAnyInstant(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	chance := rand.New(rand.NewPCG(seed, 1))
	rounds := 12
	if testing.Short() {
		rounds = 8
	}
	for range rounds {
		dir := t.TempDir()
		cmd, out := startTask(t, "write", dir)
		var wrote, acked int64
		lines := bufio.NewScanner(out)
		for n, most := 0, 1+chance.IntN(1500); lines.Scan(); n++ {
			if n == most {
				cmd.Process.Kill() // SIGKILL; the lines that it printed before are still read
			}
			word, number, _ := strings.Cut(lines.Text(), " ")
			var off int64
			if _, err := fmt.Sscan(number, &off); err != nil {
				t.Fatal(lines.Text())
			}
			switch word {
			case "wrote":
				wrote = off
			case "acked":
				acked = off
			default:
				t.Fatal(lines.Text())
			}
		}
		cmd.Wait()
		f, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		left, err := f.Leftover()
		if err != nil || len(left) != 1 || left[0].Holder != 0 || left[0].Err != nil {
			t.Fatalf("%+v %v", left, err)
		}
		j := recoverAs[*Pipe](t, f, "victim")
		if j.Damage() != nil || j.Fallback() != "" {
			t.Fatal(j.Damage(), j.Fallback())
		}
		c := j.Cursor()
		if j.Size() < wrote || c.Offset < acked || c.Offset > 0 && string(c.State) != fmt.Sprintf("acked %d", c.Offset) {
			t.Fatalf("the size is %d of at least %d, and the cursor %d (%s) of at least %d", j.Size(), wrote, c.Offset, c.State, acked)
		}
		got, gaps := readRest(t, j, c.Offset)
		want := make([]byte, j.Size()-c.Offset)
		patterned(c.Offset, want)
		if len(gaps) > 0 || string(got) != string(want) {
			t.Fatalf("read %d bytes of %d with gaps %v, or the bytes differ", len(got), len(want), gaps)
		}
		ack(t, j, j.Size(), "")
		if err := j.Remove(); err != nil {
			t.Fatal(err)
		}
	}
}

// writeSmallFiles writes while files are limited to 5,000 bytes, less than the segment size of the
// options.
func writeSmallFiles(f *Folder) {
	signal.Ignore(unix.SIGXFSZ) // by default the signal kills
	j, err := f.NewPipe("small", nil, Options{SegmentBytes: taskSegment})
	if err != nil {
		fmt.Println("new:", err)
		os.Exit(3)
	}
	limit := unix.Rlimit{Cur: 5_000, Max: 5_000}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		fmt.Println("skip:", err)
		return
	}
	b := make([]byte, 23_000)
	patterned(0, b)
	for rest := b; len(rest) > 0; {
		n, err := j.Write(rest[:min(len(rest), 1_500)])
		rest = rest[n:]
		if err != nil {
			fmt.Println("write:", err)
			os.Exit(3)
		}
	}
	j.Close()
	fmt.Println("done")
}

func TestLargestFileIsSmallerThanASegment(t *testing.T) {
	dir := t.TempDir()
	cmd, out := startTask(t, "small files", dir)
	said, _ := io.ReadAll(out)
	cmd.Wait()
	if why, skip := strings.CutPrefix(string(said), "skip:"); skip {
		t.Skip("NOT TESTED: the file size cannot be limited here:", why)
	}
	if string(said) != "done\n" {
		t.Fatalf("%s", said)
	}
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 23_000)
	patterned(0, want)
	j := recoverAs[*Pipe](t, f, "small")
	if j.Damage() != nil || j.Fallback() != "" {
		t.Fatal(j.Damage(), j.Fallback())
	}
	wantRest(t, j, 0, want)
}
