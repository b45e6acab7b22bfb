package readback

import (
	"context"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"runtime"
	"strings"
	"testing"

	"perstack-shipper/shipper/cloudwatch"
)

// endless makes the pages of a large stream on demand. A page has about 1 MiB of lines of two
// inputs, shuffled so that sorting them is work. One line in 4 is large and one in 7 is repeated.
type endless struct {
	lines int
	heap  func() // called every 16 pages
	pages int
}

// tail is the end of every line, of which small lines have only the last bytes.
var tail = strings.Repeat("x", 100<<10) + `"}`

func (s *endless) line(seq int) (head, rest string) {
	size := 100
	if seq%4 == 0 {
		size = len(tail)
	}
	return fmt.Sprintf(`"type":"t","jobId":"j","n":%d,"x":"`, seq), tail[len(tail)-size:]
}

func (s *endless) EventsPage(ctx context.Context, stream string, _ cloudwatch.Selection, token string) (page []cloudwatch.Event, next string, end bool, err error) {
	n := 0
	fmt.Sscan(token, &n)
	if s.pages++; s.pages%16 == 0 {
		s.heap()
	}
	for bytes := 0; bytes < 1<<20 && n < s.lines; n++ {
		// 7919 is prime and does not divide s.lines, so each seq comes once.
		seq := n*7919%s.lines + 1
		input := fmt.Sprint("i", seq%2)
		head, rest := s.line(seq)
		message := fmt.Sprintf(`{"shipper":{"input":%q,"seq":%d},`, input, (seq+1)/2) + head + rest
		page = append(page, cloudwatch.Event{Time: int64(seq), Message: message})
		bytes += len(message)
		if n%7 == 0 {
			page = append(page, page[len(page)-1])
		}
	}
	return page, fmt.Sprint(n), n == s.lines, nil
}

func (s *endless) StreamsPage(context.Context, string, string) ([]string, string, error) {
	return nil, "", nil
}

func (s *endless) FilterPage(context.Context, string, string, cloudwatch.Selection, string) ([]cloudwatch.Event, string, error) {
	return nil, "", nil
}

// A job of any size is sorted in the given memory plus a page and the buffers. Here the lines take
// fifty times the memory, so that runs of the second level are merged too.
func TestMemoryIsBounded(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	const lines = 4_000
	var most uint64
	s := &endless{lines: lines}
	measure := func() {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapInuse)
	}
	s.heap = measure
	measure()
	before := most

	want := crc32.NewIEEE()
	size := 0
	for _, odd := range []int{1, 0} {
		for seq := 1; seq <= lines; seq++ {
			if seq%2 == odd {
				head, rest := s.line(seq)
				fmt.Fprintf(want, "{%s", head)
				io.WriteString(want, rest)
				io.WriteString(want, "\n")
				size += len("{\n") + len(head) + len(rest)
			}
		}
	}
	got := &sampling{Hash32: crc32.NewIEEE(), every: 32 << 20, sample: measure}
	report, err := Lines(t.Context(), s, Query{Job: "j", Memory: 2 << 20}, got)
	if err != nil {
		t.Fatal(err)
	}
	if report.Lines != int64(lines) || report.Bytes != int64(size) || got.Sum32() != want.Sum32() {
		t.Errorf("wrong lines or checksum: %+v, want %d lines of %d bytes", report, lines, size)
	}
	if wantRepeats := int64((lines + 6) / 7); report.Repeats != wantRepeats {
		t.Errorf("%d repeats, want %d", report.Repeats, wantRepeats)
	}
	t.Logf("%d MB of lines; the heap grew by %d KiB at most", size>>20, (most-before)>>10)
	if grew := most - before; grew > 12<<20 {
		t.Errorf("the heap grew by %d MiB for %d MB of lines", grew>>20, size>>20)
	}
}

// sampling is a hash that calls sample after every so many bytes.
type sampling struct {
	hash.Hash32
	every, written int
	sample         func()
}

func (s *sampling) Write(b []byte) (int, error) {
	if s.written += len(b); s.written >= s.every {
		s.written = 0
		s.sample()
	}
	return s.Hash32.Write(b)
}

// BenchmarkLines measures reading back small lines, most of which are sorted on disk. It does not
// include fetching the pages.
func BenchmarkLines(b *testing.B) {
	g := &group{page: 3000}
	const events = 60_000
	size := 0
	for n := range events {
		message := event("i", n*7%events+1, fmt.Sprintf(`{"type":"streamText","id":"%d","expertKey":"x","timestamp":1795347082176,"jobId":"j","runId":"r1","stepNumber":3,"text":"%s"}`, n, strings.Repeat("word ", 40)))
		g.put("j", 1, message)
		size += len(message)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Lines(b.Context(), g, Query{Job: "j"}, io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
