//go:build linux

package chaos

// The comparison for an agent that emptied the file that its stdout was: what it wrote before that
// may be lost, but for nothing else, and it is said.

import (
	"bytes"
	"slices"

	"perstack-shipper/batch"
)

// compareCut compares what came of a process whose agent emptied its stdout. The lines of its last
// input must be the beginnings of its pieces, one after the other, and the last piece wholly. A
// kill may have made more inputs of it: one that starts when lines were lost which another had
// begun to ship.
func (in *taken) compareCut(inputs []*arrived, rejects []rejected, v *verdict) {
	var a *arrived
	if len(inputs) > 0 {
		slices.SortFunc(inputs, func(a, b *arrived) int { return int(a.ended() - b.ended()) })
		a = inputs[len(inputs)-1]
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
			v.lose("all of process %s, which has emptied its stdout, also what came after that", in.proc)
		}
		return
	}
	v.repeats += a.repeats
	if len(a.seals) == 0 && len(pieces[last]) == 0 {
		return // a kill made another input of what follows, and nothing does
	}
	if len(a.seals) == 0 {
		v.lose("the seal of input %s of process %s", a.id, in.proc)
		return
	}
	got := a.lastSeal()
	lines := a.came(got.LastSeq, rejects, v)
	// Lines repeat themselves, so several places in the pieces may be where the lines so far have
	// come to.
	type at struct{ piece, line int }
	places := map[at]bool{}
	reach := func(next map[at]bool, p at) {
		for next[p] = true; p.piece < last; next[p] = true { // the rest of the piece may be lost
			p = at{p.piece + 1, 0}
		}
	}
	reach(places, at{})
	for i, line := range lines {
		next := map[at]bool{}
		for p := range places {
			if p.line == len(pieces[p.piece]) {
				continue
			}
			switch want := pieces[p.piece][p.line]; {
			case bytes.Equal(line.Line, want.line) && line.NoNewline == want.noNewline:
				reach(next, at{p.piece, p.line + 1})
			case line.NoNewline && p.piece < last && begins(want.line, line.Line): // it was being written, or read
				reach(next, at{p.piece + 1, 0})
			}
		}
		if places = next; len(places) == 0 {
			v.alter("line %d of input %s of process %s, which has emptied its stdout, is none that may come there: %.200q", i+1, a.id, in.proc, line.Line)
			return
		}
	}
	if !places[at{last, len(pieces[last])}] {
		v.lose("lines of process %s that came after it had emptied its stdout for the last time: it wrote %d, and %d lines came in all", in.proc, len(pieces[last]), len(lines))
	}
	if got.Truncated.Times == 0 || !got.Ended {
		v.alter("the seal of input %s of process %s does not say that its output was emptied, or not that it ended: %+v", a.id, in.proc, got)
	}
	var digest bytes.Buffer
	for _, line := range lines {
		digest.Write(line.Line)
		digest.WriteByte('\n')
	}
	if got.SHA256 != sum(digest.Bytes()) || got.Lines != int64(len(lines)) {
		v.alter("the seal of input %s of process %s, which has emptied its stdout, is wrong: %+v for %d lines", a.id, in.proc, got, len(lines))
	}
}

// ended is 1 where a seal says that the input ended, else 0.
func (a *arrived) ended() int {
	if slices.ContainsFunc(a.seals, func(s seal) bool { return s.Ended }) {
		return 1
	}
	return 0
}

// compareOvertaken compares an input that another one goes on for: each of its lines is one that
// was written.
func (in *taken) compareOvertaken(a *arrived, v *verdict) {
	written := map[string]bool{}
	for _, piece := range in.pieces {
		lines, _ := expect(piece)
		for _, line := range lines {
			written[string(line.line)] = true
		}
	}
	v.repeats += a.repeats
	for at, ev := range a.first {
		if at.part == 0 && !ev.NoNewline && !written[string(ev.Line)] {
			v.alter("line %d of input %s of process %s, which has emptied its stdout, was never written: %.200q", at.seq, a.id, in.proc, ev.Line)
		}
	}
	if a.ended() != 0 {
		v.alter("input %s of process %s has ended, and it was the process's last: %+v", a.id, in.proc, a.lastSeal())
	}
}

// compareNumbers looks for lines that are there under more numbers than they were written times:
// nothing marks those as repeats.
func (in *taken) compareNumbers(inputs []*arrived, v *verdict) {
	written, there := map[string]int{}, map[string]int{}
	for _, piece := range in.pieces {
		lines, _ := expect(piece)
		for _, line := range lines {
			written[string(line.line)]++
		}
	}
	for _, a := range inputs {
		for at, ev := range a.first {
			if at.part == 0 && !ev.NoNewline {
				there[string(ev.Line)]++
			}
		}
	}
	for line, n := range there {
		if n > written[line] && written[line] > 0 { // else it is said elsewhere
			v.alter("process %s, which has emptied its stdout, wrote a line %d times, and it is there under %d numbers: %.200q", in.proc, written[line], n, line)
		}
	}
}

// begins reports whether line is the beginning of want, which may end in the middle of a character.
func begins(want, line []byte) bool {
	for range 4 {
		if bytes.HasPrefix(want, line) {
			return true
		}
		line = bytes.TrimSuffix(line, []byte("\uFFFD"))
	}
	return false
}

// came is the lines 1 to last of an input, those that were refused among them.
func (a *arrived) came(last int64, rejects []rejected, v *verdict) (lines []batch.Restored) {
	refused := map[int64]batch.Restored{}
	for _, r := range rejects {
		if restored, err := batch.Restore([]byte(r.Message)); err == nil && restored.Input == a.id {
			refused[r.Seq] = restored
			v.rejects++
		}
	}
	for seq := int64(1); seq <= last; seq++ {
		line, ok := a.first[place{seq, 0}]
		if r, set := refused[seq]; set && !ok {
			lines = append(lines, r)
			continue
		}
		var whole []byte
		for part := 1; !ok; part++ {
			p, there := a.first[place{seq, part}]
			if !there {
				v.lose("line %d of input %s from part %d on", seq, a.id, part)
				return lines
			}
			whole = append(whole, p.Line...)
			line, ok = p, p.Last
			line.Line = whole
		}
		lines = append(lines, line.Restored)
	}
	return lines
}
