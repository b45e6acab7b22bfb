package shipper

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/feed"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/testkit/await"
)

// BenchmarkPipeline measures the whole path of the bytes, from a pipe to accepted puts. Its server
// accepts everything without looking, because the endpoint would cost more than the shipper.
func BenchmarkPipeline(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			b.Error(err)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		io.WriteString(w, "{}")
	}))
	defer server.Close()
	client, err := cloudwatch.New(context.Background(), cloudwatch.Options{Group: "g", Region: "eu-west-1", Endpoint: server.URL})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	folder, err := journal.Open(b.TempDir() + "/journal")
	if err != nil {
		b.Fatal(err)
	}
	var data bytes.Buffer
	for i := 0; data.Len() < 100<<20; i++ {
		fmt.Fprintf(&data, `{"type":"streamReasoning","id":"hczkbqe5u4i5h8l3%08d","expertKey":"worker","timestamp":%d,"jobId":"ooffrb0cufrw05y9jd8az922","runId":"vkmogt99yu2k4gmbitii6yw5","stepNumber":1,"delta":"the words of a delta, \"quoted\" and plain, so that a line has three hundred and fifty bytes as the comparison wants them, no more and no less"}`+"\n", i, time.Now().UnixMilli())
	}
	b.SetBytes(int64(data.Len()))
	b.ReportAllocs()
	for b.Loop() {
		r, w, err := os.Pipe()
		if err != nil {
			b.Fatal(err)
		}
		go func() {
			if _, err := w.Write(data.Bytes()); err != nil {
				b.Error(err)
			}
			w.Close()
		}()
		id := journal.NewID()
		j, err := folder.NewPipe(id, nil, journal.Options{})
		if err != nil {
			b.Fatal(err)
		}
		in, release, err := feed.Stoppable(context.Background(), r)
		if err != nil {
			b.Fatal(err)
		}
		moved := make(chan error, 1)
		go func() { moved <- feed.Move(context.Background(), in, j, nil, nil) }()
		_, err = New(Options{Client: client, Create: true, FlushInterval: time.Second, GiveUpAfter: time.Minute, MemoryMax: 32 << 20}).
			Run(context.Background(), []Input{{Journal: j.Journal, Primary: true, Shape: batch.Shape{Input: id, Template: "{jobId}", Hostname: "h"}}}, nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := await.Receive(b, "the end of the feed", moved); err != nil {
			b.Fatal(err)
		}
		release()
		r.Close()
	}
}
