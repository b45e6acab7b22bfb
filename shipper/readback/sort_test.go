package readback

import (
	"bytes"
	"context"
	"fmt"
	"math/bits"
	"os"
	"testing"
)

// Merging keeps few files open however many runs there are, and writes each item a number of times
// that grows with the logarithm of the number of items.
func TestRunsAreMerged(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := newStore(1)       // each item is a run
	first, err := s.temp() // with its first file the runtime opens some of its own
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	before := openFiles(t)
	const items = 1000
	for n := range items {
		seq := int64(n * 7 % items)
		if err := s.add(context.Background(), item{key: key{input: int32(seq % 3), seq: seq}}, nil, fmt.Append(nil, "line ", seq)); err != nil {
			t.Fatal(err)
		}
		at := map[int]int{}
		for i, r := range s.runs {
			if at[r.level]++; i > 0 && s.runs[i-1].level < r.level {
				t.Fatalf("run %d of level %d follows one of level %d", i, r.level, s.runs[i-1].level)
			}
		}
		for level, runs := range at {
			if runs >= fanIn || level > bits.Len(items)/bits.Len(fanIn-1) {
				t.Fatalf("%d runs of level %d", runs, level)
			}
		}
	}
	if open := openFiles(t) - before; open != len(s.runs) {
		t.Errorf("%d files are open for %d runs", open, len(s.runs))
	}

	for input := range int32(4) {
		next := int64(input)
		err := s.each(context.Background(), input, func(c *itemReader) error {
			var line bytes.Buffer
			if err := c.copy(&line); err != nil {
				return err
			}
			if c.head.seq != next || line.String() != fmt.Sprint("line ", next) {
				t.Fatalf("%q with seq %d of input %d, want %d", line.String(), c.head.seq, input, next)
			}
			next += 3
			return nil
		})
		if err != nil || input < 3 && next < items || input == 3 && next != 3 {
			t.Errorf("input %d ended before seq %d: %v", input, next, err)
		}
	}
	s.close()
	if open := openFiles(t) - before; open != 0 {
		t.Errorf("%d files are still open", open)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("counting open files needs /proc")
	}
	return len(files)
}
