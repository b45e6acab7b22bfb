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
)

// A child that truncates its own output goes on as the same input, and its copy goes on, too. That
// output may be lost is said by the report and the seal.
func TestTruncatedOutputGoesOn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		rest string // written behind the cut
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
			if _, err := io.ReadFull(r, got); err != nil { // so it was read, by the copy at least
				t.Fatal(err)
			}
			w.Until("the first line came", func() bool { return string(w.lines("aaaaaaaa")) == first })
			if err := os.Truncate(filepath.Join(j.Path(), "00000000000000000000.output"), 0); err != nil {
				t.Fatal(err)
			}
			if _, err := file.WriteString(c.rest); err != nil {
				t.Fatal(err)
			}
			if err := j.End(); err != nil {
				t.Fatal(err)
			}
			res := <-done
			if res.err != nil || len(res.report.Failed) != 1 || !errors.As(res.report.Failed[0], new(*journal.CutError)) || len(res.report.Left) > 0 {
				t.Errorf("%v, failed %v, left %v", res.err, res.report.Failed, res.report.Left)
			}
			if got := string(w.lines("aaaaaaaa")); got != first+c.rest {
				t.Errorf("%q came", got)
			}
			events := w.server.Events(w.group, "j")
			if seal := events[len(events)-1].Message; !strings.Contains(seal, `"truncated":{"times":1,"bytes":`) || !strings.Contains(seal, `"lines":2,`) {
				t.Errorf("at last there is %s", seal)
			}
			if res.report.Jobs.Failed == nil {
				t.Error("the outcome of the first half is forgotten")
			}
			got = make([]byte, len(c.rest))
			if _, err := io.ReadFull(r, got); err != nil || string(got) != c.rest {
				t.Errorf("copied %q, %v", got, err)
			}
		})
	}
}
