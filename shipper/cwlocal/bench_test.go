package cwlocal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"perstack-shipper/batch"
)

// agentEvent is a typical event of an agent: JSON, so its quotes are escaped in the body.
const agentEvent = `{"shipper":{"input":"k3v9x2ab","seq":15},"type":"callTools","id":"f2k8","timestamp":1795347082176,"jobId":"uo5p","runId":"a1b2","stepNumber":3,` +
	`"toolCalls":[{"id":"t1","skillName":"@perstack/base","toolName":"readTextFile","args":{"path":"src/index.ts","from":1,"to":200}}],"usage":{"inputTokens":1200,"outputTokens":85}}`

// putBody returns a legal batch that is as full as possible with copies of message.
func putBody(message string) (body string, events int) {
	var b strings.Builder
	fmt.Fprintf(&b, `{"logEvents":[`)
	quoted, _ := marshal(message)
	for size := 0; ; events++ {
		if size += len(message) + batch.EventOverhead; size > batch.MaxBatchBytes || events == batch.MaxBatchEvents {
			break
		}
		if events > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"message":%s,"timestamp":%d}`, quoted, testNow.UnixMilli())
	}
	fmt.Fprintf(&b, `],"logGroupName":%q,"logStreamName":%q}`, testGroup, testStream)
	return b.String(), events
}

// BenchmarkPut puts full batches over HTTP from one client. The rate counts message bytes.
func BenchmarkPut(b *testing.B) {
	for _, c := range []struct {
		name, message string
		discard, disk bool
	}{
		{name: "events/discarded", message: agentEvent, discard: true},
		{name: "events/in memory", message: agentEvent},
		{name: "events/on disk", message: agentEvent, disk: true},
		{name: "small/discarded", message: strings.Repeat("x", 64), discard: true},
		{name: "large/discarded", message: strings.Repeat("y", 500_000), discard: true},
		{name: "control characters/discarded", message: strings.Repeat("\x01", 500_000), discard: true},
	} {
		b.Run(c.name, func(b *testing.B) {
			o := Options{Discard: c.discard, AllowUnsigned: true, Now: func() time.Time { return testNow }}
			if c.disk {
				o.Dir = b.TempDir()
			}
			s, err := New(o)
			if err != nil {
				b.Fatal(err)
			}
			createDirectly(b, s)
			ctx, cancel := context.WithCancel(b.Context())
			url, wait, err := Listen(ctx, "", s)
			if err != nil {
				b.Fatal(err)
			}
			client := &http.Client{Transport: &http.Transport{WriteBufferSize: 256 << 10}}
			defer func() {
				client.CloseIdleConnections()
				cancel()
				if err := errors.Join(wait(), s.Close()); err != nil {
					b.Error(err)
				}
			}()
			body, events := putBody(c.message)
			b.SetBytes(int64(events * len(c.message)))
			for b.Loop() {
				r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				r.Header.Set("Content-Type", contentType)
				r.Header.Set("X-Amz-Target", targetPrefix+"PutLogEvents")
				resp, err := client.Do(r)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
					b.Fatal(resp.Status, err)
				}
				_ = resp.Body.Close()
			}
		})
	}
}

// createDirectly creates the tests' group and stream without HTTP.
func createDirectly(t testing.TB, s *Server) {
	t.Helper()
	if _, err := (&createLogGroup{LogGroupName: testGroup}).do(s, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := (&createLogStream{testGroup, testStream}).do(s, ""); err != nil {
		t.Fatal(err)
	}
}

// TestMemoryOfSmallEvents checks that an event costs little more memory than its message, however
// many there are.
func TestMemoryOfSmallEvents(t *testing.T) {
	s, err := New(Options{Now: func() time.Time { return testNow }})
	if err != nil {
		t.Fatal(err)
	}
	createDirectly(t, s)
	body, events := putBody(strings.Repeat("x", 50))
	const batches = 20
	heap := func() int64 {
		runtime.GC()
		runtime.GC() // the second run empties the pools
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	p, err := decode("PutLogEvents", []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	for range batches {
		if _, err := p.do(s, ""); err != nil {
			t.Fatal(err)
		}
	}
	if used := heap() - before; used > int64(events*batches*(50+40)) {
		t.Errorf("%d events of 50 bytes use %d bytes each", events*batches, used/int64(events*batches))
	}
	if n := len(s.Events(testGroup, testStream)); n != events*batches {
		t.Errorf("%d events kept, want %d", n, events*batches)
	}
}
