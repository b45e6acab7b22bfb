package journal

// These benchmarks measure the hot paths on this machine's disk: a chunk written, a block read, an
// ack.

import (
	"fmt"
	"testing"
)

func BenchmarkWrite64KiB(b *testing.B) {
	for _, where := range []string{"disk", "memory"} {
		b.Run(where, func(b *testing.B) {
			f := openFolder(b)
			if where == "memory" {
				f = inMemory(b, 0)
			}
			j := newPipe(b, f, "bench", Options{})
			chunk := random(1, 64<<10)
			b.SetBytes(int64(len(chunk)))
			b.ReportAllocs()
			for b.Loop() {
				if j.Allocated() > 32<<20 {
					b.StopTimer() // ack, so as not to fill the disk, without measuring that
					if err := j.Ack(Cursor{Offset: j.Size()}); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
				if _, err := j.Write(chunk); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAck(b *testing.B) {
	for _, state := range []int{200, 2_000, 100_000} {
		b.Run(fmt.Sprintf("state=%d", state), func(b *testing.B) {
			j := newPipe(b, openFolder(b), "bench", Options{})
			write(b, j, make([]byte, 1<<20))
			c := Cursor{State: random(2, state)}
			b.ReportAllocs()
			for b.Loop() {
				if c.Offset < 1<<20 {
					c.Offset++
				}
				if err := j.Ack(c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReadAt128KiB(b *testing.B) {
	j := newPipe(b, openFolder(b), "bench", Options{})
	chunk := make([]byte, 128<<10)
	for range 128 {
		write(b, j, chunk)
	}
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	off := int64(0)
	for b.Loop() {
		n, err := j.ReadAt(chunk, off)
		if err != nil || n != len(chunk) {
			b.Fatal(n, err)
		}
		j.ArrivalAt(off)
		if off += int64(n); off == j.Size() {
			off = 0
		}
	}
}

// BenchmarkOutputReadAt128KiBAndAck: an Output needs two more preads, of the bytes that tell
// whether it was rewritten.
func BenchmarkOutputReadAt128KiBAndAck(b *testing.B) {
	j, w := newOutput(b, openFolder(b), "bench", Options{})
	chunk := make([]byte, 128<<10)
	c := Cursor{State: random(2, 2_000)}
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		if _, err := w.Write(chunk); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		for n := 0; n < len(chunk); { // the watcher may have looked in the middle of the write
			m, err := j.ReadAt(chunk[n:], c.Offset)
			if err != nil || m == 0 {
				b.Fatal(n, m, err)
			}
			n += m
			c.Offset += int64(m)
		}
		if err := j.Ack(c); err != nil {
			b.Fatal(err)
		}
	}
}
