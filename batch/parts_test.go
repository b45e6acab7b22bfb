package batch_test

// These tests cut lines into parts at a fortieth of the real bounds, so that they can cut a great
// many. See limits_test.go for the real bounds.

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"perstack-shipper/batch"
)

// shipParts ships input with narrow bounds, and checks how full the parts are.
func shipParts(t rapid.TB, shape batch.Shape, input []byte) *shipment {
	t.Helper()
	whole := ship(t, shape, input, regime{narrow: true})
	longest := 0
	for line := range bytes.SplitSeq(input, []byte("\n")) {
		longest = max(longest, len(line))
	}
	const kept = len(`,"at":1795345200000`) + len(`,"last":true,"newline":false`) + 5
	for i, m := range whole.messages {
		if len(m.text) > batch.SmallEvent {
			t.Fatalf("part %d of seq %d has %d bytes", m.Part, m.Seq, len(m.text))
		}
		// A line that is read to its end has full parts. A part of a longer line holds one piece of
		// it, or what did not fit into the part before.
		if m.Part > 0 && !m.Last && longest < batch.SmallLine && len(m.text) < batch.SmallEvent-kept {
			t.Fatalf("part %d of seq %d has %d bytes, and the next part %d", m.Part, m.Seq, len(m.text), len(whole.messages[i+1].text))
		}
	}
	return whole
}

// units are the strings that long lines repeat.
var units = []string{"x", "é", "日", "😀", `"`, `\`, "\t", "\x01", "\xff", "\xf0\x9f\x98", "a\"é\\日\x00😀\xe6", "\u2028", `{"jobId":"j","timestamp":1795348700000,"a":[1,2,{"b":"c"}]},`}

// beginnings are the starts of long lines. With what follows, some are objects.
var beginnings = []string{"", " \t", `{"type":"big","id":"i","timestamp":1795348700000,"jobId":"j","runId":"r","usage":{"inputTokens":5},"a":"`, `{"_aws":1,"error":{"message":"x"},"a":"`, `{"shipper":{},"a":"`, "\ufeff{\"jobId\":\"j\",\"a\":\"", "\xe6", `{"jobId":"`, `{"timestamp":`, "{", `[`}

func TestParts(t *testing.T) {
	batch.Large(t)
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		shape := drawShape(t)
		shape.JobID = "j"
		var input []byte
		for range rapid.IntRange(1, 3).Draw(t, "lines") {
			unit := rapid.SampledFrom(units).Draw(t, "unit")
			around := rapid.SampledFrom([]int{batch.SmallStep, batch.SmallEvent, 2 * batch.SmallEvent, batch.SmallLine, 2 * batch.SmallLine, batch.SmallLine + batch.SmallStep}).Draw(t, "around")
			size := around + rapid.IntRange(-300, 300).Draw(t, "size")
			input = append(input, rapid.SampledFrom(beginnings).Draw(t, "beginning")...)
			input = append(input, bytes.Repeat([]byte(unit), size/len(unit)+1)[:size]...)
			input = append(input, rapid.SampledFrom([]string{"\n", "\n", "\"}\n", "\xff\n", "", "\n\n\n"}).Draw(t, "end")...)
		}
		reads := rapid.SliceOfN(rapid.IntRange(500, 50000), 1, 10).Draw(t, "reads")
		restarts := rapid.SliceOfN(rapid.Bool(), 1, 10).Draw(t, "restarts")
		i, j := 0, 0
		shipParts(t, shape, input).again(t, regime{
			read:    func(int) int { i++; return reads[i%len(reads)] },
			restart: func() bool { j++; return restarts[j%len(restarts)] },
		})
	})
}

// TestPartsAtTheByte ships lines at the bounds, to the byte, in blocks that end in every way near
// them.
func TestPartsAtTheByte(t *testing.T) {
	batch.Large(t)
	t.Parallel()
	shape := plainShape()
	shape.JobID = "j"
	for _, unit := range []string{"日", "\xff"} {
		for _, size := range []int{batch.SmallLine, batch.SmallLine + batch.SmallStep, 2 * batch.SmallLine} {
			for more := -2; more <= 2; more++ {
				input := bytes.Repeat([]byte(unit), (size+more)/len(unit)+1)[:size+more]
				for _, newline := range []string{"", "\n"} {
					whole := shipParts(t, shape, append(bytes.Clone(input), newline...))
					for end := range 3 {
						whole.again(t, regime{read: func(int) int { return batch.SmallStep + end - 1 }, restart: func() bool { return end == 0 }})
					}
				}
			}
		}
	}
}

// FuzzParts checks that a long line of arbitrary bytes comes back whole from its parts, and is cut
// at the same places in whatever blocks it arrives.
func FuzzParts(f *testing.F) {
	batch.Large(f)
	for i, unit := range units {
		f.Add([]byte(unit), []byte(beginnings[i%len(beginnings)]), uint16(batch.SmallEvent-30+i), uint16(i*1000), i%2 == 0)
		f.Add([]byte(unit), []byte(beginnings[(i+1)%len(beginnings)]), uint16(1000*i), uint16(60000+i), i%2 == 1)
	}
	f.Fuzz(func(t *testing.T, unit, before []byte, size, step uint16, restart bool) {
		if len(unit) == 0 {
			return
		}
		n := 3 * int(size)
		input := append(bytes.Clone(before), bytes.Repeat(unit, n/len(unit)+1)[:n]...)
		if restart {
			input = append(input, "\nafter\n"...)
		}
		shape := plainShape()
		shape.JobID = "j"
		shipParts(t, shape, input).again(t, regime{read: func(int) int { return 1<<10 + int(step) }, restart: func() bool { return restart }})
	})
}
