package shipper

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/feed"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/testkit/await"
)

// A command that truncates its own output continues as the same input, and so does its copy. The
// report and the seal say that output may be lost.
func TestTruncatedOutputGoesOn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		rest string // written after the truncation
	}{
		{"all was read", "after\n"},
		{"longer than before", "after, and this is a longer line than the one that was there before the file was cut: it hides the cut from whoever looks at sizes alone\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			j, file, err := w.folder.NewOutput("aaaaaaaa", []byte("about"), journal.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			r, copied, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			defer copied.Close()
			o := w.options()
			type result struct {
				report Report
				err    error
			}
			done := make(chan result, 1)
			go func() {
				report, err := New(o).Run(context.Background(), []Input{{
					Journal: j.Journal, Primary: true, Tee: feed.StartTee(j.Journal, copied, feed.Patience{}, w.log), Shape: batch.Shape{Input: "aaaaaaaa", Template: "{jobId}", Hostname: "host"},
				}}, nil)
				done <- result{report, err}
			}()

			const first = `{"type":"stopRunByError","jobId":"j","timestamp":1795347082176}` + "\n"
			if _, err := file.WriteString(first); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(first))
			if _, err := io.ReadFull(r, got); err != nil { // so at least the copy has read it
				t.Fatal(err)
			}
			w.Until("the first line arrived", func() bool { return string(w.lines("aaaaaaaa")) == first })
			if err := os.Truncate(filepath.Join(j.Path(), "00000000000000000000.output"), 0); err != nil {
				t.Fatal(err)
			}
			if _, err := file.WriteString(c.rest); err != nil {
				t.Fatal(err)
			}
			if err := j.End(); err != nil {
				t.Fatal(err)
			}
			res := await.Receive(t, "the end of the run", done)
			if res.err != nil || len(res.report.Failed) != 1 || !errors.As(res.report.Failed[0], new(*journal.CutError)) || len(res.report.Left) > 0 {
				t.Errorf("got error %v, failures %v and left %v", res.err, res.report.Failed, res.report.Left)
			}
			if got := string(w.lines("aaaaaaaa")); got != first+c.rest {
				t.Errorf("got %q", got)
			}
			events := w.Server.Events(w.Group, "j")
			if seal := events[len(events)-1].Message; !strings.Contains(seal, `"truncated":{"times":1,"bytes":`) || !strings.Contains(seal, `"lines":2,`) {
				t.Errorf("the last event is %s", seal)
			}
			if res.report.Jobs.Failed == nil {
				t.Error("the report lost the outcome of the first half")
			}
			got = make([]byte, len(c.rest))
			if _, err := io.ReadFull(r, got); err != nil || string(got) != c.rest {
				t.Errorf("the copy has %q: %v", got, err)
			}
		})
	}
}
