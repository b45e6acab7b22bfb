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
	"perstack-shipper/shipper/testkit/await"
)

// The cursor is damaged, and the acknowledged bytes are gone. The rest is shipped under another
// name. Counted from 1 under the old name, readers would take its lines for repeats.
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
	// A run acknowledged the first segment and was killed.
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
		t.Fatalf("the rest begins at %d", from)
	}
	// A run is killed after CloudWatch has stored lines, and before it gets the answer.
	w.FailPuts(cwlocal.Fault{ResetAfter: true})
	ctx, kill := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = w.shipper(nil).Run(ctx, []Input{{Journal: again, Shape: shape, Primary: true}}, nil) // ends with an error, because it is killed
	}()
	w.Until("lines arrived", func() bool { return len(w.Gathered()) > 0 })
	kill()
	await.Receive(t, "the end of the killed run", ended)
	w.FailPuts(cwlocal.Fault{})
	w.ship(Input{Journal: w.recovered("aaaaaaaa"), Shape: shape, Primary: true})
	if all := w.Gathered(); len(all) != 1 {
		t.Errorf("the lines arrived as %d inputs, want 1", len(all))
	}
	if got := w.lines("aaaaaaaa"); len(got) > 0 {
		t.Errorf("%d bytes have the old name", len(got))
	}
	name := ""
	for id := range w.Gathered() {
		name = id
	}
	if got := w.lines(name); !bytes.Equal(got, data.Bytes()[from:]) || strings.TrimSpace(name) == "" {
		t.Errorf("got %d bytes back as input %q, want %d", len(got), name, int64(data.Len())-from)
	}
}
