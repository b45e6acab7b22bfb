package run

import (
	"io"
	"strings"
	"testing"
	"time"
)

// stuckReader is a reader of a copy that accepts nothing: a write to it hangs until the test ends.
type stuckReader chan struct{}

func (r stuckReader) Write([]byte) (int, error) {
	<-r
	return 0, io.ErrClosedPipe
}

// stuckCopy copies what is shipped to a stuckReader. The run waits for it for 20 ms once everything
// else is done, and for full if the copy is all that keeps a journal of 1 MiB full.
func stuckCopy(t *testing.T, full time.Duration) func(*setup) {
	r := make(stuckReader)
	t.Cleanup(func() { close(r) })
	return func(s *setup) {
		s.copyStdout, s.Journal.Max = r, 1<<20
		s.Patience.Feed.Tee, s.Patience.Feed.FullJournal, s.Patience.Guard.Margin = 20*time.Millisecond, full, full
	}
}

const copyGivenUp = "warn: --tee: the copy accepts nothing; "

// A run whose copy is stuck ends once everything is shipped.
func TestStuckCopyIsGivenUpAtTheEnd(t *testing.T) {
	w := newWorld(t)
	p := w.ship(lines("a", 0, 10), stuckCopy(t, time.Hour))
	p.wait(Delivered)
	p.mustSay(copyGivenUp)
	w.input(lines("a", 0, 10))
}

// A stuck copy is given up if it is all that keeps a journal full, and the input goes on.
func TestStuckCopyIsGivenUpWhereTheJournalIsFull(t *testing.T) {
	text := strings.Repeat(`{"jobId":"a","text":"`+strings.Repeat("x", 8<<10)+"\"}\n", 256)
	w := newWorld(t)
	p := w.ship(text, stuckCopy(t, 50*time.Millisecond))
	p.wait(Delivered)
	p.mustSay("it has reached its limit of 1048576 bytes; room is freed as CloudWatch accepts lines; a higher limit gives more; the input waits meanwhile, and nothing is dropped",
		copyGivenUp, "the journal has room again after ")
	w.input(text)
}

// A stuck copy of a command's stdout is given up if it is all that keeps the command stopped, and
// the command goes on.
func TestStuckCopyIsGivenUpWhereTheCommandIsStopped(t *testing.T) {
	w := newSerialWorld(t)
	block := strings.Repeat(`{"jobId":"a","text":"`+strings.Repeat("x", 8<<10)+"\"}\n", 16)
	w.write("block", block)
	// At 6 MB/s, the guard has 1 s to stop the command before it has written everything.
	p := w.exec(`n=0; while [ $n -lt 64 ]; do cat `+w.path("block")+`; n=$((n+1)); sleep 0.02; done`,
		stuckCopy(t, 50*time.Millisecond), func(s *setup) { s.Journal.Max = 2 << 20 })
	p.wantCode(0, Delivered)
	p.mustSay("the command is stopped (SIGSTOP)", copyGivenUp, "the command goes on after ")
	w.wantText("", strings.Repeat(block, 64))
}
