package journal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"perstack-shipper/shipper/testkit/await"
)

func TestPipeWriteReadAckRecoverRemove(t *testing.T) {
	for _, where := range []string{"disk", "memory"} {
		t.Run(where, func(t *testing.T) {
			f := openFolder(t)
			if where == "memory" {
				f = inMemory(t, 0)
			}
			j := newPipe(t, f, "k3v9x2ab", Options{SegmentBytes: 1000})
			data := random(1, 10_000)
			for i := 0; i < len(data); i += 300 {
				write(t, j, data[i:min(i+300, len(data))])
			}
			if j.Size() != 10_000 || j.Ended() || j.Allocated() != 10_000 {
				t.Fatalf("size %d, ended %t, allocated %d", j.Size(), j.Ended(), j.Allocated())
			}
			wantRest(t, j, 0, data)
			ack(t, j, 5_000, `{"seq":7}`)
			if got := j.Allocated(); got < 5_000 || got > 6_300 {
				t.Fatalf("allocated %d after acking half", got)
			}
			if _, err := j.ReadAt(make([]byte, 10), 100); !errors.Is(err, ErrAcked) {
				t.Fatalf("read of acked bytes: %v", err)
			}
			if err := j.End(); err != nil || !j.Ended() {
				t.Fatal(err, j.Ended())
			}
			if _, err := j.Write([]byte("more")); err == nil {
				t.Fatal("Write after End succeeded")
			}
			if err := j.Remove(); !errors.Is(err, ErrUnacked) {
				t.Fatalf("Remove with unacked bytes: %v", err)
			}
			if where == "disk" {
				if err := j.Close(); err != nil {
					t.Fatal(err)
				}
				j = recoverAs[*Pipe](t, f, "k3v9x2ab")
				if j.Fallback() != "" || j.Damage() != nil || !j.Ended() || j.Size() != 10_000 || string(j.About()) != `{"group":"/perstack/prod"}` {
					t.Fatalf("recovered with fallback %q, damage %v, ended %t, size %d, about %s", j.Fallback(), j.Damage(), j.Ended(), j.Size(), j.About())
				}
				if c := j.Cursor(); c.Offset != 5_000 || string(c.State) != `{"seq":7}` {
					t.Fatalf("cursor %+v", c)
				}
				wantRest(t, j, 5_000, data[5_000:])
			}
			ack(t, j, 10_000, "")
			dir := j.Path()
			if err := j.Remove(); err != nil {
				t.Fatal(err)
			}
			if where == "disk" {
				if _, err := os.Stat(dir); !gone(err) {
					t.Fatal("the folder still exists:", err)
				}
			}
			if left, err := f.Leftover(); err != nil || len(left) > 0 {
				t.Fatal(left, err)
			}
			again, err := f.NewPipe("k3v9x2ab", nil, Options{}) // the id is free again
			if err != nil {
				t.Fatal(err)
			}
			again.Close()
		})
	}
}

func inMemory(t testing.TB, most int64) *Folder {
	t.Helper()
	f, err := InMemory(most)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("NOT TESTED: there are no memfds here:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestLimitIsNeverExceededAndAcksMakeRoom(t *testing.T) {
	const limit = 2_500
	j := newPipe(t, openFolder(t), "limited", Options{SegmentBytes: 1000, MaxBytes: limit})
	data := random(2, 20_000)
	var wrote, acked int64
	for fulls := 0; wrote < int64(len(data)); {
		n, err := j.Write(data[wrote:min(wrote+700, int64(len(data)))])
		wrote += int64(n)
		if j.Allocated() > limit {
			t.Fatalf("%d bytes are allocated, the limit is %d", j.Allocated(), limit)
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		if fulls++; fulls > 1000 {
			t.Fatal("the journal stays full although bytes are acked")
		}
		got := make([]byte, 900)
		m, err := j.ReadAt(got, acked)
		if err != nil || m == 0 || string(got[:m]) != string(data[acked:acked+int64(m)]) {
			t.Fatalf("read %d at %d: %v", m, acked, err)
		}
		acked += int64(m)
		ack(t, j, acked, "")
	}
}

// TestFullAndAllAckedReleasesActiveSegment checks that there is room again once everything is
// acked, although the active segment is only partly filled.
func TestFullAndAllAckedReleasesActiveSegment(t *testing.T) {
	j := newPipe(t, openFolder(t), "partly", Options{SegmentBytes: 1 << 20, MaxBytes: 1000})
	if n, err := j.Write(make([]byte, 1500)); n != 1000 || !errors.Is(err, ErrFull) {
		t.Fatal(n, err)
	}
	if n, err := j.Write([]byte("x")); n != 0 || !errors.Is(err, ErrFull) {
		t.Fatal(n, err)
	}
	ack(t, j, 999, "")
	if n, err := j.Write([]byte("x")); n != 0 || !errors.Is(err, ErrFull) {
		t.Fatal(n, err)
	}
	ack(t, j, 1000, "")
	if err := j.WaitRoom(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, j, make([]byte, 1000))
	if got := j.Allocated(); got != 1000 {
		t.Fatalf("%d bytes are allocated, want 1000", got)
	}
}

func TestWaitRoomEndsWithContext(t *testing.T) {
	j := newPipe(t, openFolder(t), "waits", Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := j.WaitRoom(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestRetainKeepsAckedBytesForASecondReader(t *testing.T) {
	j := newPipe(t, openFolder(t), "teed", Options{SegmentBytes: 100})
	data := random(3, 1000)
	for i := 0; i < 1000; i += 50 {
		write(t, j, data[i:i+50])
	}
	j.Retain(0)
	ack(t, j, 1000, "")
	wantRest(t, j, 0, data)
	j.Retain(500)
	ack(t, j, 1000, "")
	wantRest(t, j, 500, data[500:])
	if got := j.Allocated(); got > 600 {
		t.Fatalf("%d bytes are allocated after Retain(500)", got)
	}
	j.StopRetaining()
	ack(t, j, 1000, "")
	if got := j.Allocated(); got > 100 {
		t.Fatalf("%d bytes are allocated after StopRetaining", got)
	}
}

// TestWriterReaderAndFollowerAtOnce has one goroutine write, one read and ack, and one follow at
// its own pace, with a limit that makes the writer wait. It is for -race.
func TestWriterReaderAndFollowerAtOnce(t *testing.T) {
	j := newPipe(t, openFolder(t), "busy", Options{SegmentBytes: 5_000, MaxBytes: 40_000, Sync: time.Millisecond})
	data := random(4, 400_000)
	var all sync.WaitGroup
	all.Go(func() {
		for sent := 0; sent < len(data); {
			n, err := j.Write(data[sent:min(sent+1+sent%997, len(data))])
			sent += n
			if errors.Is(err, ErrFull) {
				err = j.WaitRoom(t.Context())
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
		j.End()
	})
	changed, stop := j.Subscribe()
	var tee []byte
	j.Retain(0)
	follow := func(wake <-chan struct{}, took func(off int64, b []byte)) {
		buf, off := make([]byte, 3000), int64(0)
		for {
			ended := j.Ended()
			n, err := j.ReadAt(buf, off)
			if err != nil {
				t.Error(err)
				return
			}
			off += int64(n)
			if n > 0 {
				took(off, buf[:n])
			} else if ended {
				return
			} else {
				await.Receive(t, "more to read", wake)
			}
		}
	}
	all.Go(func() {
		defer stop()
		follow(changed, func(off int64, b []byte) {
			tee = append(tee, b...)
			j.Retain(off)
		})
		j.StopRetaining()
	})
	var got []byte
	follow(j.Changed(), func(off int64, b []byte) {
		got = append(got, b...)
		if err := j.Ack(Cursor{Offset: off}); err != nil {
			t.Error(err)
		}
		j.ArrivalAt(off)
	})
	// The follower retained bytes that the last acks would have freed. The writer has ended, or
	// waits for their space.
	await.Return(t, "the end of writer and follower", all.Wait)
	if string(got) != string(data) || string(tee) != string(data) {
		t.Fatalf("the reader has %d bytes and the follower %d, of %d, or their bytes differ", len(got), len(tee), len(data))
	}
	ack(t, j, j.Size(), "")
	if err := j.Remove(); err != nil {
		t.Fatal(err)
	}
	if err := j.BackgroundError(); err != nil {
		t.Fatal("fsync:", err)
	}
}

// TestWritesDuringAndAfterCloseFail: a writer that was blocked in its input may come back after
// Close. It must not write to whatever file has the descriptor by then.
func TestWritesDuringAndAfterCloseFail(t *testing.T) {
	f := openFolder(t)
	for i := range 20 {
		j := newPipe(t, f, "closing"+string(rune('a'+i)), Options{SegmentBytes: 1000})
		var took int64
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				n, err := j.Write(make([]byte, 333))
				took += int64(n)
				if err != nil {
					if !errors.Is(err, os.ErrClosed) {
						t.Error(err)
					}
					return
				}
			}
		}()
		await.Receive(t, "a write", j.Changed())
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		await.Receive(t, "the end of the writer", done)
		if _, err := j.ReadAt(make([]byte, 1), 0); !errors.Is(err, os.ErrClosed) {
			t.Fatal(err)
		}
		if j = recoverAs[*Pipe](t, f, j.ID()); j.Size() != took || j.Damage() != nil {
			t.Fatal(j.Size(), took, j.Damage())
		}
	}
}

func TestManySegmentsKeepFewFilesOpen(t *testing.T) {
	j := newPipe(t, openFolder(t), "outage", Options{SegmentBytes: 10})
	data := random(5, 1_000)
	for i := 0; i < len(data); i += 10 {
		write(t, j, data[i:i+10])
	}
	wantRest(t, j, 0, data)
	open := 0
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("NOT TESTED: there is no /proc here:", err)
	}
	for _, fd := range fds {
		if to, _ := os.Readlink("/proc/self/fd/" + fd.Name()); filepath.Ext(to) == segmentSuffix {
			open++
		}
	}
	if open > openSegments {
		t.Fatalf("%d segment files are open, at most %d should be", open, openSegments)
	}
}

func TestRejectsOutliveTheInput(t *testing.T) {
	f := openFolder(t)
	j := newPipe(t, f, "poison", Options{})
	write(t, j, []byte("{}\n"))
	if j.Rejected() {
		t.Fatal("Rejected is true without a reject")
	}
	if err := j.Reject([]byte("two\nlines")); err == nil {
		t.Fatal("Reject accepted two lines")
	}
	for _, r := range []string{`{"seq":1}`, `{"seq":2}`} {
		if err := j.Reject([]byte(r)); err != nil {
			t.Fatal(err)
		}
	}
	ack(t, j, 3, "")
	dir := j.Path()
	if err := j.Remove(); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 || files[0].Name() != rejectsName {
		t.Fatal(files, err)
	}
	if got, _ := os.ReadFile(filepath.Join(dir, rejectsName)); string(got) != "{\"seq\":1}\n{\"seq\":2}\n" {
		t.Fatalf("%q", got)
	}
	if left, err := f.Leftover(); err != nil || len(left) != 0 {
		t.Fatal(left, err)
	}
	if _, err := f.Recover("poison"); !gone(err) {
		t.Fatal(err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Fatal("looking for the input left files:", files)
	}
}
