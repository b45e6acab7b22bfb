package shipper

import (
	"bytes"
	"context"
	"testing"

	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/cwlocal/localtest"
	"perstack-shipper/shipper/testkit/await"
)

// TestRepeatsOutliveAStop checks that the next process knows of the repeats that it makes after an
// orderly stop, and that its seal counts them.
func TestRepeatsOutliveAStop(t *testing.T) {
	t.Parallel()
	const lines = 10
	// Lines of two jobs in turn. The events of the first one keep the cursor back.
	var two bytes.Buffer
	first, second := bytes.SplitAfter(numbered("first", lines), []byte("\n")), bytes.SplitAfter(numbered("second", lines), []byte("\n"))
	for i := range lines {
		two.Write(first[i])
		two.Write(second[i])
	}
	has := func(c *cwlocal.Call, text string) bool { return bytes.Contains(c.Body, []byte(text)) }
	const n1, n10 = `\"n\":1}`, `\"n\":10}` // the ends of the first and the last line, as in a request
	for _, c := range []struct {
		name   string
		data   []byte
		stream string                            // one that must have the seal
		fault  func(*cwlocal.Call) cwlocal.Fault // of the puts of the first process
		puts   int64                             // that the first process makes before it is stopped
	}{
		{"the answer is lost, and then nothing is accepted", numbered("job", lines), "job", func(c *cwlocal.Call) cwlocal.Fault {
			if c.N == 1 {
				return cwlocal.Fault{ResetAfter: true}
			}
			return localtest.Unavailable()
		}, 2},
		{"the stop comes before the answer", numbered("job", lines), "job", func(*cwlocal.Call) cwlocal.Fault {
			return cwlocal.Fault{Hang: true, After: true}
		}, 1},
		{"later events are accepted before earlier ones", two.Bytes(), "second", func(c *cwlocal.Call) cwlocal.Fault {
			if has(c, `\"jobId\":\"first\"`) {
				return localtest.Unavailable()
			}
			return cwlocal.Fault{}
		}, 3},
		{"a part of a batch is accepted", numbered("job", lines), "job", func(c *cwlocal.Call) cwlocal.Fault {
			switch {
			case has(c, n1) && has(c, n10):
				return cwlocal.Fault{Code: "InvalidParameterException", Message: "no"}
			case has(c, n10):
				return localtest.Unavailable()
			}
			return cwlocal.Fault{}
		}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.Fail(func(call *cwlocal.Call) cwlocal.Fault {
				if call.Action != "PutLogEvents" {
					return cwlocal.Fault{}
				}
				return c.fault(call)
			})
			in, j := w.written("aaaaaaaa")
			write(t, j, c.data)
			if err := j.End(); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			defer stop()
			reports := make(chan Report, 1)
			go func() {
				report, _ := w.shipper(nil).Run(ctx, []Input{in}, nil) // ends with an error, because it is stopped
				reports <- report
			}()
			w.Until("lines are stored, and the calls made", func() bool {
				events, _ := w.stored("aaaaaaaa")
				return events > 0 && w.server.Stats().Calls["PutLogEvents"] >= c.puts
			})
			stop()
			report := await.Receive(t, "the end of the stopped run", reports)
			w.Fail(nil)
			in.Journal = w.recovered("aaaaaaaa")
			w.ship(in)
			if got := w.lines("aaaaaaaa"); !bytes.Equal(got, c.data) {
				t.Errorf("got %d bytes back, want %d", len(got), len(c.data))
			}
			_, repeated := w.stored("aaaaaaaa")
			if seal := w.seal("aaaaaaaa", c.stream); repeated == 0 || int64(repeated) > seal.Repeated || seal.Repeated != report.Repeated {
				t.Errorf("CloudWatch has %d events twice, the seal counts %d, and the stopped run reported %d", repeated, seal.Repeated, report.Repeated)
			}
		})
	}
}
