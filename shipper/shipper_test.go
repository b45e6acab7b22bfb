package shipper

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/cwlocal/localtest"
	"perstack-shipper/shipper/feed"
	"perstack-shipper/shipper/journal"
)

// world is a CloudWatch, and a folder for journals.
type world struct {
	t      *testing.T
	server *cwlocal.Server
	client *cloudwatch.Client
	folder *journal.Folder
	log    *zap.Logger
	group  string
	url    string
}

func newWorld(t *testing.T, intercept func(*cwlocal.Call) cwlocal.Fault) *world {
	t.Helper()
	return newWorldOf(t, cwlocal.Options{Intercept: intercept}, nil)
}

// The credentials of each world.
const testKeyID, testSecret = "AKIDEXAMPLE", "secret"

// newWorldOf is newWorld with other options. front, where there is one, stands before the endpoint.
func newWorldOf(t *testing.T, o cwlocal.Options, front func(http.Handler) http.Handler) *world {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("AWS_ACCESS_KEY_ID", testKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", testSecret)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	server, err := cwlocal.New(o)
	if err != nil {
		t.Fatal(err)
	}
	handler := signed(t, server)
	if front != nil {
		handler = front(handler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	url, wait, err := cwlocal.Listen(ctx, "127.0.0.1:0", handler)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, server: server, log: zaptest.NewLogger(t), group: "/perstack/test", url: url}
	w.client, err = cloudwatch.New(ctx, cloudwatch.Options{Group: w.group, Region: "eu-west-1", Endpoint: url, AttemptTimeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.client.Close()
		server.Close() // it ends what hangs
		cancel()
		if err := wait(); err != nil {
			t.Error(err)
		}
	})
	if w.folder, err = journal.Open(filepath.Join(t.TempDir(), "journal")); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) options() Options {
	return Options{
		Client: w.client, Create: true, FlushInterval: 100 * time.Millisecond, GiveUpAfter: 10 * time.Second, OthersAfter: time.Second,
		MemoryMax: 32 << 20, Log: w.log, Origin: Origin{Version: "test", Hostname: "host"},
	}
}

// pipe is an input that is fed by r.
func (w *world) pipe(id string, r io.Reader, shape func(*batch.Shape)) Input {
	w.t.Helper()
	j, err := w.folder.NewPipe(id, nil, journal.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	s := batch.Shape{Input: id, Template: "{jobId}", Hostname: "host"}
	if shape != nil {
		shape(&s)
	}
	moved := make(chan error, 1)
	go func() { moved <- feed.Move(context.Background(), r, j, nil, w.log) }()
	w.t.Cleanup(func() {
		if err := <-moved; err != nil {
			w.t.Error(err)
		}
	})
	return Input{Journal: j.Journal, Shape: s, Primary: true}
}

// lines reads back what the endpoint holds of an input, in order of seq, as the bytes that they were.
func (w *world) lines(id string) []byte {
	w.t.Helper()
	byKey := map[[2]int64]batch.Restored{}
	var last int64
	for _, name := range w.server.Streams(w.group) {
		for _, e := range w.server.Events(w.group, name) {
			r, err := batch.Restore([]byte(e.Message))
			if err != nil {
				w.t.Fatalf("%v: %s", err, e.Message)
			}
			if r.Input != id || r.Record != "" {
				continue
			}
			byKey[[2]int64{r.Seq, int64(r.Part)}] = r
			last = max(last, r.Seq)
		}
	}
	var out bytes.Buffer
	for seq := int64(1); seq <= last; seq++ {
		r, ok := byKey[[2]int64{seq, 0}]
		if !ok {
			for part := int64(1); !r.Last; part++ {
				if r, ok = byKey[[2]int64{seq, part}]; !ok {
					w.t.Fatalf("seq %d part %d is missing of %d", seq, part, last)
				}
				out.WriteString(strings.Repeat("\n", int(r.Empty)))
				out.Write(r.Line)
			}
		} else {
			out.WriteString(strings.Repeat("\n", int(r.Empty)))
			out.Write(r.Line)
		}
		if !r.NoNewline {
			out.WriteByte('\n')
		}
	}
	return out.Bytes()
}

func recordings(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../shared/recordings/*")
	if err != nil {
		t.Fatal(err)
	}
	own, err := filepath.Glob("../cmd/perstack-shipper/testdata/recordings/*")
	if err != nil {
		t.Fatal(err)
	}
	return append(files, own...)
}

func TestRecordings(t *testing.T) {
	for _, file := range recordings(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			w := newWorld(t, nil)
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			report, err := New(w.options()).Run(context.Background(), []Input{w.pipe("aaaaaaaa", bytes.NewReader(data), nil)}, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Log(report.Sentence())
			if got := w.lines("aaaaaaaa"); !bytes.Equal(got, data) {
				t.Errorf("%d bytes came back of %d", len(got), len(data))
			}
			if left, err := w.folder.Leftover(); err != nil || len(left) > 0 {
				t.Errorf("left in the journal: %v %v", left, err)
			}
		})
	}
}

// A caller that sets no limits gets those that are usual: what may pass is tried again, and a put
// holds as much as it can.
func TestZeroOptions(t *testing.T) {
	w := newWorld(t, func(c *cwlocal.Call) cwlocal.Fault {
		if c.N <= 3 {
			return localtest.Unavailable()
		}
		return cwlocal.Fault{}
	})
	in, j := w.written("aaaaaaaa")
	lines := numbered("j", 1000)
	write(t, j, lines)
	if err := j.End(); err != nil {
		t.Fatal(err)
	}
	report, err := New(Options{Client: w.client, Create: true}).Run(context.Background(), []Input{in}, nil)
	if err != nil || report.Retries == 0 || report.Batches > 3 {
		t.Errorf("%v: %s", err, report.Sentence())
	}
	if got := w.lines("aaaaaaaa"); !bytes.Equal(got, lines) {
		t.Errorf("%d bytes of %d arrived", len(got), len(lines))
	}
}
