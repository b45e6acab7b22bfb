package journal

// Pipes that a child fills by way of a FIFO.

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
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

// moveAll moves what is in the FIFO; it reports whether its writers are gone.
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
		t.Fatalf("has a writer: %v, known %v", writer, known)
	}
}

// A child opens its stdout by name, and that does no harm; its end is the end of the FIFO.
func TestFIFO(t *testing.T) {
	for _, where := range []string{"disk", "memory"} {
		t.Run(where, func(t *testing.T) {
			f := openFolder(t)
			if where == "memory" {
				f = inMemory(t, 0)
			}
			j, in := newFIFO(t, f, "fifo")
			cmd := shell(t, in, `echo one; echo two >/dev/stdout; echo three | tee /dev/stderr; sleep 0.1`)
			in.Close()
			wantWriter(t, j, true)
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			wantWriter(t, j, true) // not that, but bytes are in it
			if !moveAll(t, j) {
				t.Fatal("no end")
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

// Something else in the FIFO's place keeps nobody from what is in the segments.
func TestNoFIFOInItsPlace(t *testing.T) {
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
	says(t, "Damage", j.Damage().Error(), fifoName)
	wantRest(t, j, 0, []byte("line\n"))
}

// A child that outlives its shipper writes on: what it writes waits in the FIFO, and who recovers
// the input reads on, as often as need be.
func TestFIFOOfAChildThatOutlivesItsShipper(t *testing.T) {
	f := openFolder(t)
	j, in := newFIFO(t, f, "fifo")
	r, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	cmd := exec.Command("/bin/sh", "-c", "echo before; while read x; do echo $x; done")
	cmd.Stdin, cmd.Stdout = r, in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	in.Close()
	until := func(what string, is func() bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("never: ", what)
			}
		}
	}
	want := ""
	for _, word := range []string{"before", "once", "twice"} {
		want += word + "\n"
		until(word, func() bool { moveAll(t, j); return j.Size() == int64(len(want)) })
		wantRest(t, j, 0, []byte(want))
		j.Close()
		if word != "twice" {
			next := map[string]string{"before": "once", "once": "twice"}[word]
			if _, err := hold.WriteString(next + "\n"); err != nil { // while nobody has the FIFO but the child
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
	hold.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if !moveAll(t, j) {
		t.Fatal("no end")
	}
	wantRest(t, j, 0, []byte(want))
	j.Close()
	// With the child gone it has ended, and the FIFO is no foreign file.
	if j = recoverAs[*Pipe](t, f, "fifo"); !j.Ended() || j.FIFO() != nil || j.Damage() != nil {
		t.Fatal(j.Ended(), j.Damage())
	}
	wantRest(t, j, 0, []byte(want))
	ack(t, j, j.Size(), "")
	if err := j.Remove(); err != nil {
		t.Fatal(err)
	}
}
