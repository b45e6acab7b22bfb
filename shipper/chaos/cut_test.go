//go:build linux

package chaos

// This file compares for an agent that truncated the file that is its stdout. What it wrote before
// that may be lost, but nothing else, and the seal must say so.

import (
	"bytes"
	"slices"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/testkit"
)

// compareCut compares the inputs of a process whose agent truncated its stdout. The lines of its
// last input must be prefixes of the pieces that it wrote, in order, and the last piece must be
// complete. A kill may have split the output into several inputs: a new one starts if lines were
// lost that another input had begun to ship.
func (in *procInput) compareCut(inputs []*testkit.Input, rejects []rejected, v *verdict) {
	var a *testkit.Input
	if len(inputs) > 0 {
		// The last input is the one that has ended.
		at := slices.IndexFunc(inputs, (*testkit.Input).Ended)
		if at < 0 {
			at = len(inputs) - 1
		}
		a = inputs[at]
		inputs = append(slices.Delete(inputs, at, at+1), a)
		for _, before := range inputs[:len(inputs)-1] {
			in.compareOvertaken(before, v)
		}
		in.compareNumbers(inputs, v)
	}
	var pieces [][]expected
	for _, piece := range in.pieces {
		lines, _ := expect(piece)
		pieces = append(pieces, lines)
		v.lines += len(lines)
		v.bytes += int64(len(piece))
	}
	last := len(pieces) - 1
	if a == nil {
		if len(pieces[last]) > 0 {
			v.lose("all of process %s, which truncated its stdout, including what it wrote afterwards", in.proc)
		}
		return
	}
	v.repeats += a.Repeats
	got, found := a.Seal()
	if !found && len(pieces[last]) == 0 {
		return // a kill started another input for what follows, and nothing follows
	}
	if !found {
		v.lose("the seal of input %s of process %s", a.ID, in.proc)
		return
	}
	lines := arrivedLines(a, got.LastSeq, rejects, v)
	fit, toTheEnd := fitPieces(lines, pieces)
	if fit < len(lines) {
		v.alter("line %d of input %s of process %s, which truncated its stdout, does not fit there: %.200q", fit+1, a.ID, in.proc, lines[fit].Line)
		return
	}
	if !toTheEnd {
		v.lose("lines of process %s after it last truncated its stdout: it wrote %d then, and %d lines arrived in all", in.proc, len(pieces[last]), len(lines))
	}
	if got.Truncated.Times == 0 || !got.Ended {
		v.alter("the seal of input %s of process %s does not say that its output was truncated and ended: %+v", a.ID, in.proc, got)
	}
	var digest bytes.Buffer
	for _, line := range lines {
		digest.Write(line.Line)
		digest.WriteByte('\n')
	}
	if got.SHA256 != sum(digest.Bytes()) || got.Lines != int64(len(lines)) {
		v.alter("the seal of input %s of process %s, which truncated its stdout, is wrong: %+v for %d lines", a.ID, in.proc, got, len(lines))
	}
}

// fitPieces returns how many of lines are prefixes of pieces, one piece after another, and whether
// all of them end where the last piece does. A line may have been cut by a truncation while it was
// being written or read.
func fitPieces(lines []batch.Restored, pieces [][]expected) (fit int, toTheEnd bool) {
	last := len(pieces) - 1
	// Lines may repeat, so the lines so far may end at several places in the pieces.
	type place struct{ piece, line int }
	reach := func(places map[place]bool, p place) {
		for places[p] = true; p.piece < last; places[p] = true { // the rest of the piece may be lost
			p = place{p.piece + 1, 0}
		}
	}
	places := map[place]bool{}
	reach(places, place{})
	for i, line := range lines {
		next := map[place]bool{}
		for p := range places {
			if p.line == len(pieces[p.piece]) {
				continue
			}
			switch want := pieces[p.piece][p.line]; {
			case bytes.Equal(line.Line, want.line) && line.NoNewline == want.noNewline:
				reach(next, place{p.piece, p.line + 1})
			case line.NoNewline && p.piece < last && begins(want.line, line.Line):
				reach(next, place{p.piece + 1, 0})
			}
		}
		if places = next; len(places) == 0 {
			return i, false
		}
	}
	return len(lines), places[place{last, len(pieces[last])}]
}

// compareOvertaken compares an input that is continued by another one: each of its lines must have
// been written.
func (in *procInput) compareOvertaken(a *testkit.Input, v *verdict) {
	written := map[string]bool{}
	for _, piece := range in.pieces {
		lines, _ := expect(piece)
		for _, line := range lines {
			written[string(line.line)] = true
		}
	}
	v.repeats += a.Repeats
	for at, ev := range a.Lines {
		if at.Part == 0 && !ev.NoNewline && !written[string(ev.Line)] {
			v.alter("line %d of input %s of process %s, which truncated its stdout, was never written: %.200q", at.Seq, a.ID, in.proc, ev.Line)
		}
	}
	if a.Ended() {
		v.alter("input %s of process %s has ended although another one continues it", a.ID, in.proc)
	}
}

// compareNumbers looks for lines that are stored under more numbers than they were written times.
// Nothing would mark those as repeats.
func (in *procInput) compareNumbers(inputs []*testkit.Input, v *verdict) {
	written, there := map[string]int{}, map[string]int{}
	for _, piece := range in.pieces {
		lines, _ := expect(piece)
		for _, line := range lines {
			written[string(line.line)]++
		}
	}
	for _, a := range inputs {
		for at, ev := range a.Lines {
			if at.Part == 0 && !ev.NoNewline {
				there[string(ev.Line)]++
			}
		}
	}
	for line, n := range there {
		if n > written[line] && written[line] > 0 { // reported elsewhere if it was never written
			v.alter("process %s, which truncated its stdout, wrote a line %d times, but it is stored under %d numbers: %.200q", in.proc, written[line], n, line)
		}
	}
}

// begins reports whether want begins with line, which may end in the middle of a character.
func begins(want, line []byte) bool {
	for range 4 {
		if bytes.HasPrefix(want, line) {
			return true
		}
		line = bytes.TrimSuffix(line, []byte("\uFFFD"))
	}
	return false
}

// arrivedLines returns lines 1 to last of an input, including refused ones.
func arrivedLines(a *testkit.Input, last int64, rejects []rejected, v *verdict) (lines []batch.Restored) {
	refused := map[int64]batch.Restored{}
	for _, r := range rejects {
		if restored, err := batch.Restore([]byte(r.Message)); err == nil && restored.Input == a.ID {
			refused[r.Seq] = restored
			v.rejects++
		}
	}
	for seq := int64(1); seq <= last; seq++ {
		events, whole := a.Events(seq)
		if r, set := refused[seq]; set && len(events) == 0 {
			lines = append(lines, r)
			continue
		}
		if !whole {
			v.lose("line %d of input %s from part %d on", seq, a.ID, len(events)+1)
			return lines
		}
		line := events[len(events)-1].Restored
		line.Line = nil
		for _, e := range events {
			line.Line = append(line.Line, e.Line...)
		}
		lines = append(lines, line)
	}
	return lines
}
