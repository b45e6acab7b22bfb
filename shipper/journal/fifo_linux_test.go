//go:build !portable

package journal

// These tests have a command that fills a Pipe through a FIFO.

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"perstack-shipper/shipper/testkit/await"
)

func newFIFO(t *testing.T, f *Folder, id string) (*Pipe, *os.File) {
	t.Helper()
	j, in, err := f.NewFIFO(id, []byte("about"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); j.Close() })
	return j, in
}

// moveAll moves everything in the FIFO to the journal. It reports whether the FIFO's writers are
// gone.
func moveAll(t *testing.T, j *Pipe) (end bool) {
	t.Helper()
	for {
		switch _, err := j.Take(int(j.FIFO().Fd()), 1<<20); {
		case errors.Is(err, io.EOF):
			return true
		case errors.Is(err, ErrNothing):
			return false
		case err != nil:
			t.Fatal(err)
		}
	}
}

func wantWriter(t *testing.T, j *Pipe, want bool) {
	t.Helper()
	if writer, known := j.HasWriter(); writer != want || !known {
		t.Fatalf("HasWriter returned %t, %t, want %t, true", writer, known, want)
	}
}

// TestFIFO has a command open its stdout by name, which must do no harm, and end.
func TestFIFO(t *testing.T) {
	for _, where := range []string{"disk", "memory"} {
		t.Run(where, func(t *testing.T) {
			f := openFolder(t)
			if where == "memory" {
				f = inMemory(t, 0)
			}
			j, in := newFIFO(t, f, "fifo")
			cmd := shell(t, in, `echo one; echo two >/dev/stdout; echo three | tee /dev/stderr`)
			in.Close()
			wantWriter(t, j, true)
			if err := await.Exit(t, cmd); err != nil {
				t.Fatal(err)
			}
			wantWriter(t, j, true) // not a writer, but there are bytes in the FIFO
			if !moveAll(t, j) {
				t.Fatal("the FIFO does not end")
			}
			wantWriter(t, j, false)
			wantRest(t, j, 0, []byte("one\ntwo\nthree\nthree\n"))
			if err := j.End(); err != nil {
				t.Fatal(err)
			}
			ack(t, j, j.Size(), "")
			if err := j.Remove(); err != nil {
				t.Fatal(err)
			}
			if where == "disk" {
				if _, err := os.Stat(j.Path()); !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestAnotherFileInTheFIFOsPlace checks that the bytes in the segments can still be read.
func TestAnotherFileInTheFIFOsPlace(t *testing.T) {
	f := openFolder(t)
	j, in := newFIFO(t, f, "fifo")
	in.WriteString("line\n")
	in.Close()
	moveAll(t, j)
	path := filepath.Join(j.Path(), fifoName)
	j.Close()
	if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if j = recoverAs[*Pipe](t, f, "fifo"); !j.Ended() || j.FIFO() != nil {
		t.Fatal(j.Ended())
	}
	wantText(t, "Damage", j.Damage().Error(), fifoName)
	wantRest(t, j, 0, []byte("line\n"))
}

// TestFIFOOfACommandThatOutlivesItsShipper: the command goes on writing to the FIFO, and each
// process that recovers the input reads on.
func TestFIFOOfACommandThatOutlivesItsShipper(t *testing.T) {
	f := openFolder(t)
	j, in := newFIFO(t, f, "fifo")
	r, gate, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Close()
	cmd := exec.Command("/bin/sh", "-c", "echo before; while read x; do echo $x; done")
	cmd.Stdin, cmd.Stdout = r, in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	in.Close()
	want := ""
	for _, word := range []string{"before", "once", "twice"} {
		want += word + "\n"
		await.Until(t, word, func() bool { moveAll(t, j); return j.Size() == int64(len(want)) })
		wantRest(t, j, 0, []byte(want))
		j.Close()
		if word != "twice" {
			next := map[string]string{"before": "once", "once": "twice"}[word]
			if _, err := gate.WriteString(next + "\n"); err != nil { // while only the command has the FIFO open
				t.Fatal(err)
			}
		}
		j = recoverAs[*Pipe](t, f, "fifo")
		if j.Damage() != nil || j.Fallback() != "" || j.Ended() || j.FIFO() == nil {
			t.Fatal(j.Damage(), j.Fallback(), j.Ended())
		}
		if segments, _ := filepath.Glob(filepath.Join(j.Path(), "*.segment")); len(segments) != 1 {
			t.Fatal(segments)
		}
	}
	gate.Close()
	if err := await.Exit(t, cmd); err != nil {
		t.Fatal(err)
	}
	if !moveAll(t, j) {
		t.Fatal("the FIFO does not end")
	}
	wantRest(t, j, 0, []byte(want))
	j.Close()
	// The command is gone, so the input has ended. The FIFO is not a foreign file.
	if j = recoverAs[*Pipe](t, f, "fifo"); !j.Ended() || j.FIFO() != nil || j.Damage() != nil {
		t.Fatal(j.Ended(), j.Damage())
	}
	wantRest(t, j, 0, []byte(want))
	ack(t, j, j.Size(), "")
	if err := j.Remove(); err != nil {
		t.Fatal(err)
	}
}
