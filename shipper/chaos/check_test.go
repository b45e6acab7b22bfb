//go:build linux

package chaos

// What is compared: all that the endpoint ever accepted, with what the processes had taken in.

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cwlocal"
)

// sight is the cursor of an input as it stood on disk when so many puts had come in: no later put
// may repeat what is before it.
type sight struct {
	puts   int
	cursor int64
}

// taken is what is known of one process's input.
type taken struct {
	proc   string
	data   []byte   // what it has in its journal, or had
	pieces [][]byte // instead of data: what an agent wrote between the times at which it emptied its stdout; of all but the last some may be lost
	paused bool     // it has not ended: it may go on another day
	sights []sight
	stood  []int64 // of a followed file: offsets within lines at which it has stood still for so long that a line may have been cut there
	cuts   []int64 // those of stood where one was
}

// lines is what should come of it: see expect.
func (in *taken) lines() ([]expected, int64) { return expect(in.data, in.cuts...) }

// findCuts finds out where the shipper has cut a line of a followed file that stood still. It may
// do so, when it is told to end, where nothing was written for 300 ms.
func (in *taken) findCuts(a *arrived) {
	for _, at := range in.stood {
		lines, _ := expect(in.data, append(slices.Clone(in.cuts), at)...)
		seq := int64(slices.IndexFunc(lines, func(l expected) bool { return l.end == at }) + 1)
		for p, ev := range a.first {
			if p.seq == seq && ev.NoNewline {
				in.cuts = append(in.cuts, at)
				break
			}
		}
	}
}

// event is one event of the endpoint, taken apart.
type event struct {
	batch.Restored
	stream string
	time   int64
}

type place struct {
	seq  int64
	part int
}

// arrived is all that the endpoint holds of one input.
type arrived struct {
	id      string
	first   map[place]event
	repeats int
	seals   []seal
	opened  map[string]bool // streams that have its open record
	sealed  map[string]bool
	streams map[string]bool // streams that have its events
}

type seal struct {
	Lines, EmptyLines, Bytes, LastSeq int64
	SHA256, RawSHA256                 string
	Events, Parts, Lossy              int64
	Rejected                          [][2]int64
	Truncated                         struct{ Times, Bytes int64 }
	Streams                           []string
	Ended                             bool
}

// verdict is what a comparison found.
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
func compare(inputs []*taken, e *endpoint, folder string) (v verdict) {
	byProc, seqs := gather(e.held(), e.fickle, &v)
	rejects, err := whatIsRejected(folder)
	if err != nil {
		v.lose("rejects: %v", err)
	}
	for _, in := range inputs {
		if len(in.pieces) > 0 {
			in.compareCut(all(byProc, in.proc), rejects, &v)
			continue
		}
		a := byProc[in.proc]
		delete(byProc, in.proc)
		if a != nil {
			in.findCuts(a)
		}
		in.compare(a, rejects, &v)
	}
	for proc := range byProc {
		v.alter("the endpoint holds events of process %q, which has taken nothing", proc)
	}
	acknowledged(inputs, e.attempts, seqs, &v)
	return v
}

// gather takes apart what the endpoint holds, by process. ids are the inputs' processes. In fickle
// streams, events of one time may stand in any order: what was refused, or dropped without the
// shipper's hearing of it, was sent again behind others.
func gather(held map[string][][]cwlocal.Event, fickle map[string]bool, v *verdict) (byProc map[string]*arrived, ids map[string]string) {
	byProc, ids = map[string]*arrived{}, map[string]string{}
	for stream, lives := range held {
		for _, events := range lives {
			last := map[string]event{} // by input, the event before in reading order
			for _, e := range events {
				r, err := batch.Restore([]byte(e.Message))
				if err != nil {
					v.alter("stream %q: %v: %.200s", stream, err, e.Message)
					continue
				}
				if r.Record == "seal" { // it does not say the process: its input is known by its open record
					continue
				}
				a := of(byProc, ids, r)
				if r.Record == "open" {
					a.opened[stream] = true
					continue
				}
				ev := event{r, stream, e.Timestamp}
				if a.add(ev, v) {
					if before, ok := last[r.Input]; ok && !fickle[stream] && before.time == ev.time && !before.moved() && !ev.moved() && before.place().compare(ev.place()) > 0 {
						v.alter("stream %q shows %v of %s before %v, both at %d", stream, before.place(), r.Input, ev.place(), ev.time)
					}
					last[r.Input] = ev
				}
			}
		}
	}
	for stream, lives := range held {
		for _, e := range slices.Concat(lives...) {
			r, err := batch.Restore([]byte(e.Message))
			if err != nil || r.Record != "seal" {
				continue
			}
			var s seal
			a := byProc[ids[r.Input]]
			if err := json.Unmarshal([]byte(e.Message), &s); err != nil || a == nil {
				v.alter("stream %q: a seal of input %s, of which nothing else is there: %v", stream, r.Input, err)
				continue
			}
			a.seals = append(a.seals, s)
			a.sealed[stream] = true
		}
	}
	return byProc, ids
}

func (e event) place() place { return place{e.Seq, e.Part} }

// moved: it has another time than its own, so it stands where that was taken from the clock.
func (e event) moved() bool { return bytes.Contains(e.ShipperMember, []byte(`"at":`)) }

func (p place) compare(q place) int {
	if p.seq != q.seq {
		return int(p.seq - q.seq)
	}
	return p.part - q.part
}

// of finds the input of an event or open record by the name of its process, which stands in the
// fields of each; the stderr of an agent has a name of its own.
func of(byProc map[string]*arrived, ids map[string]string, r batch.Restored) *arrived {
	var fields struct{ Proc string }
	if r.Record == "open" {
		var open struct {
			Fields struct{ Proc string }
			Source string
		}
		_ = json.Unmarshal(r.Line, &open) // one that is none has no name, which is noticed
		fields.Proc, r.Source = open.Fields.Proc, open.Source
	} else {
		_ = json.Unmarshal(r.ShipperMember, &fields)
	}
	if r.Source == "stderr" {
		fields.Proc += ".err"
	}
	key := fields.Proc
	if a := byProc[key]; a != nil && a.id != r.Input { // only a process whose agent emptied its stdout may have several
		key += another + r.Input
	}
	a := byProc[key]
	if a == nil {
		a = &arrived{id: r.Input, first: map[place]event{}, opened: map[string]bool{}, sealed: map[string]bool{}, streams: map[string]bool{}}
		byProc[key] = a
	}
	ids[r.Input] = key
	return a
}

// another stands between a process and an input of it that is not the first one seen.
const another = "@"

// all takes the inputs of a process out of byProc.
func all(byProc map[string]*arrived, proc string) (inputs []*arrived) {
	for key, a := range byProc {
		if key == proc || strings.HasPrefix(key, proc+another) {
			inputs = append(inputs, a)
			delete(byProc, key)
		}
	}
	return inputs
}

// add takes an event in; it reports false for a repeat.
func (a *arrived) add(ev event, v *verdict) (fresh bool) {
	a.streams[ev.stream] = true
	before, repeated := a.first[ev.place()]
	if !repeated {
		a.first[ev.place()] = ev
		return true
	}
	a.repeats++
	if !bytes.Equal(before.Line, ev.Line) || before.stream != ev.stream || before.Empty != ev.Empty || before.Last != ev.Last || before.Text != ev.Text || before.NoNewline != ev.NoNewline {
		v.alter("%v of input %s was repeated as something else: %.200q in %q, then %.200q in %q", ev.place(), a.id, before.Line, before.stream, ev.Line, ev.stream)
	}
	return false
}

// compare compares one input.
func (in *taken) compare(a *arrived, rejects []rejected, v *verdict) {
	lines, emptyLines := in.lines()
	v.lines += len(lines) + int(emptyLines)
	v.bytes += int64(len(in.data))
	if len(lines) == 0 {
		if a != nil {
			v.alter("process %s has taken no line, and the endpoint holds some", in.proc)
		}
		return
	}
	if a == nil {
		v.lose("all of process %s, %d lines", in.proc, len(lines))
		return
	}
	v.repeats += a.repeats
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
		n, ok := a.line(seq, want, v)
		if !ok {
			continue
		}
		shipped += max(1, n)
		parts += n
	}
	for p := range a.first {
		if p.seq > int64(len(lines)) {
			v.alter("input %s of process %s has %d lines, and the endpoint line %d", a.id, in.proc, len(lines), p.seq)
		}
	}
	in.compareSeal(a, seal{
		Lines: int64(len(lines)), EmptyLines: emptyLines, Bytes: int64(len(in.data)), LastSeq: int64(len(lines)),
		SHA256: sum(digest.Bytes()), RawSHA256: sum(in.data), Events: shipped, Parts: parts, Lossy: lossy, Rejected: refused,
	}, v)
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// line compares one line, and says in how many parts it is there: 0 for one that is whole.
func (a *arrived) line(seq int64, want expected, v *verdict) (parts int64, ok bool) {
	ev, whole := a.first[place{seq, 0}]
	got := ev.Line
	empty := ev.Empty
	if !whole {
		for {
			ev, ok = a.first[place{seq, int(parts) + 1}]
			if !ok {
				v.lose("line %d of input %s from part %d on: %.200q", seq, a.id, parts+1, want.line)
				return 0, false
			}
			if parts++; parts == 1 {
				empty = ev.Empty
			}
			got = append(got, ev.Line...)
			if ev.Last {
				break
			}
		}
	}
	if !bytes.Equal(got, want.line) || empty != want.empty || ev.NoNewline != want.noNewline || ev.Lossy != want.lossy {
		v.alter("line %d of input %s: %.200q (%d empty before, newline %v, lossy %v) came out as %.200q (%d, %v, %v)",
			seq, a.id, want.line, want.empty, !want.noNewline, want.lossy, got, empty, !ev.NoNewline, ev.Lossy)
		return 0, false
	}
	return parts, true
}

// compareRejected looks whether a line that CloudWatch refuses is set aside, and not in CloudWatch.
func (in *taken) compareRejected(a *arrived, seq int64, want expected, rejects []rejected, v *verdict) {
	if _, there := a.first[place{seq, 0}]; there {
		v.alter("line %d of input %s is refused, and there", seq, a.id)
	}
	for _, r := range rejects {
		restored, err := batch.Restore([]byte(r.Message))
		if err == nil && restored.Input == a.id && restored.Seq == seq && r.Seq == seq && bytes.Equal(restored.Line, want.line) && r.Reason != "" {
			v.rejects++
			return
		}
	}
	v.lose("line %d of input %s is refused, and not in rejects.jsonl: %.200q", seq, a.id, want.line)
}

// lastSeal is the seal that counts.
func (a *arrived) lastSeal() seal {
	got := a.seals[0]
	for _, s := range a.seals {
		if s.LastSeq > got.LastSeq || s.LastSeq == got.LastSeq && len(s.Rejected) >= len(got.Rejected) {
			got = s
		}
	}
	return got
}

// compareSeal compares the seal that counts with what is there.
func (in *taken) compareSeal(a *arrived, want seal, v *verdict) {
	if len(a.seals) == 0 {
		v.lose("the seal of input %s of process %s", a.id, in.proc)
		return
	}
	got := a.lastSeal()
	if want.SHA256 == want.RawSHA256 {
		want.RawSHA256 = ""
	}
	for name, differs := range map[string]bool{
		"lines": got.Lines != want.Lines, "emptyLines": got.EmptyLines != want.EmptyLines, "bytes": got.Bytes != want.Bytes, "lastSeq": got.LastSeq != want.LastSeq,
		"sha256": got.SHA256 != want.SHA256, "rawSha256": got.RawSHA256 != want.RawSHA256, "events": got.Events != want.Events, "parts": got.Parts != want.Parts,
		"truncated": got.Truncated != want.Truncated, "lossy": got.Lossy != want.Lossy, "rejected": !slices.Equal(got.Rejected, want.Rejected), "ended": got.Ended == in.paused,
	} {
		if differs {
			v.alter("the seal of input %s of process %s is wrong in %s: %+v, want %+v", a.id, in.proc, name, got, want)
		}
	}
	named := map[string]bool{}
	for _, s := range got.Streams {
		named[s] = true
	}
	for s := range a.streams {
		if !named[s] || !a.opened[s] || !a.sealed[s] {
			v.alter("stream %q of input %s: named by the seal %v, open record %v, seal %v", s, a.id, named[s], a.opened[s], a.sealed[s])
		}
	}
}

// acknowledged looks for puts of what was acknowledged before them.
func acknowledged(inputs []*taken, attempts []attempt, ids map[string]string, v *verdict) {
	ends := map[string][]expected{}
	sights := map[string][]sight{}
	for _, in := range inputs {
		ends[in.proc], _ = in.lines()
		sights[in.proc] = in.sights
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
			proc := ids[r.Input]
			if int(r.Seq) > len(ends[proc]) {
				continue // said elsewhere
			}
			for _, s := range sights[proc] {
				if s.puts <= i && ends[proc][r.Seq-1].end <= s.cursor {
					v.alter("line %d of input %s was put again after it was acknowledged", r.Seq, r.Input)
					break
				}
			}
		}
	}
}
