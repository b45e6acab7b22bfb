package journal

// These tests have commands that truncate their own output, and show what a restart finds.

import (
	"errors"
	"os"
	"strings"
	"testing"

	"perstack-shipper/shipper/testkit/await"
)

// wantCut reads at off and expects a [CutError]. It returns the offset at which reading goes on.
func wantCut(t *testing.T, of based, off, lost int64) (to int64) {
	t.Helper()
	j := of.Base()
	var cut *CutError
	_, err := j.ReadAt(make([]byte, 100), off)
	if !errors.As(err, &cut) || !errors.Is(err, ErrTruncated) || cut.From != off || cut.Lost != lost {
		t.Fatalf("ReadAt returned %v, want a CutError with %d bytes lost after %d", err, lost, off)
	}
	if atLeast := strings.Contains(err.Error(), "at least"); atLeast != (lost > 0) || !strings.Contains(err.Error(), "--stdout pipe") {
		t.Fatal(err)
	}
	return cut.To
}

// TestCommandTruncatesItsOutput checks that a truncated output goes on as the same input, behind
// everything that was seen of it.
func TestCommandTruncatesItsOutput(t *testing.T) {
	for _, where := range []string{"disk", "memory"} {
		for _, c := range []struct {
			name  string
			after string // written after the truncation
		}{
			{"shorter than before", "x\n"},
			{"longer than before", strings.Repeat("longer than it was before\n", 10)},
		} {
			t.Run(where+" "+c.name, func(t *testing.T) {
				f := openFolder(t)
				if where == "memory" {
					f = inMemory(t, 0)
				}
				j, w := newOutput(t, f, "output", Options{})
				w.WriteString("line one\nline two\nline three\n")
				got := make([]byte, 9)
				if n, err := j.ReadAt(got, 0); n != 9 || err != nil {
					t.Fatal(n, err)
				}
				ack(t, j, 9, "state")
				// The command opens /dev/stdout by name, as `echo x >/dev/stdout` does, and then
				// goes on with its own descriptor.
				script := "printf '" + strings.ReplaceAll(c.after, "\n", `\n`) + "' >/dev/stdout; echo appended"
				if err := await.Exit(t, shell(t, w, script)); err != nil {
					t.Fatal(err)
				}
				to := wantCut(t, j, 9, 20)
				w.WriteString("and on\n")
				wantRest(t, j, to, []byte(c.after+"appended\nand on\n"))
				wantCut(t, j, 9, 20) // a second reader meets it as well
				if where == "disk" {
					j.Close()
					j = recoverAs[*Output](t, f, "output")
					if j.Fallback() != "" || j.Damage() != nil || j.Cursor().Offset != 9 {
						t.Fatal(j.Fallback(), j.Damage(), j.Cursor())
					}
					to = wantCut(t, j, 9, 20)
					wantRest(t, j, to, []byte(c.after+"appended\nand on\n"))
					left, err := f.Leftover()
					if want := int64(len(c.after + "appended\nand on\n")); err != nil || len(left) != 1 || left[0].Unacked != want {
						t.Errorf("Leftover returned %+v, %v; want one input with %d unacked bytes", left, err, want)
					}
				}
				// It truncates the file once more. One reader is at the end, another has met
				// neither truncation.
				end := j.Size()
				ack(t, j, to+1, "")
				if err := await.Exit(t, shell(t, w, "echo again >/dev/stdout")); err != nil {
					t.Fatal(err)
				}
				to2 := wantCut(t, j, end, 0)
				wantRest(t, j, to2, []byte("again\n"))
				if err := j.End(); err != nil {
					t.Fatal(err)
				}
				if err := j.Remove(); !errors.Is(err, ErrUnacked) {
					t.Fatal(err)
				}
				ack(t, j, j.Size(), "")
				if err := j.Remove(); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// unseen runs a script whose stdout is an output while nobody looks at the output.
func unseen(t *testing.T, j *Output, w *os.File, script string) {
	t.Helper()
	j.file.mu.Lock()
	defer j.file.mu.Unlock()
	if err := await.Exit(t, shell(t, w, script)); err != nil {
		t.Fatal(err)
	}
}

// TestTruncationBetweenLooks checks that the head of the file reveals a truncation before the first
// look, and one to exactly the size seen before.
func TestTruncationBetweenLooks(t *testing.T) {
	for _, c := range []struct{ name, before, now string }{
		{"before anything was read", "", strings.Repeat("a line that is much longer than the head of the file, so that the file is no smaller\n", 3)},
		{"grown to the same size", strings.Repeat("x", 200) + "\n", strings.Repeat("y", len(outputHead("output"))+200) + "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			j, w := newOutput(t, openFolder(t), "output", Options{})
			w.WriteString(c.before)
			seen := j.Size()
			unseen(t, j, w, "echo lost; printf '"+strings.TrimSuffix(c.now, "\n")+`\n' >/dev/stdout`)
			if err := j.End(); err != nil {
				t.Fatal(err)
			}
			wantRest(t, j, wantCut(t, j, 0, seen), []byte(c.now))
		})
	}
}

// TestTruncatedAndRegrownAfterAllWasRead checks that no bytes count as lost if all had been read,
// although the file is longer now. Bytes written since then may be lost.
func TestTruncatedAndRegrownAfterAllWasRead(t *testing.T) {
	j, w := newOutput(t, openFolder(t), "first", Options{})
	w.WriteString("all of it was read\n")
	wantRest(t, j, 0, []byte("all of it was read\n"))
	unseen(t, j, w, "head -c 5000 /dev/zero >/dev/stdout") // the size alone reveals nothing
	to := wantCut(t, j, 19, 0)
	if j.Size() != to+5000 {
		t.Fatalf("the size is %d, want %d", j.Size(), to+5000)
	}
}

// TestEmptiedAgainWhileNoShipperRuns empties a file for the second time and fills it to the same
// size. The next process must not take it for the one that was read, even if the cursor is at its
// very beginning.
func TestEmptiedAgainWhileNoShipperRuns(t *testing.T) {
	for _, c := range []struct{ name, first, now string }{
		{"long", strings.Repeat("first ", 20) + "\n", strings.Repeat("second ", 20) + "\n"},
		{"short", "1\n", "2\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := openFolder(t)
			j, w := newOutput(t, f, "output", Options{})
			to := emptied(t, j, w, 0, c.first)
			ack(t, j, to, "")
			for off := range int64(len(c.first)) { // byte by byte
				if _, err := j.ReadAt(make([]byte, 1), to+off); err != nil {
					t.Fatal(err)
				}
			}
			j.Close()
			if err := await.Exit(t, shell(t, w, "printf '"+strings.TrimSuffix(c.now, "\n")+`\n' >/dev/stdout`)); err != nil {
				t.Fatal(err)
			}
			j = recoverAs[*Output](t, f, "output")
			var cut *CutError
			if _, err := j.ReadAt(make([]byte, 1), to); !errors.As(err, &cut) {
				t.Fatal(err)
			}
			wantRest(t, j, cut.To, []byte(c.now))
		})
	}
}

// emptied has a command empty its stdout and write text, and returns the offset of the text.
func emptied(t *testing.T, j *Output, w *os.File, off int64, text string) (to int64) {
	t.Helper()
	if err := await.Exit(t, shell(t, w, "printf '"+strings.TrimSuffix(text, "\n")+`\n' >/dev/stdout`)); err != nil {
		t.Fatal(err)
	}
	return wantCut(t, j, off, 0)
}

// TestTruncationIsNoticedAgainAfterARestart checks that an ack after the truncation does not hide
// it from a restart.
func TestTruncationIsNoticedAgainAfterARestart(t *testing.T) {
	f := openFolder(t)
	j, w := newOutput(t, f, "first", Options{})
	w.WriteString("one\ntwo\n")
	wantRest(t, j, 0, []byte("one\ntwo\n"))
	if err := await.Exit(t, shell(t, w, "echo other bytes, and more of them >/dev/stdout")); err != nil {
		t.Fatal(err)
	}
	ack(t, j, 8, "acked later")
	j.Close()
	j = recoverAs[*Output](t, f, "first")
	if string(j.Cursor().State) != "acked later" {
		t.Fatalf("%s", j.Cursor().State)
	}
	wantRest(t, j, wantCut(t, j, 8, 0), []byte("other bytes, and more of them\n"))
}

func TestTruncationWhileNoShipperRuns(t *testing.T) {
	for _, c := range []struct{ name, now string }{
		{"shorter", "new\n"},
		{"longer", "new contents that are longer than the old ones were, and longer than the head of the file\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := openFolder(t)
			j, w := newOutput(t, f, "first", Options{})
			w.WriteString("old contents.\nunread\n")
			readRest(t, j, 0)
			ack(t, j, 14, "state")
			path := j.file.path
			j.Close()
			w.Close()
			if err := os.WriteFile(path, []byte(c.now), 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 { // a crash before anything is acked changes nothing
				j = recoverAs[*Output](t, f, "first")
				to := wantCut(t, j, 14, 7)
				if string(j.Cursor().State) != "state" {
					t.Fatalf("%s", j.Cursor().State)
				}
				wantRest(t, j, to, []byte(c.now))
				j.Close()
			}
		})
	}
}

// TestOutputWhoseEndIsCutOff: the head and the bytes already read are still in the file, so only
// its end was cut off. The bytes before that are read once.
func TestOutputWhoseEndIsCutOff(t *testing.T) {
	j, w := newOutput(t, openFolder(t), "first", Options{})
	w.WriteString("read\nunread\ngone\n")
	j.Size()
	if n, err := j.ReadAt(make([]byte, 5), 0); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	if err := os.Truncate(j.file.path, int64(len(outputHead("first"))+len("read\nunread\n"))); err != nil {
		t.Fatal(err)
	}
	to := wantCut(t, j, 5, 12)
	w.WriteString("and on\n")
	wantRest(t, j, to, []byte("unread\nand on\n"))
}

// TestHalfMadeOutputIsRemoved: a crash while an Output is made leaves at most the head of its file,
// and nothing to recover.
func TestHalfMadeOutputIsRemoved(t *testing.T) {
	for _, size := range []int64{0, 1, int64(len(outputHead("half")))} {
		f := openFolder(t)
		j, w := newOutput(t, f, "half", Options{})
		w.Close()
		j.Close()
		if err := errors.Join(os.Remove(j.st.path(inputName)), os.Truncate(j.file.path, size)); err != nil {
			t.Fatal(err)
		}
		if left, err := f.Leftover(); err != nil || len(left) != 0 {
			t.Errorf("with %d bytes of the head, Leftover returned %+v, %v", size, left, err)
		}
		if _, err := os.Stat(j.Path()); !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	}
}
