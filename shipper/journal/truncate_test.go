package journal

// Children that cut their own output, and what a restart finds of it.

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func TestChildThatTruncatesItsOutput(t *testing.T) {
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
				j, w := newChild(t, f, "first", Options{})
				w.WriteString("line one\nline two\nline three\n")
				got := make([]byte, 9)
				if n, err := j.ReadAt(got, 0); n != 9 || err != nil {
					t.Fatal(n, err)
				}
				ack(t, j, 9, "state")
				// What `echo x >/dev/stderr` does, and then the child goes on with its own descriptor.
				script := "printf '" + strings.ReplaceAll(c.after, "\n", `\n`) + "' >/dev/stdout; echo appended"
				if err := shell(t, w, script).Wait(); err != nil {
					t.Fatal(err)
				}
				_, err := j.ReadAt(make([]byte, 100), 9)
				var cut *TruncatedError
				if !errors.Is(err, ErrTruncated) || !errors.As(err, &cut) || cut.At != 9 || cut.Lost < 20 {
					t.Fatalf("%v", err)
				}
				if !j.Ended() || j.Size() != 9 {
					t.Fatal(j.Ended(), j.Size())
				}
				next, err := j.Succeed("second")
				if err != nil {
					t.Fatal(err)
				}
				defer next.Close()
				w.WriteString("and on\n")
				if string(next.About()) != "about" {
					t.Fatalf("%q", next.About())
				}
				wantRest(t, next, 0, []byte(c.after+"appended\nand on\n"))
				ack(t, j, 9, "sealed")
				if err := j.Remove(); err != nil {
					t.Fatal(err)
				}
				next.EndChild()
				ack(t, next, next.Size(), "")
				if err := next.Remove(); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// What was all read is not lost, however long the file is by now.
func TestTruncatedAndRegrownAfterAllWasRead(t *testing.T) {
	j, w := newChild(t, openFolder(t), "first", Options{})
	w.WriteString("all of it was read\n")
	wantRest(t, j, 0, []byte("all of it was read\n"))
	j.grown.mu.Lock() // nobody looks meanwhile: the size alone tells nothing
	err := shell(t, w, "head -c 5000 /dev/zero >/dev/stdout").Wait()
	j.grown.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if j.Size() != 19 {
		t.Fatal("grew to", j.Size())
	}
	var cut *TruncatedError
	if _, err := j.ReadAt(make([]byte, 10), 19); !errors.As(err, &cut) || cut.Lost != 0 {
		t.Fatal(err)
	}
}

// An ack that comes after the truncation does not hide it from a restart.
func TestTruncationIsNoticedAgainAfterARestart(t *testing.T) {
	f := openFolder(t)
	j, w := newChild(t, f, "first", Options{})
	w.WriteString("one\ntwo\n")
	wantRest(t, j, 0, []byte("one\ntwo\n"))
	if err := shell(t, w, "echo other bytes, and more of them >/dev/stdout").Wait(); err != nil {
		t.Fatal(err)
	}
	ack(t, j, 8, "acked later")
	j.Close()
	j = recoverInput(t, f, "first")
	if _, err := j.ReadAt(make([]byte, 10), 8); !errors.Is(err, ErrTruncated) || string(j.Cursor().State) != "acked later" {
		t.Fatal(err)
	}
}

func TestTruncationWhileNobodyLooked(t *testing.T) {
	for _, c := range []struct{ name, now string }{
		{"shorter", "new\n"},
		{"longer", "a new story that is longer than the old one was\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := openFolder(t)
			j, w := newChild(t, f, "first", Options{})
			w.WriteString("the old story\nunread\n")
			readRest(t, j, 0)
			ack(t, j, 14, "state")
			path := j.grown.path
			j.Close()
			w.Close()
			if err := os.WriteFile(path, []byte(c.now), 0o600); err != nil {
				t.Fatal(err)
			}
			j = recoverInput(t, f, "first")
			_, err := j.ReadAt(make([]byte, 10), 14)
			var cut *TruncatedError
			if !errors.As(err, &cut) || cut.Lost != 7 || j.Fallback() == "" || string(j.Cursor().State) != "state" {
				t.Fatalf("%v %q %s", err, j.Fallback(), j.Cursor().State)
			}
			next, err := j.Succeed("second")
			if err != nil {
				t.Fatal(err)
			}
			defer next.Close()
			wantRest(t, next, 0, []byte(c.now))
			j.Close()
			// A crash before the first was removed: it has ended, nothing of it is missing.
			j = recoverInput(t, f, "first")
			if !j.Ended() || j.Size() != 14 || j.Damage() != nil || !strings.Contains(j.Fallback(), "second") {
				t.Fatal(j.Ended(), j.Size(), j.Damage(), j.Fallback())
			}
			if err := j.Remove(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
