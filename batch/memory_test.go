package batch

// These tests bound memory: the hot path allocates nothing per line, and the pool counts what it
// hands out.

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
)

func TestNoAllocationPerLine(t *testing.T) {
	Large(t)
	const id = `"ooffrb0cufrw05y9jd8az922aaaaaaaaaaaaaaaa"`
	first := `{"jobId":` + id + `,"runId":` + id + "}\n"
	for _, c := range []struct {
		name, template string
		data           []byte
	}{
		{"deltas", "{jobId}", deltas(block)},
		{"deltas, a stream a run", "{jobId}/{runId}-{expertKey}", deltas(block)},
		{"text", "{jobId}", []byte(first + strings.Repeat("npm warn deprecated \"x\"\n", 500))},
		{"lines that are given ids", "{jobId}/{runId}", []byte(first + strings.Repeat("{\"type\":\"x\"}\n", 500))},
		{"invalid UTF-8", "{jobId}", []byte(first + strings.Repeat("{\"type\":\"\xff\"}\n\xfe\n", 500))},
		{"late", "{jobId}", []byte(first + strings.Repeat("{\"timestamp\":5,\"jobId\":"+id+"}\n", 500))},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := NewShaper(Shape{Input: "k3v9x2ab", Template: c.template, Hostname: "h", Fields: []Member{{"env", "prod"}}}, State{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			var pool Pool
			b := New(&pool)
			var ev Event
			arrivals := func(int64) int64 { return 1795348823095 }
			offset, lines := int64(0), 0
			ship := func() {
				lines = 0
				s.Begin(c.data, offset, 1795348823095, arrivals, false)
				for s.Next(&ev) == Made {
					lines++
					if !b.Add(&ev, nil) {
						b.Release()
						b.Add(&ev, nil)
					}
				}
				offset += int64(s.End())
			}
			for range 10 {
				ship() // until the scratch buffers have their size
			}
			if n := testing.AllocsPerRun(20, ship); n > 1 { // one for the goroutine that hashes a block
				t.Errorf("%v allocations for a block of %d lines", n, lines)
			}
			if lines != bytes.Count(c.data, []byte("\n")) {
				t.Errorf("%d lines made %d events", bytes.Count(c.data, []byte("\n")), lines)
			}
		})
	}
}

func TestPoolAndHeld(t *testing.T) {
	Large(t)
	var pool Pool
	s, err := NewShaper(Shape{Input: "k3v9x2ab", Template: "{jobId}", Hostname: "h"}, State{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	batches := []*Batch{New(&pool), New(&pool), New(&pool)}
	for _, b := range batches {
		if b.Held() != 0 {
			t.Errorf("an empty batch holds %d bytes", b.Held())
		}
	}
	var ev Event
	data := deltas(3 << 20)
	s.Begin(data, 0, 1795348823095, func(int64) int64 { return 1795348823095 }, false)
	for i := 0; s.Next(&ev) == Made; i++ {
		b := batches[i%3]
		if !b.Add(&ev, nil) {
			b.Release()
			b.Add(&ev, nil)
		}
		held := 0
		for _, b := range batches {
			if want := len(b.text.chunks)*ChunkBytes + cap(b.index)*16; b.Held() != want {
				t.Fatalf("a batch holds %d bytes, but Held says %d", want, b.Held())
			}
			if b.Len() > 0 {
				held += b.Held()
			}
		}
		if pool.Held() != held {
			t.Fatalf("%d bytes are in use, but the pool says %d", held, pool.Held())
		}
	}
	// A batch needs little more memory than its contents.
	if b := batches[0]; b.Bytes() < 100000 || b.Held() > 2*b.Bytes()+ChunkBytes {
		t.Errorf("a batch of %d bytes holds %d", b.Bytes(), b.Held())
	}
	for _, b := range batches {
		b.Release()
	}
	if pool.Held() != 0 {
		t.Errorf("%d bytes are in use after every batch was released", pool.Held())
	}
	if free := len(pool.free); free == 0 {
		t.Error("no chunk is kept for reuse")
	}
	pool.Trim(3 * ChunkBytes)
	if len(pool.free) != 3 {
		t.Errorf("%d chunks are kept, want 3", len(pool.free))
	}
	pool.Trim(0)
	if len(pool.free) != 0 || pool.Held() != 0 {
		t.Errorf("%d chunks are kept, want none; %d bytes are in use", len(pool.free), pool.Held())
	}
}

// A line as large as in an attack leaves no memory of that size behind.
func TestScratchAfterTheLargestLine(t *testing.T) {
	for name, line := range map[string]string{
		"invalid UTF-8":                  strings.Repeat("\xff", MaxLineBytes-1),
		"white space before the brace":   strings.Repeat("\t", MaxLineBytes-10) + "{}",
		"control characters":             strings.Repeat("\x01", MaxLineBytes-1),
		"a key spelled with an escape":   `{"` + strings.Repeat(`\n`, 4<<20-10) + `":1}`,
		"an id":                          `{"jobId":"` + strings.Repeat("j", MaxLineBytes-20) + `"}`,
		"a time":                         `{"timestamp":"` + strings.Repeat("1", MaxLineBytes-20) + `"}`,
		"a time of a great many digits":  `{"timestamp":` + strings.Repeat("1", MaxLineBytes-20) + `}`,
		"longer, with bad bytes, in all": strings.Repeat("\xff", 2*MaxLineBytes),
	} {
		t.Run(name, func(t *testing.T) {
			Large(t)
			s, err := NewShaper(Shape{Input: "k3v9x2ab", JobID: "j", Template: "{jobId}/{runId}", Hostname: "h"}, State{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			var ev Event
			data := []byte(line + "\n")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			s.Begin(data, 0, 1795348823095, func(int64) int64 { return 1795348823095 }, true)
			for s.Next(&ev) == Made {
				if ev.Size > MaxEventBytes {
					t.Fatalf("an event of %d bytes", ev.Size)
				}
			}
			s.End()
			runtime.ReadMemStats(&after)
			most := uint64(5 * MaxEventBytes) // the text of a part, repaired and escaped
			if n := after.TotalAlloc - before.TotalAlloc; n > most {
				t.Errorf("%d bytes were allocated", n)
			}
			kept := cap(s.repair.out) + cap(s.write.quoted) + cap(s.write.lead.esc) + cap(s.routes.key) + cap(s.routes.lastKey) + len(s.ids.Job) + len(s.ids.Run)
			if kept > 3<<20 {
				t.Errorf("%d bytes of scratch memory are kept", kept)
			}
		})
	}
}

// A line of megabytes that arrives in small pieces is searched only once.
func TestLongLineInSmallPieces(t *testing.T) {
	Large(t)
	t.Parallel()
	s, err := NewShaper(Shape{Input: "k3v9x2ab", JobID: "j", Template: "{jobId}", Hostname: "h"}, State{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	line := bytes.Repeat([]byte("x"), MaxLineBytes-2)
	var ev Event
	for n := 1; n < len(line); n += 1000 {
		s.Begin(line[:n], 0, 0, nil, false)
		if step := s.Next(&ev); step != Done {
			t.Fatalf("Next = %d in a line without an end", step)
		}
		if s.End() != 0 || s.cut.noNewlineBefore != int64(n) {
			t.Fatalf("of %d bytes, only the first %d are known to hold no newline", n, s.cut.noNewlineBefore)
		}
		// Bytes that are known are not searched: plant a newline there, and the cutter must not
		// find it.
		if n > 1000 {
			line[n-1000] = '\n'
			s.Begin(line[:n], 0, 0, nil, false)
			if step := s.Next(&ev); step != Done || s.digest.ahead != 0 {
				t.Fatalf("%d bytes are searched again", n)
			}
			s.End()
			line[n-1000] = 'x'
		}
	}
	s.Begin(append(line, '\n'), 0, 1795348823095, func(int64) int64 { return 1795348823095 }, false)
	events := 0
	for s.Next(&ev) == Made {
		events++
	}
	if n := s.End(); n != len(line)+1 || events < 8 {
		t.Errorf("%d of %d bytes made %d events", n, len(line)+1, events)
	}
}
