package shipper

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/testkit/await"
)

// A command truncates its stdout after a process was killed that had put lines beyond its cursor.
// The lines that come next must not take the seqs of those lines. Otherwise readers would drop them
// as repeats, or find lines altered.
func TestOvertaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	lines := func(name string, n int) []byte {
		var b bytes.Buffer
		for i := range n {
			fmt.Fprintf(&b, "{\"type\":%q,\"jobId\":\"j\",\"n\":%d}\n", name, i)
		}
		return b.Bytes()
	}
	j, out, err := w.folder.NewOutput("aaaaaaaa", nil, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	before := lines("before", 10)
	if _, err := out.Write(before); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(io.NewSectionReader(j, 0, int64(len(before))), make([]byte, len(before))); err != nil {
		t.Fatal(err)
	}
	acked := int64(len(lines("before", 2)))
	if err := j.Ack(journal.Cursor{Offset: acked, State: []byte(`{"state":{"seq":2,"job":"\"j\""},"streams":["j"]}`)}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(j.Path(), "output")
	if _, err := os.Stat(path); err != nil {
		path = out.Name()
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	after := lines("after", 5)
	if _, err := out.Write(after); err != nil {
		t.Fatal(err)
	}
	out.Close()

	shape := batch.Shape{Input: "aaaaaaaa", Template: "{jobId}", Hostname: "host"}
	report, err := New(w.options()).Run(within(t, await.Deadline), []Input{{Journal: w.recovered("aaaaaaaa"), Shape: shape, Primary: true}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.lines("aaaaaaaa"); len(got) > 0 {
		t.Errorf("%d bytes have the old name: %.200q", len(got), got)
	}
	if len(report.Failed) != 1 || !errors.Is(report.Failed[0], journal.ErrTruncated) {
		t.Fatalf("the report does not mention the loss: %v", report.Failed)
	}
	var id string
	if _, err := fmt.Sscanf(report.Failed[0].Error()[strings.LastIndex(report.Failed[0].Error(), "as input "):], "as input %s", &id); err != nil {
		t.Fatal(err)
	}
	if got := w.lines(id); !bytes.Equal(got, after) {
		t.Errorf("input %s is %q, want %q", id, got, after)
	}
	if seal := w.seal(id, "j"); seal.Truncated.Times != 1 || seal.Lines != 5 || !seal.Ended {
		t.Errorf("the seal is %+v", seal)
	}
}
