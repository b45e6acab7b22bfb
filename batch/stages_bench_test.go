package batch

// These benchmarks measure each stage by itself, for the two kinds of lines that `make bench`
// ships. See bench_test.go for the other stages.

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"
)

// longLines returns about size bytes of lines with tool results. Each has 41 KB, mostly one long
// string.
func longLines(size int) []byte {
	words := strings.Fields(`const value = await read(path);\n if (value !== undefined) {\n return { name: \"shipper\", size: 42 };\n }\n 日本 export function parse(text: string): Event[]`)
	random := rand.New(rand.NewPCG(1, 1)) // random, or the branch predictor would learn the text
	var text []byte
	for len(text) < 41000 {
		text = append(append(text, words[random.IntN(len(words))]...), ' ')
	}
	var b bytes.Buffer
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, `{"type":"resolveToolResults","id":"hczkbqe5u4i5h8l3lgqp%04d","expertKey":"worker","timestamp":%d,"jobId":"ooffrb0cufrw05y9jd8az922","runId":"vkmogt99yu2k4gmbitii6yw5","stepNumber":1,"toolResults":[{"id":"t","result":[{"type":"textPart","text":"%s"}]}]}`+"\n",
			i%10000, 1795348823095+int64(i), text[:bytes.LastIndexByte(text[:41000], ' ')])
	}
	return b.Bytes()
}

// kinds returns the two kinds of lines.
var kinds = []struct {
	name  string
	lines func(size int) []byte
	block int
}{{"delta", deltas, block}, {"41KB", longLines, 4 * block}}

func newBenchShaper(tb testing.TB) *Shaper {
	return newFilteringShaper(tb, nil, nil)
}

func newFilteringShaper(tb testing.TB, exclude, redact []string) *Shaper {
	tb.Helper()
	s, err := NewShaper(Shape{Input: "k3v9x2ab", Template: "{jobId}", Hostname: "h", ExcludeTypes: exclude, Redact: redact}, State{}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// shapeBlock shapes a block and adds the events to a batch, which it releases whenever it is full.
func shapeBlock(s *Shaper, data []byte, batch *Batch, ev *Event, block *Block) {
	s.Begin(data, 0, 1795348823095, func(int64) int64 { return 1795348823095 }, false)
	for s.Next(ev) == Made {
		if !batch.Add(ev, block) {
			batch.Release()
			batch.Add(ev, block)
		}
	}
	s.End()
}

// measure runs do, which processes bytes, and also reports CPU time. On a shared machine do may
// have to wait, but its CPU time hardly changes.
func measure(b *testing.B, bytes int64, do func()) {
	b.SetBytes(bytes)
	b.ReportAllocs()
	before := ownCPU(b)
	for b.Loop() {
		do()
	}
	b.ReportMetric(float64((ownCPU(b)-before).Nanoseconds())/(float64(bytes)*float64(b.N)), "cpu-s/GB")
}

func ownCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkShapeAdd measures everything that happens to the bytes of a line between the journal and
// the body.
func BenchmarkShapeAdd(b *testing.B) {
	for _, k := range kinds {
		b.Run(k.name, func(b *testing.B) {
			data, s := k.lines(k.block), newBenchShaper(b)
			var pool Pool
			var ev Event
			batch, from := New(&pool), new(Block)
			shapeBlock(s, data, batch, &ev, from)
			measure(b, int64(len(data)), func() { shapeBlock(s, data, batch, &ev, from) })
		})
	}
}

// BenchmarkRedact is BenchmarkShapeAdd with patterns that do not match, which is what --redact
// costs for every line.
func BenchmarkRedact(b *testing.B) {
	for _, c := range []struct {
		name     string
		patterns []string
	}{
		{"none", nil},
		{"key", []string{`sk-ant-[A-Za-z0-9_-]{20,}`}},
		{"three", []string{`sk-ant-[A-Za-z0-9_-]{20,}`, `AKIA[0-9A-Z]{16}`, `-----BEGIN [A-Z ]*PRIVATE KEY-----`}},
		{"any-case", []string{`(?i)(password|secret|token)\s*[=:]\s*\S+`}},
	} {
		for _, k := range kinds {
			b.Run(c.name+"/"+k.name, func(b *testing.B) {
				data, s := k.lines(k.block), newFilteringShaper(b, nil, c.patterns)
				var pool Pool
				var ev Event
				batch, from := New(&pool), new(Block)
				shapeBlock(s, data, batch, &ev, from)
				measure(b, int64(len(data)), func() { shapeBlock(s, data, batch, &ev, from) })
			})
		}
	}
}

// BenchmarkExclude is BenchmarkShapeAdd with all lines left out.
func BenchmarkExclude(b *testing.B) {
	for _, k := range kinds {
		b.Run(k.name, func(b *testing.B) {
			data, s := k.lines(k.block), newFilteringShaper(b, []string{"*"}, nil)
			var pool Pool
			var ev Event
			batch, from := New(&pool), new(Block)
			measure(b, int64(len(data)), func() { shapeBlock(s, data, batch, &ev, from) })
		})
	}
}

// BenchmarkScanLine measures the scan of a line: its validity, its head and, unless it is too long,
// its escaped form.
func BenchmarkScanLine(b *testing.B) {
	for _, k := range kinds {
		b.Run(k.name, func(b *testing.B) {
			line, _, _ := bytes.Cut(k.lines(1), []byte("\n"))
			var s scanner
			var h head
			measure(b, int64(len(line)), func() {
				if !s.object(line, &h) {
					b.Fatal("no object")
				}
			})
		})
	}
}

// BenchmarkAdd measures adding a finished event to a batch.
func BenchmarkAdd(b *testing.B) {
	for _, k := range kinds {
		b.Run(k.name, func(b *testing.B) {
			s := newBenchShaper(b)
			var pool Pool
			var ev Event
			batch, from := New(&pool), new(Block)
			s.Begin(k.lines(1), 0, 1795348823095, func(int64) int64 { return 1795348823095 }, false)
			if s.Next(&ev) != Made {
				b.Fatal("no event")
			}
			measure(b, int64(ev.Size), func() {
				if !batch.Add(&ev, from) {
					batch.Release()
					batch.Add(&ev, from)
				}
			})
		})
	}
}

// BenchmarkBody measures the body of a full batch: making it, hashing it with WriteTo, and reading
// it. The bytes are those of the body.
func BenchmarkBody(b *testing.B) {
	for _, k := range kinds {
		s := newBenchShaper(b)
		var pool Pool
		var ev Event
		batch := New(&pool)
		s.Begin(k.lines(2<<20), 0, 1795348823095, func(int64) int64 { return 1795348823095 }, false)
		for s.Next(&ev) == Made && batch.Add(&ev, nil) {
		}
		batch.Close()
		head := BodyHead("/bench", "stream")
		size := batch.Body(head, 0, batch.Len()).Len()
		b.Run(k.name+"/WriteTo", func(b *testing.B) {
			measure(b, size, func() {
				if n, err := batch.Body(head, 0, batch.Len()).WriteTo(io.Discard); n != size || err != nil {
					b.Fatal(n, err)
				}
			})
		})
		b.Run(k.name+"/Read", func(b *testing.B) {
			buf := make([]byte, 64<<10)
			measure(b, size, func() {
				body, n := batch.Body(head, 0, batch.Len()), 0
				for {
					m, err := body.Read(buf)
					if n += m; err == io.EOF {
						break
					}
				}
				if int64(n) != size {
					b.Fatal(n)
				}
			})
		})
	}
}

// TestHotPathAllocatesNothing checks that a line costs no allocation, whatever its kind, once the
// scratch memory is there.
func TestHotPathAllocatesNothing(t *testing.T) {
	Large(t)
	for _, k := range kinds {
		data, s := k.lines(k.block), newBenchShaper(t)
		var pool Pool
		var ev Event
		batch, from := New(&pool), new(Block)
		one := func() { shapeBlock(s, data, batch, &ev, from) }
		for range 12 { // until a batch was full once and its index has its size
			one()
		}
		lines := bytes.Count(data, []byte("\n"))
		if n := testing.AllocsPerRun(10, one); n > 1 {
			t.Errorf("%s: %.0f allocations for %d lines, want at most one per block", k.name, n, lines)
		}
	}
}
