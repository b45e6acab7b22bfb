package batch_test

// These tests restamp events whose time CloudWatch refuses when they are sent.

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"perstack-shipper/batch"
)

// restamped checks the batches that Restamp made and returns their events.
func restamped(t rapid.TB, b *batch.Batch, from, to int, at int64, refused func(int, int64) bool) (events []logEvent, batches int) {
	t.Helper()
	before := decode(t, b)
	var pool batch.Pool
	made := b.Restamp(from, to, at, refused, &pool)
	held := 0
	for _, part := range made {
		events = append(events, decode(t, part)...)
		held += part.Held()
	}
	if held < pool.Held() || len(made) > 0 && pool.Held() == 0 {
		t.Fatalf("the pool counts %d bytes, but the batches hold %d", pool.Held(), held)
	}
	for _, part := range made {
		part.Release()
	}
	if pool.Held() != 0 {
		t.Fatalf("the pool counts %d bytes after every batch was released", pool.Held())
	}
	if after := decode(t, b); !slices.Equal(before, after) {
		t.Fatalf("Restamp changed the original batch: %s", difference(after, before))
	}
	return events, len(made)
}

func all(int, int64) bool { return true }

func TestRestamp(t *testing.T) {
	const old = now - 13*24*hour
	const later = now + 20*24*hour
	member := func(at int64) string { return fmt.Sprintf(`,"at":%d`, at) }
	for _, c := range []struct{ name, message, want string }{
		{"object", `{"shipper":{"input":"i","seq":1},"a":1}`, `{"shipper":{"input":"i","seq":1` + member(old) + `},"a":1}`},
		{"object in white space", "\t {\"shipper\":{\"input\":\"i\",\"seq\":1} \r}\r", "\t {\"shipper\":{\"input\":\"i\",\"seq\":1" + member(old) + "} \r}\r"},
		{"behind fields", `{"shipper":{"input":"i","seq":1,"env":"}\"at\":5{"},"at":7}`, `{"shipper":{"input":"i","seq":1,"env":"}\"at\":5{"` + member(old) + `},"at":7}`},
		{"text", `{"shipper":{"input":"i","seq":1,"text":true},"type":"text","timestamp":5,"message":"\u0000"}`, `{"shipper":{"input":"i","seq":1,"text":true` + member(old) + `},"type":"text","timestamp":5,"message":"\u0000"}`},
		{"part", `{"shipper":{"input":"i","seq":1,"part":2},"data":"\"at\":1"}`, `{"shipper":{"input":"i","seq":1,"part":2` + member(old) + `},"data":"\"at\":1"}`},
		{"record of our own", `{"shipper":{"record":"seal","input":"i"},"type":"shipper.seal"}`, `{"shipper":{"record":"seal","input":"i"` + member(old) + `},"type":"shipper.seal"}`},
		{"it says its time already", `{"shipper":{"input":"i","seq":1,"at":77},"a":1}`, `{"shipper":{"input":"i","seq":1,"at":77},"a":1}`},
		{"its time is 0", `{"shipper":{"input":"i","seq":1,"at":0},"a":1}`, `{"shipper":{"input":"i","seq":1,"at":0},"a":1}`},
		{"a line like ours in the line", `{"shipper":{"input":"i","seq":1},"shipper":{"input":"i","seq":1}}`, `{"shipper":{"input":"i","seq":1` + member(old) + `},"shipper":{"input":"i","seq":1}}`},
		{"none of ours", `{"a":1}`, `{"a":1}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var pool batch.Pool
			b := batch.New(&pool)
			b.Add(record(c.message, old), nil)
			b.Close()
			got, n := restamped(t, b, 0, 1, later, all)
			if want := []logEvent{{later, c.want}}; n != 1 || !slices.Equal(got, want) {
				t.Errorf("%d batches: %s", n, difference(got, want))
			}
		})
	}
}

func TestRestampAtTheLimit(t *testing.T) {
	batch.Large(t)
	const before = `{"shipper":{"input":"i","seq":1},"a":"`
	room := len(fmt.Sprintf(`,"at":%d`, now))
	for _, free := range []int{0, 1, room - 1, room, room + 1} {
		message := before + strings.Repeat("x", maxEvent-free-len(before)-2) + `"}`
		var pool batch.Pool
		b := batch.New(&pool)
		b.Add(record(message, now), nil)
		b.Close()
		got, _ := restamped(t, b, 0, 1, now+hour, all)
		r := restore(t, []byte(got[0].Message))
		if got[0].Timestamp != now+hour || (r.At == now) != (free >= room) || r.At != now && got[0].Message != message {
			t.Fatalf("with %d bytes free: time %d, own time %d, size %d", free, got[0].Timestamp, r.At, len(got[0].Message))
		}
	}
}

// Events that would exceed a limit, because they grew or are a day apart, go into another batch.
func TestRestampIntoSeveral(t *testing.T) {
	batch.Large(t)
	var pool batch.Pool
	full := batch.New(&pool)
	for seq := 1; full.Add(record(fmt.Sprintf(`{"shipper":{"input":"i","seq":%d},"a":"%s"}`, seq, strings.Repeat("x", 100)), now-20*hour), nil); seq++ {
	}
	full.Close()
	got, n := restamped(t, full, 0, full.Len(), now+400*hour, all)
	if n != 2 || len(got) != full.Len() {
		t.Errorf("a full batch of %d events became %d batches with %d events", full.Len(), n, len(got))
	}
	for i, e := range got {
		if r := restore(t, []byte(e.Message)); r.Seq != int64(i+1) || r.At != now-20*hour || e.Timestamp != now+400*hour {
			t.Fatalf("event %d has seq %d, time %d, own time %d", i+1, r.Seq, e.Timestamp, r.At)
		}
	}

	days := batch.New(&pool)
	for i, at := range []int64{now, now + hour, now + 2*hour, now + 3*hour} {
		days.Add(record(fmt.Sprintf(`{"shipper":{"input":"i","seq":%d},"a":1}`, i+1), at), nil)
	}
	days.Close()
	got, n = restamped(t, days, 1, 4, now+27*hour+1, func(i int, at int64) bool {
		if at != now+int64(i)*hour {
			t.Errorf("refused gets event %d with the time %d", i, at)
		}
		return i < 3
	})
	if n != 2 || len(got) != 3 || got[0].Timestamp != got[1].Timestamp || got[2].Timestamp != now+3*hour {
		t.Errorf("%d batches of %v", n, got)
	}
	if got, n := restamped(t, days, 2, 2, now, all); n != 0 || len(got) != 0 {
		t.Errorf("an empty range made %d batches", n)
	}
}

// Whichever events are refused, every line is there exactly once afterwards.
func TestRestampLosesNothing(t *testing.T) {
	recorded := recordedLines(t)
	rapid.Check(t, func(t *rapid.T) {
		input, shape := drawInput(t, recorded), drawShape(t)
		at := rapid.SampledFrom([]int64{now, now + 20*24*hour, now - 40*24*hour}).Draw(t, "time of the put")
		mask := rapid.SliceOfN(rapid.Bool(), 1, 50).Draw(t, "refused")
		refused := func(i int, _ int64) bool { return mask[i%len(mask)] }
		d := newDriver(t, shape, input, regime{})
		d.closed = func(b *batch.Batch, events []logEvent) {
			from := rapid.IntRange(0, b.Len()-1).Draw(t, "from")
			want := events[from:]
			got, _ := restamped(t, b, from, b.Len(), at, refused)
			if len(got) != len(want) {
				t.Fatalf("%d events became %d", len(want), len(got))
			}
			bySeq := map[[2]int64]logEvent{}
			for _, e := range got {
				r := restore(t, []byte(e.Message))
				bySeq[[2]int64{r.Seq, int64(r.Part)}] = e
			}
			for i, w := range want {
				before := restore(t, []byte(w.Message))
				g := bySeq[[2]int64{before.Seq, int64(before.Part)}]
				after := restore(t, []byte(g.Message))
				own := before.At
				if refused(from+i, 0) && !bytes.Contains(before.ShipperMember, []byte(`,"at":`)) {
					own = w.Timestamp
				}
				if !bytes.Equal(before.Line, after.Line) || after.At != own || !refused(from+i, 0) && g != w || refused(from+i, 0) && g.Timestamp != at {
					t.Fatalf("%[2].300q at %[1]d became %[4].300q at %[3]d", w.Timestamp, w.Message, g.Timestamp, g.Message)
				}
			}
		}
		d.run()
	})
}
