//go:build linux

package chaos

// Processes that follow a file, which somebody writes on all the time. Whoever follows it goes on
// where the one before came to.

import (
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"
)

// followed is a file that grows for as long as a campaign lasts.
type followed struct {
	path string
	in   *taken
	stop chan struct{}
	done sync.WaitGroup
}

// grow begins to write what s says to a file.
func grow(t testing.TB, path string, s *speaker, rng *rand.Rand) *followed {
	f := &followed{path: path, in: &taken{proc: "file", paused: true}, stop: make(chan struct{})}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	// Its input is known by the file's path and first line.
	if _, err := file.WriteString("{\"type\":\"first\"}\n"); err != nil {
		t.Fatal(err)
	}
	said := append(s.say(500_000), '\n')
	f.done.Go(func() {
		defer file.Close()
		for end := false; len(said) > 0; {
			n := min(len(said), 1+rng.IntN(8<<10))
			if end { // the rest of the line
				n = 1
			}
			if _, err := file.Write(said[:n]); err != nil {
				t.Error(err)
				return
			}
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

// end ends the writing, with a whole line.
func (f *followed) end() error {
	close(f.stop)
	f.done.Wait()
	var err error
	f.in.data, err = os.ReadFile(f.path)
	return err
}

// follow starts a process that follows the file; rest are more of its options.
func (o *options) follow(t testing.TB, rng *rand.Rand, name string, f *followed, drain time.Duration, rest ...string) *process {
	args := append([]string{"ship", "--input", f.path}, o.shipping(f.in.proc)...)
	p := o.start(t, rng, name, drain, append(args, rest...))
	p.file = f
	return p
}
