//go:build linux

package chaos

// This file compares everything that the endpoint ever accepted with what the processes read.

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/testkit"
)

// cursorAt is an input's cursor on disk after a number of puts. No later put may repeat what
// precedes it.
type cursorAt struct {
	puts   int
	cursor int64
}

// procInput is what is known of a process's input.
type procInput struct {
	proc string
	data []byte // what is or was in its journal
	// pieces is what an agent wrote between truncations of its stdout, instead of data. Parts of
	// all but the last piece may be lost.
	pieces  [][]byte
	paused  bool // it has not ended, because another process may continue it
	cursors []cursorAt
	// pauses are offsets within lines at which a followed file paused for so long that a line may
	// have been cut there, and cuts those at which one was.
	pauses, cuts []int64
}

// lines returns the lines that CloudWatch should hold: see expect.
func (in *procInput) lines() ([]expected, int64) { return expect(in.data, in.cuts...) }

// findCuts finds out where the shipper cut a line of a followed file. When it is told to end, it
// may cut a line where nothing was written for 300 ms.
func (in *procInput) findCuts(a *testkit.Input) {
	for _, at := range in.pauses {
		lines, _ := expect(in.data, append(slices.Clone(in.cuts), at)...)
		seq := int64(slices.IndexFunc(lines, func(l expected) bool { return l.end == at }) + 1)
		for p, ev := range a.Lines {
			if p.Seq == seq && ev.NoNewline {
				in.cuts = append(in.cuts, at)
				break
			}
		}
	}
}

// verdict is the result of a comparison.
type verdict struct {
	lines, repeats, rejects, lost, altered int
	bytes                                  int64
	faults                                 []string
}

func (v *verdict) lose(format string, args ...any) {
	v.lost++
	v.faults = append(v.faults, "lost: "+fmt.Sprintf(format, args...))
}

func (v *verdict) alter(format string, args ...any) {
	v.altered++
	v.faults = append(v.faults, "altered: "+fmt.Sprintf(format, args...))
}

// compare compares all inputs of a campaign.
func compare(inputs []*procInput, e *endpoint, folder string) (v verdict) {
	byProc := gather(e.held(), e.fickle, &v)
	procs := map[string]string{} // by input
	for proc, all := range byProc {
		for _, a := range all {
			procs[a.ID] = proc
		}
	}
	rejects, err := whatIsRejected(folder)
	if err != nil {
		v.lose("rejects: %v", err)
	}
	for _, in := range inputs {
		all := byProc[in.proc]
		delete(byProc, in.proc)
		if len(in.pieces) > 0 {
			in.compareCut(all, rejects, &v)
			continue
		}
		if len(all) > 1 {
			v.alter("process %s has %d inputs", in.proc, len(all))
		}
		var a *testkit.Input
		if len(all) > 0 {
			a = all[0]
			in.findCuts(a)
		}
		in.compare(a, rejects, &v)
	}
	for proc := range byProc {
		v.alter("the endpoint holds events of process %q, which read nothing", proc)
	}
	acknowledged(inputs, e.attempts, procs, &v)
	return v
}

// gather returns the inputs that the endpoint holds, by process, in the order in which they were
// opened. It checks the order of the events in each stream. In fickle streams, events with the same
// time may be in any order: events that were refused, or dropped without the shipper's knowledge,
// were sent again after others.
func gather(held map[string][][]cwlocal.Event, fickle map[string]bool, v *verdict) map[string][]*testkit.Input {
	all := testkit.Gathered{}
	for stream, lives := range held {
		for _, events := range lives {
			last := map[string]*testkit.Event{} // by input, the previous event in reading order
			for _, e := range events {
				in, line, err := all.Add(stream, e)
				if err != nil {
					v.alter("%v", err)
				}
				if line == nil {
					continue
				}
				if before := last[in.ID]; before != nil && !fickle[stream] && before.Time == line.Time && !moved(before) && !moved(line) && after(before.Place(), line.Place()) {
					v.alter("stream %q shows %v of %s before %v, both at %d", stream, before.Place(), in.ID, line.Place(), line.Time)
				}
				last[in.ID] = line
			}
		}
	}
	byProc := map[string][]*testkit.Input{}
	for _, in := range all.Sorted() {
		proc := procOf(in)
		if proc == "" {
			v.alter("input %s has %d seals, but no open record and no line", in.ID, len(in.Seals))
			continue
		}
		byProc[proc] = append(byProc[proc], in)
	}
	return byProc
}

// moved reports whether the event has a time other than its own. Its place in the stream then
// depends on the clock.
func moved(e *testkit.Event) bool { return bytes.Contains(e.ShipperMember, []byte(`"at":`)) }

// after reports whether p comes after q.
func after(p, q testkit.Place) bool { return p.Seq > q.Seq || p.Seq == q.Seq && p.Part > q.Part }

// procOf returns the name of the process that an input belongs to, which is a field of each of its
// events. The stderr of an agent has a name of its own. It is "" if there are only seals.
func procOf(in *testkit.Input) string {
	proc := in.Fields["proc"]
	for _, line := range in.Lines {
		if proc != "" {
			break
		}
		var fields struct{ Proc string }
		_ = json.Unmarshal(line.ShipperMember, &fields) // without a name, the caller reports it
		proc = fields.Proc
	}
	if proc != "" && in.Source == "stderr" {
		proc += ".err"
	}
	return proc
}

// compare compares one input.
func (in *procInput) compare(a *testkit.Input, rejects []rejected, v *verdict) {
	lines, emptyLines := in.lines()
	v.lines += len(lines) + int(emptyLines)
	v.bytes += int64(len(in.data))
	if len(lines) == 0 {
		if a != nil {
			v.alter("process %s read no line, but the endpoint holds some", in.proc)
		}
		return
	}
	if a == nil {
		v.lose("all of process %s, %d lines", in.proc, len(lines))
		return
	}
	v.repeats += a.Repeats
	var shipped, parts, lossy int64
	var refused [][2]int64
	var digest bytes.Buffer
	for i, want := range lines {
		seq := int64(i + 1)
		digest.Write(want.line)
		digest.WriteByte('\n')
		if want.lossy {
			lossy++
		}
		if want.poison {
			shipped++
			if n := len(refused); n > 0 && refused[n-1][1] == seq-1 {
				refused[n-1][1] = seq
			} else {
				refused = append(refused, [2]int64{seq, seq})
			}
			in.compareRejected(a, seq, want, rejects, v)
			continue
		}
		n, ok := compareLine(a, seq, want, v)
		if !ok {
			continue
		}
		shipped += max(1, n)
		parts += n
	}
	for p := range a.Lines {
		if p.Seq > int64(len(lines)) {
			v.alter("input %s of process %s has %d lines, but the endpoint holds line %d", a.ID, in.proc, len(lines), p.Seq)
		}
	}
	in.compareSeal(a, testkit.Seal{
		Lines: int64(len(lines)), EmptyLines: emptyLines, Bytes: int64(len(in.data)), LastSeq: int64(len(lines)),
		SHA256: sum(digest.Bytes()), RawSHA256: sum(in.data), Events: shipped, Parts: parts, Lossy: lossy, Rejected: refused,
	}, v)
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// compareLine compares one line, and returns how many parts it has: 0 for a whole line.
func compareLine(a *testkit.Input, seq int64, want expected, v *verdict) (parts int64, ok bool) {
	events, whole := a.Events(seq)
	if !whole {
		v.lose("line %d of input %s from part %d on: %.200q", seq, a.ID, len(events)+1, want.line)
		return 0, false
	}
	var got []byte
	for _, e := range events {
		got = append(got, e.Line...)
	}
	first, last := events[0], events[len(events)-1]
	if !bytes.Equal(got, want.line) || first.Empty != want.empty || last.NoNewline != want.noNewline || last.Lossy != want.lossy {
		v.alter("line %d of input %s: %.200q (%d empty before, newline %v, lossy %v) came out as %.200q (%d, %v, %v)",
			seq, a.ID, want.line, want.empty, !want.noNewline, want.lossy, got, first.Empty, !last.NoNewline, last.Lossy)
		return 0, false
	}
	if first.Part > 0 {
		parts = int64(len(events))
	}
	return parts, true
}

// compareRejected checks that a line that CloudWatch refuses is set aside and not in CloudWatch.
func (in *procInput) compareRejected(a *testkit.Input, seq int64, want expected, rejects []rejected, v *verdict) {
	if _, stored := a.Lines[testkit.Place{Seq: seq}]; stored {
		v.alter("line %d of input %s is refused, but stored", seq, a.ID)
	}
	for _, r := range rejects {
		restored, err := batch.Restore([]byte(r.Message))
		if err == nil && restored.Input == a.ID && restored.Seq == seq && r.Seq == seq && bytes.Equal(restored.Line, want.line) && r.Reason != "" {
			v.rejects++
			return
		}
	}
	v.lose("line %d of input %s is refused, but not in rejects.jsonl: %.200q", seq, a.ID, want.line)
}

// compareSeal compares the seal that counts with what is stored.
func (in *procInput) compareSeal(a *testkit.Input, want testkit.Seal, v *verdict) {
	got, found := a.Seal()
	if !found {
		v.lose("the seal of input %s of process %s", a.ID, in.proc)
		return
	}
	if want.SHA256 == want.RawSHA256 {
		want.RawSHA256 = ""
	}
	for name, differs := range map[string]bool{
		"lines": got.Lines != want.Lines, "emptyLines": got.EmptyLines != want.EmptyLines, "bytes": got.Bytes != want.Bytes, "lastSeq": got.LastSeq != want.LastSeq,
		"sha256": got.SHA256 != want.SHA256, "rawSha256": got.RawSHA256 != want.RawSHA256, "events": got.Events != want.Events, "parts": got.Parts != want.Parts,
		"truncated": got.Truncated != want.Truncated, "lossy": got.Lossy != want.Lossy, "rejected": !slices.Equal(got.Rejected, want.Rejected), "ended": got.Ended == in.paused,
	} {
		if differs {
			v.alter("the seal of input %s of process %s is wrong in %s: %+v, want %+v", a.ID, in.proc, name, got, want)
		}
	}
	named := map[string]bool{}
	for _, s := range got.Streams {
		named[s] = true
	}
	checked := map[string]bool{}
	for _, e := range a.Lines {
		if s := e.Stream; !checked[s] && (!named[s] || !a.Opened[s] || !a.Sealed[s]) {
			v.alter("stream %q of input %s: named by the seal %v, open record %v, seal %v", s, a.ID, named[s], a.Opened[s], a.Sealed[s])
		}
		checked[e.Stream] = true
	}
}

// acknowledged looks for puts of lines that were already acknowledged.
func acknowledged(inputs []*procInput, attempts []attempt, procs map[string]string, v *verdict) {
	ends := map[string][]expected{}
	cursors := map[string][]cursorAt{}
	for _, in := range inputs {
		ends[in.proc], _ = in.lines()
		cursors[in.proc] = in.cursors
	}
	for i, at := range attempts {
		var put struct{ LogEvents []struct{ Message string } }
		if err := json.Unmarshal(at.body, &put); err != nil {
			v.alter("put %d: %v", i, err)
			continue
		}
		for _, e := range put.LogEvents {
			r, err := batch.Restore([]byte(e.Message))
			if err != nil || r.Record != "" {
				continue
			}
			proc := procs[r.Input]
			if int(r.Seq) > len(ends[proc]) {
				continue // reported elsewhere
			}
			for _, s := range cursors[proc] {
				if s.puts <= i && ends[proc][r.Seq-1].end <= s.cursor {
					v.alter("line %d of input %s was put again after it was acknowledged", r.Seq, r.Input)
					break
				}
			}
		}
	}
}
