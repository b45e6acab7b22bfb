package feed

import (
	"bytes"
	"context"
	"io"
	"os"
	"testing"

	"perstack-shipper/shipper/testkit/await"
)

// TestStoppedReadTakesTheRest stops reading a pipe whose writer stays: what is in the pipe is still
// read, and the read that would wait for more ends.
func TestStoppedReadTakesTheRest(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	in, release, err := Stoppable(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	written := bytes.Repeat([]byte("x"), 10_000)
	if _, err := w.Write(written); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4000)
	if n, err := in.Read(buf); n != len(buf) || err != nil {
		t.Fatalf("read %d bytes: %v", n, err)
	}
	stop()
	if rest, err := io.ReadAll(in); len(rest) != len(written)-len(buf) || err != nil {
		t.Errorf("after the stop %d bytes were read: %v", len(rest), err)
	}

	// One that waits already is woken.
	ctx, stop = context.WithCancel(context.Background())
	defer stop()
	waiting, free, err := Stoppable(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	defer free()
	ended := make(chan error, 1)
	go func() {
		_, err := waiting.Read(buf)
		ended <- err
	}()
	stop()
	if err := await.Receive(t, "the end of the read", ended); err != io.EOF {
		t.Errorf("the read that waited: %v", err)
	}
}

// TestStoppedReadOfAFileEnds stops reading what is no pipe, where nothing can be lost.
func TestStoppedReadOfAFileEnds(t *testing.T) {
	f, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, stop := context.WithCancel(context.Background())
	in, release, err := Stoppable(ctx, f)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	buf := make([]byte, 100)
	if n, err := in.Read(buf); n != len(buf) || err != nil {
		t.Fatalf("read %d bytes: %v", n, err)
	}
	stop()
	if n, err := in.Read(buf); n != 0 || err != io.EOF {
		t.Errorf("read %d bytes: %v", n, err)
	}
}
