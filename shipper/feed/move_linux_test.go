//go:build !portable

package feed

import (
	"context"
	"os"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/testkit/await"
)

// TestFullJournalLeavesBytesInThePipe stops Move while the journal is full: each byte written must
// be in the journal or in the pipe.
func TestFullJournalLeavesBytesInThePipe(t *testing.T) {
	folder, err := journal.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	j, err := folder.NewPipe("aaaaaaaa", nil, journal.Options{MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	r, feed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	in, release, err := Stoppable(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	ctx, cancel := context.WithCancel(context.Background())
	moved := make(chan error, 1)
	go func() { moved <- Move(ctx, in, j, nil, zap.NewNop()) }()

	written := 0
	for { // until the pipe is full as well
		if err := feed.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := feed.Write(make([]byte, 100_000))
		if written += n; err != nil {
			break
		}
	}
	cancel()
	if err := await.Receive(t, "the end of the feed", moved); err != nil {
		t.Error(err)
	}
	left, err := unix.IoctlGetInt(int(r.Fd()), unix.TIOCINQ)
	if err != nil {
		t.Fatal(err)
	}
	if j.Size() != 1<<20 || j.Size()+int64(left) != int64(written) {
		t.Errorf("%d bytes were written; %d are in the journal and %d in the pipe", written, j.Size(), left)
	}
	feed.Close()
}
