//go:build linux

package chaos

// This file runs processes that follow a file that keeps growing. Each continues where the previous
// one stopped.

import (
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/testkit"
)

// followed is a file that grows as long as a campaign lasts.
type followed struct {
	path string
	in   *procInput
	stop chan struct{}
	done sync.WaitGroup
}

// minPause is how long the file must pause within a line before the shipper may cut that line. It
// is a little less than the shipper's 300 ms. A busy machine may delay the writer for that long.
const minPause = 250 * time.Millisecond

// grow starts to write what s says to a file.
func grow(t testing.TB, path string, s *speaker, rng *rand.Rand) *followed {
	f := &followed{path: path, in: &procInput{proc: "file", paused: true}, stop: make(chan struct{})}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	// The file's path and first line identify its input.
	if _, err := file.WriteString("{\"type\":\"first\"}\n"); err != nil {
		t.Fatal(err)
	}
	said := append(s.say(500_000), '\n')
	all, size := said, int64(len("{\"type\":\"first\"}\n"))
	f.done.Go(func() {
		defer file.Close()
		wrote := time.Now()
		for end := false; len(said) > 0; {
			n := min(len(said), 1+rng.IntN(8<<10))
			if end { // only the rest of the line is left to write
				n = 1
			}
			if _, err := file.Write(said[:n]); err != nil {
				t.Error(err)
				return
			}
			now := time.Now()
			// The pause may have been before this write or in the middle of it.
			if before := len(all) - len(said); now.Sub(wrote) > minPause {
				for _, at := range []int{before, before + n} {
					if at > 0 && all[at-1] != '\n' {
						f.in.pauses = append(f.in.pauses, size+int64(at))
					}
				}
			}
			wrote = now
			if last := said[n-1]; end && last == '\n' {
				return
			}
			said = said[n:]
			if end {
				continue
			}
			select {
			case <-f.stop:
				end = true
			case <-time.After(time.Duration(rng.IntN(20)) * time.Millisecond):
			}
		}
	})
	return f
}

// end stops writing after a complete line.
func (f *followed) end() error {
	close(f.stop)
	f.done.Wait()
	var err error
	f.in.data, err = os.ReadFile(f.path)
	return err
}

// follow starts a process that follows the file, with rest as further options.
func (o *options) follow(t testing.TB, rng *rand.Rand, name string, f *followed, drain time.Duration, rest ...string) *process {
	args := append([]string{"ship", "--input", f.path}, o.shipping(f.in.proc)...)
	p := o.start(t, rng, name, drain, append(args, rest...))
	p.file = f
	return p
}

// TestLineCutInAPause checks that a line that was cut during a pause counts as two, and
// that one that was not cut remains one.
func TestLineCutInAPause(t *testing.T) {
	data := []byte("first\nsecond\nthird\n")
	a := &testkit.Input{Lines: map[testkit.Place]testkit.Event{}}
	for i, line := range []batch.Restored{{Line: []byte("first")}, {Line: []byte("sec"), NoNewline: true}, {Line: []byte("ond")}, {Line: []byte("third")}} {
		a.Lines[testkit.Place{Seq: int64(i + 1)}] = testkit.Event{Restored: line}
	}
	in := &procInput{data: data, pauses: []int64{3, 9, 15}}
	in.findCuts(a)
	lines, _ := in.lines()
	if len(lines) != 4 || string(lines[1].line) != "sec" || !lines[1].noNewline || string(lines[2].line) != "ond" || lines[2].end != 13 {
		t.Errorf("cut at %v: %+v", in.cuts, lines)
	}
}
