package shipper

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/cwlocal/localtest"
	"perstack-shipper/shipper/feed"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/testkit"
	"perstack-shipper/shipper/testkit/await"
)

// world is an endpoint and a folder for journals.
type world struct {
	*testkit.World
	t      *testing.T
	server *cwlocal.Server
	client *cloudwatch.Client
	folder *journal.Folder
	log    *zap.Logger
	group  string
	limit  time.Duration // of ship
}

// newWorld returns a world whose calls fail as intercept says.
func newWorld(t *testing.T, intercept func(*cwlocal.Call) cwlocal.Fault) *world {
	t.Helper()
	return newWorldOf(t, cwlocal.Options{Intercept: intercept}, nil)
}

// newWorldOf is newWorld with other options. front, if not nil, wraps the endpoint's handler.
func newWorldOf(t *testing.T, o cwlocal.Options, front func(http.Handler) http.Handler) *world {
	t.Helper()
	return newWorldIn(t, testkit.Options{Options: o, Front: front})
}

// simulate runs f in simulated time, in a world whose calls fail as intercept says.
func simulate(t *testing.T, intercept func(*cwlocal.Call) cwlocal.Fault, f func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(newWorldIn(t, testkit.Options{Options: cwlocal.Options{Intercept: intercept}, InMemory: true}))
	})
}

// newWorldIn is newWorld with all options of the testkit.
func newWorldIn(t *testing.T, o testkit.Options) *world {
	t.Helper()
	front := o.Front
	o.Front = func(h http.Handler) http.Handler {
		h = signed(t, h)
		if front != nil {
			h = front(h)
		}
		return h
	}
	limit := await.Deadline
	if o.InMemory {
		limit = 24 * time.Hour // simulated time costs nothing
	}
	all := testkit.New(t, "/perstack/test", o)
	return &world{
		World: all, t: t, server: all.Server, client: all.Client(0), folder: all.Folder(),
		log: zaptest.NewLogger(t), group: all.Group, limit: limit,
	}
}

func (w *world) options() Options {
	return Options{
		Client: w.client, Create: true, FlushInterval: 100 * time.Millisecond, GiveUpAfter: await.Deadline, OthersAfter: time.Second,
		MemoryMax: 32 << 20, Log: w.log, Origin: Origin{Version: "test", Hostname: "host"},
	}
}

// pipe returns an input that is read from r.
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
		if err := await.Receive(w.t, "the end of the feed", moved); err != nil {
			w.t.Error(err)
		}
	})
	return Input{Journal: j.Journal, Shape: s, Primary: true}
}

// lines returns the original bytes of the lines that the endpoint has of an input, in order of seq.
func (w *world) lines(id string) []byte {
	w.t.Helper()
	in := w.Gathered()[id]
	if in == nil {
		return nil
	}
	text, missing := in.Text()
	if missing != "" {
		w.t.Fatalf("the endpoint does not have %s", missing)
	}
	return []byte(text)
}

// recordings returns the paths of all recordings, without copies.
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
	var all []string
	seen := map[[sha256.Size]byte]bool{} // most are in both folders
	for _, file := range append(files, own...) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(data); !seen[sum] {
			seen[sum] = true
			all = append(all, file)
		}
	}
	return all
}

func TestRecordings(t *testing.T) {
	t.Parallel()
	for _, file := range recordings(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			report, err := New(w.options()).Run(within(t, await.Deadline), []Input{w.pipe("aaaaaaaa", bytes.NewReader(data), nil)}, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Log(report.Sentence())
			if got := w.lines("aaaaaaaa"); !bytes.Equal(got, data) {
				t.Errorf("got %d bytes back, want %d", len(got), len(data))
			}
			if left, err := w.folder.Leftover(); err != nil || len(left) > 0 {
				t.Errorf("inputs left in the journal: %v (%v)", left, err)
			}
		})
	}
}

// A caller that sets no limits gets the defaults: calls that failed for a passing reason are tried
// again, and a put contains as many events as it can.
func TestZeroOptions(t *testing.T) {
	t.Parallel()
	outage := func(c *cwlocal.Call) cwlocal.Fault {
		if c.N <= 3 {
			return localtest.Unavailable()
		}
		return cwlocal.Fault{}
	}
	simulate(t, outage, func(w *world) {
		in, j := w.written("aaaaaaaa")
		lines := numbered("j", 1000)
		write(w.t, j, lines)
		if err := j.End(); err != nil {
			t.Fatal(err)
		}
		report, err := New(Options{Client: w.client, Create: true}).Run(context.Background(), []Input{in}, nil)
		if err != nil || report.Retries == 0 || report.Batches > 3 {
			t.Errorf("%s: %v", report.Sentence(), err)
		}
		if got := w.lines("aaaaaaaa"); !bytes.Equal(got, lines) {
			t.Errorf("got %d bytes back, want %d", len(got), len(lines))
		}
	})
}
