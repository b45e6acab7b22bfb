package shipper

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/journal"
)

// TestLostCursor: where the cursor is damaged and what it acknowledged is gone, what is still held
// is shipped, under another name: counted from 1 under the old one, its lines would be taken for
// repeats.
func TestLostCursor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	var data bytes.Buffer
	for i := range 3000 {
		fmt.Fprintf(&data, "{\"type\":\"x\",\"jobId\":\"j\",\"n\":%34d}\n", i) // 64 bytes: segments begin with a line
	}
	j, err := w.folder.NewPipe("aaaaaaaa", nil, journal.Options{SegmentBytes: 32 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for part := data.Bytes(); len(part) > 0; part = part[min(len(part), 4<<10):] {
		if _, err := j.Write(part[:min(len(part), 4<<10)]); err != nil {
			t.Fatal(err)
		}
	}
	// A run that acknowledged the first segment and was killed.
	if err := j.Ack(journal.Cursor{Offset: 40 << 10, State: []byte(`{"state":{"seq":1000},"streams":["j"]}`)}); err != nil {
		t.Fatal(err)
	}
	dir := j.Path()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cursor.a", "cursor.b"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("torn"), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	shape := batch.Shape{Input: "aaaaaaaa", Template: "{jobId}", Hostname: "host"}
	again := w.recovered("aaaaaaaa")
	from := again.Cursor().Offset
	if from <= 0 || from >= int64(data.Len()) {
		t.Fatalf("what is held begins at %d", from)
	}
	// A run that is killed when CloudWatch has lines of it, and before it hears so.
	w.FailPuts(cwlocal.Fault{ResetAfter: true})
	ctx, kill := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = w.shipper(nil).Run(ctx, []Input{{Journal: again, Shape: shape, Primary: true}}, nil) // it was told to end
	}()
	w.Until("lines are there", func() bool { return len(w.Gathered()) > 0 })
	kill()
	<-ended
	w.FailPuts(cwlocal.Fault{})
	w.ship(Input{Journal: w.recovered("aaaaaaaa"), Shape: shape, Primary: true})
	if all := w.Gathered(); len(all) != 1 {
		t.Errorf("the lines are there as %d inputs", len(all))
	}
	if got := w.lines("aaaaaaaa"); len(got) > 0 {
		t.Errorf("%d bytes are under the old name", len(got))
	}
	name := ""
	for _, e := range w.server.Events(w.group, "j") {
		if r, err := batch.Restore([]byte(e.Message)); err == nil {
			name = r.Input
		}
	}
	if got := w.lines(name); !bytes.Equal(got, data.Bytes()[from:]) || strings.TrimSpace(name) == "" {
		t.Errorf("as %q, %d bytes came back of %d", name, len(got), int64(data.Len())-from)
	}
}
