package batch

import (
	"bytes"
	"fmt"
	"testing"
)

// deltas returns about size bytes of lines as Perstack writes them when streaming, 350 bytes each.
func deltas(size int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, `{"type":"streamReasoning","id":"hczkbqe5u4i5h8l3lgqp%04d","expertKey":"worker","timestamp":%d,"jobId":"ooffrb0cufrw05y9jd8az922","runId":"vkmogt99yu2k4gmbitii6yw5","stepNumber":1,"delta":"the words of a delta, \"quoted\" and plain, so that a line has three hundred and fifty bytes as the comparison wants them, no more and no less"}`+"\n", i%10000, 1795348823095+int64(i))
	}
	return b.Bytes()
}

// block is how many bytes the pipeline shapes at a time.
const block = 128 << 10

func BenchmarkShape(b *testing.B) {
	data := deltas(block)
	s, err := NewShaper(Shape{Input: "k3v9x2ab", Template: "{jobId}", Hostname: "h"}, State{}, nil)
	if err != nil {
		b.Fatal(err)
	}
	var pool Pool
	batch := New(&pool)
	var ev Event
	arrivals := func(int64) int64 { return 1795348823095 }
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		s.Begin(data, 0, 1795348823095, arrivals, false)
		for s.Next(&ev) == Made {
			if !batch.Add(&ev, nil) {
				batch.Release()
				batch.Add(&ev, nil)
			}
		}
		s.End()
	}
}

func BenchmarkScan(b *testing.B) {
	data := deltas(block)
	lines := bytes.Split(data, []byte("\n"))
	var s scanner
	var h head
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		for _, l := range lines {
			s.object(l, &h)
		}
	}
}

func BenchmarkEscape(b *testing.B) {
	data := deltas(block)
	var pool Pool
	r := rope{pool: &pool}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		r.writeEscaped(data)
		r.release()
	}
}

func BenchmarkDigest(b *testing.B) {
	data := deltas(block)
	d, err := restoreDigest(Digested{})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		d.same(data)
	}
}
