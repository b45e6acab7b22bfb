package batch_test

// These tests work at the limits: an event of 1,048,550 bytes, and a line of 8 MiB.

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"

	"perstack-shipper/batch"
)

const (
	maxEvent = 1048550
	maxLine  = 8 << 20
)

// one ships a single line, and the job it belongs to.
func one(t testing.TB, line string, at int64) []message {
	t.Helper()
	shape := plainShape()
	shape.JobID = "j"
	return ship(t, shape, []byte(line+"\n"), regime{now: func() int64 { return at }}).messages
}

// pad returns a line whose event has exactly size bytes: form with its %s filled up.
func pad(t testing.TB, form string, size int, at int64) string {
	t.Helper()
	small := one(t, fmt.Sprintf(form, ""), at)
	if len(small) != 1 {
		t.Fatalf("%q makes %d events", form, len(small))
	}
	return fmt.Sprintf(form, strings.Repeat("x", size-len(small[0].text)))
}

func TestEventAtTheLimit(t *testing.T) {
	batch.Large(t)
	t.Parallel()
	const late = now + 30*24*hour // far from the time now
	for _, c := range []struct {
		name, form string
		at         int64
	}{
		{"object", `{"timestamp":1795348800000,"jobId":"j","a":"%s"}`, now},
		{"object that is given a job", `{"timestamp":1795348800000,"a":"%s"}`, now},
		{"object in white space", " { \"timestamp\" : 1795348800000, \"a\" : \"%s\"\t}\r", now},
		{"object full of escapes", `{"timestamp":1795348800000,"q":"` + strings.Repeat(`\"\\\n\u0000`, 50000) + `","a":"%s"}`, now},
		{"text", "npm warn %s", now},
		{"text that is late", "npm warn %s", late},
		{"text full of escapes", strings.Repeat("\"\\\t\x00", 60000) + "%s", now},
		{"text of characters of three bytes", strings.Repeat("日", 300000) + "%s", now},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, size := range []int{maxEvent - 1, maxEvent, maxEvent + 1} {
				line := pad(t, c.form, size, c.at)
				got := one(t, line, c.at)
				switch {
				case size <= maxEvent && (len(got) != 1 || len(got[0].text) != size || got[0].Part != 0):
					t.Errorf("for %d bytes: %d events, the first of %d bytes, part %d", size, len(got), len(got[0].text), got[0].Part)
				case size > maxEvent && c.at == now && (len(got) != 2 || got[0].Part != 1):
					t.Errorf("for %d bytes: %d events, the first is part %d", size, len(got), got[0].Part)
				}
			}
		})
	}
}

// A full event has no room for "at". It is shipped without "at", because it would not be split into
// parts if it were on time.
func TestFullEventThatIsLate(t *testing.T) {
	batch.Large(t)
	t.Parallel()
	const late = now + 30*24*hour
	for _, form := range []string{`{"timestamp":1795348800000,"a":"%s"}`, "text %s"} {
		onTime := len(`,"at":1795348800000`)
		for _, room := range []int{0, 1, onTime - 1, onTime, onTime + 1} {
			line := pad(t, form, maxEvent-room, now)
			got := one(t, line, late)
			if len(got) != 1 || got[0].time != late {
				t.Fatalf("%d bytes below the limit and late: %d events, at %d", room, len(got), got[0].time)
			}
			if said := got[0].At != 0; said != (room >= onTime) {
				t.Errorf("%d bytes below the limit: own time %d", room, got[0].At)
			}
		}
	}
}

// No cut is inside a character or an escape, and no part is shorter than necessary.
func TestCuts(t *testing.T) {
	batch.Large(t)
	t.Parallel()
	for _, c := range []struct {
		name, unit string
		takes      int // average size in bytes in a part
		waste      int // bytes that a part may leave free: one less than what must stay together
	}{
		{"ASCII", "x", 1, 0},
		{"two bytes", "é", 2, 1},
		{"three bytes", "日", 3, 2},
		{"four bytes", "😀", 4, 3},
		{"quotes", `"`, 2, 1},
		{"backslashes", `\`, 2, 1},
		{"tabs", "\t", 2, 1},
		{"control characters", "\x01", 6, 5},
		{"invalid UTF-8", "\xff", 3, 2},
		{"U+2028", "\u2028", 3, 2},
		{"mixed", "a\"é\\日\x00😀", 20, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			// A part keeps room for its own time, in case it is late.
			check := func(got []message, limit, shift int) {
				t.Helper()
				if len(got) < 2 {
					t.Fatalf("shift %d: %d events, want parts", shift, len(got))
				}
				for _, part := range got[:len(got)-1] {
					if free := limit - len(`,"at":1795345200000`) - len(part.text); free < 0 || free > c.waste {
						t.Errorf("shift %d: part %d leaves %d of %d bytes free", shift, part.Part, free, limit)
					}
				}
			}
			check(one(t, "y"+strings.Repeat(c.unit, 1060000/c.takes), now), maxEvent, 1)
			shape := plainShape()
			shape.JobID = "j"
			for shift := range c.waste + 2 {
				line := strings.Repeat("y", shift) + strings.Repeat(c.unit, 2*batch.SmallEvent/c.takes)
				check(ship(t, shape, []byte(line+"\n"), regime{narrow: true}).messages, batch.SmallEvent, shift)
			}
		})
	}
}

// The last part has "last" and perhaps "newline". Text that just fits without them does not fit
// with them.
func TestLastPartAtTheLimit(t *testing.T) {
	batch.Large(t)
	t.Parallel()
	shape := plainShape()
	shape.JobID = "j"
	for _, end := range []string{"\n", ""} {
		seen := map[int]bool{}
		limit := 2096000 + sort.Search(1000, func(more int) bool {
			return parts(t, shape, strings.Repeat("x", 2096000+more)+end) > 2
		})
		around := []int{-1, 0, 11, 12, 13, 27, 28, 29} // ,"last":true takes 12 bytes, ,"newline":false 16
		for _, more := range around {
			size := limit + more
			got := ship(t, shape, []byte(strings.Repeat("x", size)+end), regime{}).messages
			last := got[len(got)-1]
			if !last.Last || last.NoNewline != (end == "") {
				t.Fatalf("%d bytes: part %d of %d: last %v, without newline %v", size, last.Part, len(got), last.Last, last.NoNewline)
			}
			seen[len(got)] = true
		}
		if !seen[2] || !seen[3] {
			t.Errorf("the sizes made %v parts, so the limit is not among them", seen)
		}
	}
}

// parts returns how many events an input makes.
func parts(t testing.TB, shape batch.Shape, input string) (n int) {
	t.Helper()
	s, err := batch.NewShaper(shape, batch.State{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var ev batch.Event
	for s.Begin([]byte(input), 0, now, arrival, true); s.Next(&ev) == batch.Made; n++ {
	}
	s.End()
	return n
}

// longLines are inputs around the size at which a line is shipped as it is read.
func longLines() map[string][]byte {
	object := func(size int) string {
		const before, after = `{"type":"big","id":"i","timestamp":1795348700000,"jobId":"j","runId":"r","usage":{"inputTokens":1},"a":"`, `"}`
		return before + strings.Repeat("0123456789abcde\\n", size/17+1)[:size-len(before)-len(after)-1] + "x" + after
	}
	all := map[string][]byte{}
	for _, size := range []int{maxLine - 1, maxLine, maxLine + 1, 9 << 20} {
		all[fmt.Sprintf("object of %d", size)] = []byte("{\"jobId\":\"j\"}\n\n\n" + object(size) + "\nafter\n")
	}
	all["text of 9 MiB, without a newline"] = bytes.Repeat([]byte("日本語\x00\\"), 9<<20/11)
	all["invalid UTF-8 at the end of 9 MiB"] = append(bytes.Repeat([]byte("é"), 9<<19), "\xff\nafter"...)
	all["9 MiB of garbage"] = bytes.ReplaceAll(bytes.Repeat([]byte("\xe6\x97\xff\x00\xf0\x9f\x98\x80\xf0\x9f"), 9<<20/10), []byte("\n"), nil)
	all["ends where a piece ends"] = bytes.Repeat([]byte("z"), 17<<19)
	return all
}

// windows returns a regime that reads n bytes at a time.
func windows(size int) regime { return regime{read: func(int) int { return size }} }

func TestLongLines(t *testing.T) {
	batch.Large(t)
	t.Parallel()
	for name, input := range longLines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := ship(t, plainShape(), input, regime{})
			for i, m := range whole.messages {
				if m.Part > 0 && !m.Last && i+1 < len(whole.messages) && whole.messages[i+1].time != m.time {
					t.Errorf("the parts of seq %d have the times %d and %d", m.Seq, m.time, whole.messages[i+1].time)
				}
			}
			restart := func() bool { return true }
			turn := 0
			for how, r := range map[string]regime{
				"256 KiB and restarts":      {read: windows(256 << 10).read, restart: restart},
				"8.25 MiB and restarts":     {read: windows(maxLine + 256<<10).read, restart: restart},
				"uneven, now and then anew": {read: func(int) int { turn++; return turn * 77777 % (600 << 10) }, restart: func() bool { return turn%3 == 0 }},
			} {
				t.Run(how, func(t *testing.T) { whole.again(t, r) })
			}
		})
	}
}

// A line of 8 MiB is not treated as JSON, but its beginning supplies its ids.
func TestLongLineIsAttributed(t *testing.T) {
	batch.Large(t)
	t.Parallel()
	input := longLines()[fmt.Sprintf("object of %d", maxLine+1)]
	got := ship(t, plainShape(), input, regime{})
	if !slices.Equal(got.streams, []string{"j"}) {
		t.Errorf("streams %q", got.streams)
	}
	for _, m := range got.messages[1 : len(got.messages)-1] {
		if m.Seq != 2 || m.Type != "big" || m.JobID != "j" || m.RunID != "r" || m.time != 1795348700000 || m.Text || !strings.Contains(m.text, `"id":"i","timestamp":1795348700000,`) {
			t.Fatalf("part %d of seq %d at %d: type %q, job %q, run %q: %.300q", m.Part, m.Seq, m.time, m.Type, m.JobID, m.RunID, m.text)
		}
		if m.Part == 1 != strings.Contains(m.text, `"r","usage":{"inputTokens":1},"data":`) || m.Part == 1 != (m.Empty == 2) {
			t.Fatalf("part %d: %.300q", m.Part, m.text)
		}
	}
}

// A value at the very end of the first piece may continue after it.
func TestLongLineWithATimeAcrossThePiece(t *testing.T) {
	batch.Large(t)
	t.Parallel()
	const member = `"timestamp":1795348700000`
	for _, cut := range []int{1, 12} {
		before := 512<<10 - len(`{"jobId":"j","a":"",`) - len(member) + cut
		line := `{"jobId":"j","a":"` + strings.Repeat("x", before) + `",` + member + `,"b":"` + strings.Repeat("y", maxLine) + `"}`
		got := one(t, line, now)
		if got[0].time != arrival(0) && got[0].time != 1795348700000 {
			t.Fatalf("with %d digits missing, the time is %d", cut, got[0].time)
		}
	}
}
