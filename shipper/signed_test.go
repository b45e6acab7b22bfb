package shipper

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/cwlocal/localtest"
	"perstack-shipper/shipper/testkit"
	"perstack-shipper/shipper/testkit/await"
)

// signed wraps the endpoint of every test. The endpoint accepts any signature, so signed checks
// those of all calls that arrived whole against their bytes, as the service does.
func signed(t *testing.T, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sum, n := sha256.New(), &counted{r: r.Body}
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(n, sum), r.Body}
		defer func() { // also if the endpoint aborts the call
			if n.n != r.ContentLength {
				return
			}
			want, err := localtest.Authorization(r, sum.Sum(nil), aws.Credentials{AccessKeyID: testkit.KeyID, SecretAccessKey: testkit.Secret})
			if err != nil || signature(want) != signature(r.Header.Get("Authorization")) {
				t.Errorf("%s of %d bytes has the wrong signature: %v", r.Header.Get("X-Amz-Target"), n.n, err)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// signature returns the part of an Authorization header that depends on the secret and not on the
// key's id. All worlds share the secret, but some change the id.
func signature(authorization string) string {
	_, signature, _ := strings.Cut(authorization, "Signature=")
	return signature
}

// counted counts the bytes that are read.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// The bodies of a backlog are prepared while the previous put is in progress. One is sent again
// because its answer is lost, and one in halves because it is refused. Each has its own signature,
// compressed or not.
func TestBacklogIsSigned(t *testing.T) {
	t.Parallel()
	for _, compress := range []bool{false, true} {
		t.Run(fmt.Sprintf("compressed %t", compress), func(t *testing.T) {
			var compressed, plain atomic.Int64
			w := newWorld(t, func(c *cwlocal.Call) cwlocal.Fault {
				if c.Compressed {
					compressed.Add(1)
				} else if c.Action == "PutLogEvents" {
					plain.Add(1)
				}
				switch {
				case c.Action != "PutLogEvents":
					return cwlocal.Fault{}
				case bytes.Contains(c.Body, []byte(`\"n\":5333,`)) && c.Events > 1:
					return cwlocal.Fault{Code: "InvalidParameterException", Status: 400}
				case c.N == 3:
					return cwlocal.Fault{ResetAfter: true}
				}
				return cwlocal.Fault{Delay: 20 * time.Millisecond}
			})
			lines := bytes.ReplaceAll(numbered("j", 8_000), []byte("}\n"), fmt.Appendf(nil, `,"text":"%0500d"}`+"\n", 0))
			in := w.pipe("aaaaaaaa", bytes.NewReader(lines), nil)
			report, err := w.shipper(func(o *Options) { o.Compress = compress }).Run(within(t, await.Deadline), []Input{in}, nil)
			if err != nil || report.Batches < 12 || report.Retries == 0 {
				t.Errorf("there were %d puts and %d retries: %v", report.Batches, report.Retries, err)
			}
			if got := w.lines("aaaaaaaa"); !bytes.Equal(got, lines) {
				t.Errorf("got %d bytes back, want %d", len(got), len(lines))
			}
			// The halves of a refused batch are not compressed.
			if n := compressed.Load(); n > 0 != compress || compress && n < plain.Load()/4 {
				t.Errorf("%d puts were compressed and %d were not", n, plain.Load())
			}
		})
	}
}

// While a put is in progress, the next batch is prepared, every time, even if nothing else happens.
func TestTheNextIsPrepared(t *testing.T) {
	t.Parallel()
	answer := make(chan struct{})
	w := newWorld(t, func(c *cwlocal.Call) cwlocal.Fault {
		if c.Action == "PutLogEvents" {
			<-answer
		}
		return cwlocal.Fault{}
	})
	t.Cleanup(func() { close(answer) })
	o := w.options()
	o.Compress = true
	s := New(o)
	st := s.stream("j")
	const batches = 4
	for i := range batches {
		var ev batch.Event
		batch.Record(&ev, fmt.Appendf(nil, `{"n":%d}`, i), time.Now().UnixMilli(), 0)
		s.addToBatch(st, &ev, nil, time.Now())
		st.closeOpen()
	}
	ctx := within(t, await.Deadline)
	for left := batches - 1; left >= 0; left-- {
		s.sealAndDeliver(ctx, time.Now())
		if !st.busy || len(st.closed) != left {
			t.Fatalf("%d batches wait, want %d; delivery in progress: %v", len(st.closed), left, st.busy)
		}
		if left > 0 {
			await.Receive(t, "the next batch prepared", st.prepared)
			if packed := st.closed[0].Packed(); packed == nil || packed.SHA256() == nil {
				t.Errorf("the first of %d waiting batches is not compressed and hashed", left)
			}
		} else if st.prepared != nil {
			t.Error("no batch waits, but one is being prepared")
		}
		select {
		case answer <- struct{}{}:
		case <-ctx.Done():
			t.Fatal("no put waits for an answer")
		}
		s.endDelivery(await.Receive(t, "the outcome", s.results))
	}
	if n := len(w.Server.Events(w.Group, "j")); n != batches {
		t.Errorf("%d events arrived, want %d", n, batches)
	}
}
