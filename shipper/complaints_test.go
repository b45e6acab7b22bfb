package shipper

// These tests show what users of other programs that ship logs to CloudWatch complain about again
// and again in the issue trackers. None of it can happen here.

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/cwlocal/localtest"
	"perstack-shipper/shipper/deliver"
	"perstack-shipper/shipper/feed"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/testkit/await"
)

// osPipe returns an input that reads from a pipe of the operating system, as in a shell, and the
// writing end of the pipe.
func (w *world) osPipe(id string) (Input, *os.File) {
	w.t.Helper()
	r, writer, err := os.Pipe()
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	in, release, err := feed.Stoppable(ctx, r)
	if err != nil {
		w.t.Fatal(err)
	}
	j, err := w.folder.NewPipe(id, nil, journal.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	moved := make(chan struct{})
	go func() {
		defer close(moved)
		if err := feed.Move(ctx, in, j, nil, w.log); err != nil {
			w.t.Error(err)
		}
	}()
	quit := func() {
		cancel()
		await.Receive(w.t, "the end of the feed", moved)
	}
	w.t.Cleanup(func() {
		writer.Close()
		quit()
		release()
		r.Close()
	})
	return Input{Journal: j.Journal, Shape: batch.Shape{Input: id, Template: "{jobId}", Hostname: "host"}, Primary: true, Quit: quit}, writer
}

// write writes to a feed. It fails the test if it cannot.
func (w *world) write(feed io.Writer, data []byte) {
	if _, err := feed.Write(data); err != nil {
		w.t.Error(err)
	}
}

// Everything from an agent that writes and exits at once is shipped, without waiting for any
// interval (amazon-cloudwatch-agent #768, #170).
func TestLastLogsOnFastExit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	in, feed := w.osPipe("aaaaaaaa")
	data := numbered("job", 5000)
	data = data[:len(data)-1] // the last line has no newline
	go func() {
		w.write(feed, data)
		feed.Close()
	}()
	report, err := w.shipper(func(o *Options) { o.FlushInterval = time.Hour }).Run(within(t, await.Deadline), []Input{in}, nil)
	if err != nil || report.Took > await.Deadline {
		t.Errorf("Run took %s: %v", report.Took, err)
	}
	if got := w.lines("aaaaaaaa"); !bytes.Equal(got, data) {
		t.Errorf("got %d bytes back, want %d", len(got), len(data))
	}
}

// The end of stdin ends the program, and nothing keeps running (vector #3031), which goleak checks.
func TestEndOfStdinEndsTheProgram(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, data := range []string{"", "\n", "one line\n", "no newline"} {
		in, feed := w.osPipe("aaaaaaaa")
		w.write(feed, []byte(data))
		feed.Close()
		report, err := w.shipper(func(o *Options) { o.FlushInterval = time.Hour }).Run(within(t, await.Deadline), []Input{in}, nil)
		if err != nil || report.Took > await.Deadline {
			t.Errorf("%q: Run took %s: %v", data, report.Took, err)
		}
	}
}

// Lines written during a long outage of CloudWatch wait, and arrive in order (moby #41577, #41245).
func TestOutageLosesNothing(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	away.Store(true)
	var calls atomic.Int64
	w := newWorld(t, func(*cwlocal.Call) cwlocal.Fault {
		if calls.Add(1); !away.Load() {
			return cwlocal.Fault{}
		}
		return cwlocal.Fault{ResetBefore: true}
	})
	in, feed := w.osPipe("aaaaaaaa")
	data := bytes.Repeat(numbered("job", 1000), 40)
	go func() {
		defer feed.Close()
		for piece := range len(data) / 4096 {
			w.write(feed, data[piece*4096:][:4096])
		}
		w.write(feed, data[len(data)/4096*4096:])
		w.await("20 calls of an outage", func() bool { return calls.Load() >= 20 })
		away.Store(false)
	}()
	report, err := w.shipper(func(o *Options) { o.MemoryMax = 1 << 20 }).Run(within(t, await.Deadline), []Input{in}, nil)
	if err != nil || report.Rejected > 0 || report.Repeated > 0 || len(report.Left) > 0 {
		t.Errorf("%v, %+v", err, report)
	}
	if got := w.lines("aaaaaaaa"); !bytes.Equal(got, data) {
		t.Errorf("got %d bytes back, want %d", len(got), len(data))
	}
	if events, repeated := w.stored("aaaaaaaa"); events != 40_000 || repeated > 0 {
		t.Errorf("%d events, %d of them repeated", events, repeated)
	}
}

// While CloudWatch accepts nothing, the journal keeps what waits, and memory holds only the next
// few batches. If only one stream may be in trouble, the loop reads on to find lines for the
// others.
func TestOutageTakesNoMemory(t *testing.T) {
	t.Parallel()
	for _, trouble := range []struct {
		code       string
		everywhere bool
		first      cwlocal.Fault // of the first call
	}{
		{"ExpiredTokenException", true, cwlocal.Fault{Code: "ExpiredTokenException"}},
		{"ExpiredTokenException", true, cwlocal.Fault{ResetBefore: true}},
		{"ExpiredTokenException", true, localtest.Unavailable()},
		{"AccessDeniedException", false, cwlocal.Fault{Code: "AccessDeniedException"}},
		{"ServiceUnavailableException", false, localtest.Unavailable()},
	} {
		code, everywhere := trouble.code, trouble.everywhere
		w := newWorld(t, func(c *cwlocal.Call) cwlocal.Fault {
			switch {
			case !everywhere && c.Stream != "refused":
				return cwlocal.Fault{}
			case c.N == 1:
				return trouble.first
			}
			return cwlocal.Fault{Code: code}
		})
		w.log = zap.NewNop()
		s := w.shipper(nil)
		lines := 12 << 10 // more than memory holds while nothing is accepted
		if !everywhere {
			lines = 6 << 10 // more than the batches that wait while all is well
		}
		data := bytes.Repeat(lineFor("refused"), lines)
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan struct{})
		in := w.pipe("aaaaaaaa", bytes.NewReader(append(data, numbered("other", 10)...)), nil)
		go func() {
			defer close(ended)
			if _, err := s.Run(ctx, []Input{in}, nil); err != context.Canceled {
				t.Error(err)
			}
		}()
		w.Until("the rest is handled in spite of "+code, func() bool {
			return in.Journal.Ended() && w.Server.Stats().Errors[code] >= 20 && (everywhere || len(w.Server.Events(w.Group, "other")) > 0)
		})
		stop()
		await.Receive(t, "the end of the run", ended)
		held := s.memory.pool.Held() // unacknowledged events are not released
		if least, most := len(data), 2*(ready+2)*batch.MaxBatchBytes; everywhere && held > most || !everywhere && held < least {
			t.Errorf("%+v: memory holds %d of %d bytes", trouble, held, len(data))
		}
	}
}

// While one stream is refused and waits for an hour to be tried again, the others continue.
func TestOneStreamsTroubleIsItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *cwlocal.Call) cwlocal.Fault {
		if c.Stream == "refused" {
			return cwlocal.Fault{Code: "AccessDeniedException"}
		}
		return cwlocal.Fault{}
	})
	w.log = zap.NewNop()
	s := w.shipper(nil)
	s.deliverer.Paces.Denied = deliver.Pace{First: time.Hour, Most: time.Hour}
	refused := w.pipe("aaaaaaaa", bytes.NewReader(bytes.Repeat(lineFor("refused"), 6<<10)), nil)
	r, feed := io.Pipe()
	other := w.pipe("bbbbbbbb", r, nil)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if _, err := s.Run(ctx, []Input{refused, other}, nil); err != context.Canceled {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { // also after a failure
		feed.Close()
		stop()
		await.Receive(t, "the end of the run", ended)
	})
	for n := 100; n <= 1000; n += 100 { // each hundred is accepted before the next is written
		w.write(feed, numbered("other", 100))
		w.Until(fmt.Sprint(n, " events arrived"), func() bool { return len(w.Server.Events(w.Group, "other")) >= n })
	}
}

// An agent can write everything even if CloudWatch never answers (moby #33803, #45999).
func TestBlockingSinkDoesNotBlockTheWriter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(*cwlocal.Call) cwlocal.Fault { return cwlocal.Fault{Hang: true} })
	w.log = zap.NewNop()
	in, feed := w.osPipe("aaaaaaaa")
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if _, err := w.shipper(nil).Run(ctx, []Input{in}, nil); err != context.Canceled {
			t.Error(err)
		}
	}()
	const size = 64 << 20 // 64 times what the pipe holds
	data := numbered("job", 1000)
	for written := 0; written < size; written += len(data) {
		if err := feed.SetWriteDeadline(time.Now().Add(await.Deadline)); err != nil {
			t.Fatal(err)
		}
		w.write(feed, data)
	}
	if n := w.Server.Stats().Events; n > 0 {
		t.Fatalf("%d events were accepted", n)
	}
	stop()
	await.Receive(t, "the end of the run", ended)
}

// If CloudWatch is slow, the backlog is on disk and not in memory (aws-for-fluent-bit #274).
func TestSlowSinkDoesNotGrowMemory(t *testing.T) {
	w := newWorldOf(t, cwlocal.Options{Discard: true, Latency: 20 * time.Millisecond}, nil)
	in, feed := w.osPipe("aaaaaaaa")
	const size = 20 << 20
	data := bytes.Repeat(lineOf, 64)
	go func() {
		defer feed.Close()
		for written := 0; written < size; written += len(data) {
			w.write(feed, data)
		}
	}()
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, most := live(), uint64(0)
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for tick := time.NewTicker(200 * time.Millisecond); ; {
			select {
			case <-done:
				tick.Stop()
				return
			case <-tick.C:
				most = max(most, live())
			}
		}
	})
	report, err := w.shipper(func(o *Options) { o.MemoryMax = 2 << 20 }).Run(within(t, await.Deadline), []Input{in}, nil)
	close(done)
	watch.Wait()
	if err != nil || report.Bytes < size {
		t.Errorf("%v, %+v", err, report)
	}
	// The bound covers the shipper's 2 MiB and a few bodies that the endpoint holds.
	if most > before+13<<20 {
		t.Errorf("memory grew by %d KiB for a backlog of %d MiB", (most-before)>>10, size>>20)
	}
}

// Lines of the same millisecond are read back in the order in which they were written, over any
// number of puts (moby #24775).
func TestSameMillisecondKeepsOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, puts(func(n int64) bool { return n%4 == 0 }, cwlocal.Fault{ResetBefore: true}))
	var data bytes.Buffer
	now := time.Now().UnixMilli()
	const lines = 25_000 // more events than fit into two batches
	for i := range lines {
		fmt.Fprintf(&data, `{"timestamp":%d,"jobId":"job","n":%d}`+"\n", now, i)
	}
	w.ship(w.pipe("aaaaaaaa", w.stepwise(data.Bytes()), nil))
	seq := int64(0)
	for _, e := range w.Server.Events(w.Group, "job") { // as readers show them
		r, err := batch.Restore([]byte(e.Message))
		if err != nil {
			t.Fatal(err)
		}
		if r.Record != "" {
			continue
		}
		if seq++; r.Seq != seq {
			t.Fatalf("got line %d, want line %d", r.Seq, seq)
		}
	}
	if seq != lines {
		t.Errorf("got %d lines, want %d", seq, lines)
	}
}

// Credentials that expire while shipping are fetched again (moby #52823,
// amazon-cloudwatch-logs-for-fluent-bit #363).
func TestExpiredTokenIsRefreshed(t *testing.T) {
	var issued, accepted atomic.Int64
	role := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		n := issued.Add(1)
		fmt.Fprintf(rw, `{"AccessKeyId":"AKID","SecretAccessKey":"secret","Token":"token-%d","Expiration":"%s"}`, n, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	defer role.Close()
	// Each token works for three calls, although it claims to work for an hour.
	uses := map[string]int{}
	var mu sync.Mutex
	w := newWorldOf(t, cwlocal.Options{}, func(endpoint http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			token := r.Header.Get("X-Amz-Security-Token")
			mu.Lock()
			uses[token]++
			expired := !strings.HasPrefix(token, "token-") || uses[token] > 3
			mu.Unlock()
			if expired {
				_, _ = io.Copy(io.Discard, r.Body)
				rw.Header().Set("Content-Type", "application/x-amz-json-1.1")
				rw.WriteHeader(http.StatusBadRequest)
				io.WriteString(rw, `{"__type":"ExpiredTokenException","message":"The security token included in the request is expired"}`)
				return
			}
			accepted.Add(1)
			endpoint.ServeHTTP(rw, r)
		})
	})
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", role.URL)
	w.client = w.Client(0) // with the credentials of the role
	data := numbered("job", 500)
	in := w.pipe("aaaaaaaa", w.stepwise(data), nil)
	if _, err := w.shipper(func(o *Options) { o.FlushInterval = time.Millisecond }).Run(within(t, await.Deadline), []Input{in}, nil); err != nil {
		t.Fatal(err)
	}
	if got := w.lines("aaaaaaaa"); !bytes.Equal(got, data) {
		t.Errorf("got %d bytes back, want %d", len(got), len(data))
	}
	if issued.Load() < 3 || accepted.Load() < 7 {
		t.Errorf("%d tokens were issued and %d calls accepted, so no token expired", issued.Load(), accepted.Load())
	}
}

// A long line is split between characters, and no part exceeds the limit (aws-for-fluent-bit #252).
func TestCutInsideCharacter(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"é", "日", "🙂", "a日", "\"🙂", "\x01é"} {
		w := newWorld(t, nil)
		data := append(bytes.Repeat([]byte(text), 2_200_000/len(text)), '\n')
		w.ship(w.pipe("aaaaaaaa", bytes.NewReader(data), nil))
		if got := w.lines("aaaaaaaa"); !bytes.Equal(got, data) {
			t.Errorf("%q: got %d bytes back, want %d", text, len(got), len(data))
		}
		parts := 0
		for _, name := range w.Server.Streams(w.Group) {
			for _, e := range w.Server.Events(w.Group, name) {
				parts++
				if !utf8.ValidString(e.Message) || strings.ContainsRune(e.Message, utf8.RuneError) || len(e.Message) > batch.MaxEventBytes {
					t.Errorf("%q: an event has %d bytes; valid UTF-8: %v", text, len(e.Message), utf8.ValidString(e.Message))
				}
			}
		}
		if parts < 5 { // at least 3 parts, and the two records
			t.Errorf("%q: got %d events, want at least 5", text, parts)
		}
	}
}

// Bytes that are not UTF-8 become U+FFFD, and everything after them is shipped (fluent-bit #4143,
// #4297).
func TestBadUTF8DoesNotStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	data := "before\n\xff\xfe\xfd\n{\"jobId\":\"job\",\"bad\":\"\xc3(\"}\n\xe6\x97\n\xed\xa0\x80\x00\nafter\n"
	want := "before\n���\n{\"jobId\":\"job\",\"bad\":\"�(\"}\n��\n���\x00\nafter\n"
	report := w.ship(w.pipe("aaaaaaaa", strings.NewReader(data), nil))
	if got := w.lines("aaaaaaaa"); string(got) != want {
		t.Errorf("got %q back, want %q", got, want)
	}
	if report.Lines != 6 || report.Rejected > 0 {
		t.Errorf("%+v", report)
	}
	if seal := w.seal("aaaaaaaa", "job"); seal.Lossy != 4 || seal.RawSHA256 == "" {
		t.Errorf("the seal is %+v", seal)
	}
}

// Shipping calls nothing but PutLogEvents, and once what creates missing groups and streams (vector
// #25788).
func TestNoDescribeOnShippingPath(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	var data []byte
	for i := range 20 {
		data = append(data, numbered(fmt.Sprint("job", i%4), 20)...)
	}
	for range 2 { // the second time, the group and streams exist
		w.ship(w.pipe("aaaaaaaa", w.stepwise(data), nil))
	}
	calls := w.Server.Stats().Calls
	for action, n := range calls {
		switch {
		case action == "PutLogEvents":
		case action == "CreateLogStream" && n <= 2*4+4: // once for each run, and again for streams that find the group missing
		case action == "CreateLogGroup" && n <= 4:
		default:
			t.Errorf("%s was called %d times", action, n)
		}
	}
	if calls["PutLogEvents"] == 0 {
		t.Error("nothing was put")
	}
}

// Events that CloudWatch has twice after a lost answer have the same seq, so readers drop the
// repeats, and the seal counts them (aws-for-fluent-bit #213).
func TestRetryDoesNotDuplicateUnmarked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, puts(func(n int64) bool { return n%2 == 1 }, cwlocal.Fault{ResetAfter: true}))
	data := numbered("job", 1000)
	report := w.ship(w.pipe("aaaaaaaa", w.stepwise(data), nil))
	if got := w.lines("aaaaaaaa"); !bytes.Equal(got, data) { // a repeat with a seq of its own would be another line
		t.Errorf("got %d bytes back, want %d", len(got), len(data))
	}
	if _, repeated := w.stored("aaaaaaaa"); repeated == 0 || int64(repeated) > report.Repeated || report.Repeated != w.seal("aaaaaaaa", "job").Repeated {
		t.Errorf("CloudWatch has %d events twice, and the report says %d", repeated, report.Repeated)
	}
}

// A stream that cannot be created does not hold up the others (amazon-cloudwatch-agent #2190).
func TestThrottledCreateDoesNotStallOtherStreams(t *testing.T) {
	t.Parallel()
	var open atomic.Bool
	w := newWorld(t, func(c *cwlocal.Call) cwlocal.Fault {
		if c.Action == "CreateLogStream" && c.Stream == "job0" && !open.Load() {
			return localtest.Throttle()
		}
		return cwlocal.Fault{}
	})
	w.log = zap.NewNop()
	var data []byte
	for i := range 50 {
		data = append(data, numbered(fmt.Sprint("job", i%10), 10)...)
	}
	in, feed := w.osPipe("aaaaaaaa")
	go func() {
		w.write(feed, data)
		w.awaitEvents("aaaaaaaa", 450)
		open.Store(true)
		feed.Close()
	}()
	ctx, cancel := context.WithTimeout(context.Background(), await.Deadline)
	defer cancel()
	if _, err := w.shipper(func(o *Options) { o.FlushInterval = 10 * time.Millisecond }).Run(ctx, []Input{in}, nil); err != nil {
		t.Fatalf("the other streams wait for one: %v", err)
	}
	if got := w.lines("aaaaaaaa"); !bytes.Equal(got, data) {
		t.Errorf("got %d bytes back, want %d", len(got), len(data))
	}
}
