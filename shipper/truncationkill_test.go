package shipper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/testkit/await"
)

// A command truncates its stdout, and its shipper is killed at each of its puts: before the service
// stores the put, or after that and before the cursor moves. Whenever it is killed, CloudWatch must
// not have a line under two numbers, because readers could not recognize the repeat, and must have
// all lines that came last.
func TestKilledAroundTruncation(t *testing.T) {
	for name, c := range map[string]struct {
		kills    int  // how many shippers are killed
		refuse   bool // one line of each piece is refused for good
		compress bool
	}{
		"plain":      {kills: 2},
		"compressed": {kills: 1, compress: true},
		"rejects":    {kills: 1, refuse: true}, // with many puts, to find the refused line
	} {
		for _, stored := range []bool{false, true} {
			for _, goesOn := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/stored=%v/goesOn=%v", name, stored, goesOn), func(t *testing.T) {
					t.Parallel()
					for first, dies := 1, true; dies; first++ {
						for second, diesToo := 1, true; diesToo; second++ {
							t.Run(fmt.Sprint(first, " and ", second), func(t *testing.T) {
								k := newKilled(t, c.refuse, c.compress)
								k.stored, k.goesOn = stored, goesOn
								dies, diesToo = k.run(first, second, c.kills)
							})
							if t.Failed() {
								return
							}
						}
					}
				})
			}
		}
	}
}

// killed is a command that writes three pieces and truncates its stdout before the second and
// third, and the shippers that are killed.
type killed struct {
	*world
	compress bool
	stored   bool // the service stores the put at which a shipper dies
	goesOn   bool // the command writes its next piece before the next shipper starts
	pieces   [][]byte
	written  int // how many pieces are written

	mu   sync.Mutex // guards the fields below; the command writes under it
	dir  string     // the journal folder of the current shipper
	out  *os.File
	at   int           // the shipper dies at this put from now, counted from 1; 0: it does not die
	died chan struct{} // closed when the shipper is dead
}

const killedID = "aaaaaaaa"

func newKilled(t *testing.T, refuse, compress bool) *killed {
	k := &killed{compress: compress}
	var intercept func(*cwlocal.Call) cwlocal.Fault
	if refuse {
		intercept = refusing("poison")
	}
	k.world = newWorldOf(t, cwlocal.Options{Intercept: intercept}, k.front)
	k.dir = k.folder.Path()
	for piece := range 3 {
		var b bytes.Buffer
		lines := 4 + 3*piece // a longer piece hides the truncation from a look at the size alone
		if refuse {
			lines = 2 + piece // each further line adds puts to find the refused one
		}
		for n := range lines {
			what := "note"
			if refuse && n == 0 {
				what = "poison"
			}
			fmt.Fprintf(&b, "{\"piece\":%d,\"n\":%d,\"type\":%q,\"jobId\":\"j\"}\n", piece, n, what)
		}
		k.pieces = append(k.pieces, b.Bytes())
	}
	return k
}

// front kills the shipper at the chosen put: it copies what the shipper leaves, and gives it no
// more answers.
func (k *killed) front(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".PutLogEvents") {
			h.ServeHTTP(w, r)
			return
		}
		k.mu.Lock()
		k.at--
		dies, answer := k.at == 0, httptest.NewRecorder()
		if dies && k.stored {
			h.ServeHTTP(answer, r)
		}
		if dies {
			k.die()
		}
		dead := isClosed(k.died)
		k.mu.Unlock()
		if dead {
			<-r.Context().Done()
			return
		}
		h.ServeHTTP(w, r)
	})
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// die copies the journal folder, and lets the command continue in the copy.
func (k *killed) die() {
	var to string
	for deadline := time.Now().Add(await.Deadline); ; {
		to = filepath.Join(k.t.TempDir(), "journal")
		err := os.CopyFS(to, os.DirFS(k.dir))
		if errors.Is(err, fs.ErrNotExist) && time.Now().Before(deadline) {
			continue // a new file got its name between the listing of the folder and the copy
		}
		if err != nil {
			k.t.Error(err)
		}
		break
	}
	k.dir = to
	k.out.Close()
	k.open()
	close(k.died)
}

func (k *killed) output() string {
	return filepath.Join(k.dir, killedID, "00000000000000000000.output")
}

func (k *killed) open() {
	var err error
	if k.out, err = os.OpenFile(k.output(), os.O_WRONLY|os.O_APPEND, 0); err != nil {
		k.t.Error(err)
	}
}

// write truncates stdout and writes the next piece, in two steps, as the command.
func (k *killed) write() {
	piece := k.pieces[k.written]
	if k.written++; k.written > 1 {
		k.mu.Lock()
		if err := k.out.Truncate(0); err != nil {
			k.t.Error(err)
		}
		k.mu.Unlock()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, err := k.out.Write(piece); err != nil {
		k.t.Error(err)
	}
}

// isThere reports whether CloudWatch has the last line of the latest piece.
func (k *killed) isThere() bool {
	piece := k.pieces[k.written-1]
	last := bytes.TrimSuffix(piece[bytes.LastIndexByte(piece[:len(piece)-1], '\n')+1:], []byte{'\n'})
	for _, in := range k.Gathered() {
		for _, e := range in.Lines {
			if bytes.Equal(e.Line, last) {
				return true
			}
		}
	}
	return false
}

// run kills the first shipper at its put number first and, if there are two kills, the next one at
// its put number second. It reports whether each of them got that far.
func (k *killed) run(first, second, kills int) (died, diedToo bool) {
	j, out, err := k.folder.NewOutput(killedID, nil, journal.Options{})
	if err != nil {
		k.t.Fatal(err)
	}
	k.out = out
	died = k.ship(j, j.End, first)
	if died && kills > 1 {
		diedToo = k.ship(k.recover(), nil, second)
	}
	if died && kills == 1 || diedToo {
		k.ship(k.recover(), nil, 0)
	}
	k.compare()
	return died, diedToo
}

// recover recovers the input, as the next start does.
func (k *killed) recover() *journal.Output {
	folder, err := journal.Open(k.dir)
	if err != nil {
		k.t.Fatal(err)
	}
	found, err := folder.Recover(killedID)
	if err != nil {
		k.t.Fatal(err)
	}
	return found.(*journal.Output)
}

// ship ships j while the command writes, until everything is delivered or the shipper dies at a
// put. It reports whether the shipper died. It calls end when the command has ended.
func (k *killed) ship(j *journal.Output, end func() error, at int) bool {
	ctx, kill := context.WithCancel(context.Background())
	defer kill()
	died := make(chan struct{})
	k.mu.Lock()
	k.at, k.died = at, died
	k.mu.Unlock()
	done := make(chan error, 1)
	go func() {
		s := k.shipper(func(o *Options) { o.FlushInterval, o.Compress = 0, k.compress })
		_, err := s.Run(ctx, []Input{{Journal: j.Journal, Primary: true, Shape: batch.Shape{Input: killedID, Template: "{jobId}", Hostname: "host"}}}, nil)
		done <- err
	}()
	for k.written < len(k.pieces) && !isClosed(died) {
		k.write()
		k.Until("the piece arrived or the shipper died", func() bool { return isClosed(died) || k.isThere() })
	}
	if k.mu.Lock(); !isClosed(died) {
		k.out.Close()
	}
	k.mu.Unlock()
	if end != nil && !isClosed(died) {
		if err := end(); err != nil {
			k.t.Error(err)
		}
	}
	select {
	case err := <-done:
		if err != nil {
			k.t.Error(err)
		}
		return false
	case <-died:
	case <-time.After(await.Deadline):
		k.t.Fatalf("the run neither ended nor died within %s", await.Deadline)
	}
	kill()
	await.Receive(k.t, "the end of the killed run", done)
	if k.goesOn && k.written < len(k.pieces) {
		k.write()
	}
	if k.written == len(k.pieces) {
		k.out.Close()
	}
	return true
}

// compare checks what CloudWatch has in the end.
func (k *killed) compare() {
	type at struct {
		input string
		seq   int64
	}
	places := map[string]at{}
	ended := 0
	for id, in := range k.Gathered() {
		if in.Ended() {
			ended++
			if seal, _ := in.Seal(); seal.Truncated.Times == 0 {
				k.t.Errorf("the seal does not say that the output was truncated: %s", seal.Message)
			}
		}
		for _, e := range in.Lines {
			if before, there := places[string(e.Line)]; there {
				k.t.Errorf("CloudWatch has %s as line %d of %s and as line %d of %s", e.Line, before.seq, before.input, e.Seq, id)
			}
			places[string(e.Line)] = at{id, e.Seq}
		}
	}
	if ended != 1 {
		k.t.Errorf("%d inputs have ended according to their seals, want 1", ended)
	}
	for line := range bytes.Lines(k.pieces[len(k.pieces)-1]) {
		line = bytes.TrimSuffix(line, []byte{'\n'})
		if _, there := places[string(line)]; !there && !bytes.Contains(line, []byte("poison")) {
			k.t.Errorf("CloudWatch does not have %s", line)
		}
	}
	if _, err := os.Stat(k.output()); !errors.Is(err, os.ErrNotExist) {
		k.t.Errorf("the output file still exists: %v", err)
	}
}
