package testkit

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cwlocal"
)

// Gathered is what an endpoint holds, by the ids of the inputs.
type Gathered map[string]*Input

// Input is what an endpoint holds of one input.
type Input struct {
	ID             string
	Source         string // "stderr" if that is known
	Path           string // of a followed file
	Fields         map[string]string
	OpenedAt       int64 // the ingestion time of its first open record
	Lines          map[Place]Event
	Last           int64          // the highest Seq of Lines
	Repeats        int            // events whose place was taken
	Repeated       map[Place]bool // the places of such events
	Seals          []Seal
	Opened, Sealed map[string]bool // the streams with its open record, and with its seal

	joined *joined // what Text returned last; nil if lines have come since
}

// joined is what Text returns.
type joined struct{ text, missing string }

// Place identifies a line of an input or a part of one.
type Place struct {
	Seq  int64
	Part int
}

// Event is a line, or a part of one.
type Event struct {
	batch.Restored
	Stream  string
	Time    int64
	Message string // as CloudWatch holds it
}

// Place returns the place of the event in its input.
func (e Event) Place() Place { return Place{e.Seq, e.Part} }

// Seal is the content of a seal.
type Seal struct {
	Lines, EmptyLines, Bytes, LastSeq int64
	SHA256, RawSHA256                 string
	Events, Parts, Lossy              int64
	Rejected                          [][2]int64
	Repeated                          int64
	Truncated                         struct{ Times, Bytes int64 }
	Streams                           []string
	Ended                             bool
	Message                           string `json:"-"` // the whole record
}

// Add adds an event of a stream to its input, which it returns. line is the event if it is a line
// or a part that is not a repeat. Add fails if the event belongs to no input, or repeats a place
// with other content.
func (g Gathered) Add(stream string, e cwlocal.Event) (in *Input, line *Event, err error) {
	r, err := batch.Restore([]byte(e.Message))
	if err != nil {
		return nil, nil, fmt.Errorf("stream %q: %w: %.300s", stream, err, e.Message)
	}
	in = g[r.Input]
	if in == nil {
		in = &Input{ID: r.Input, Lines: map[Place]Event{}, Repeated: map[Place]bool{}, Opened: map[string]bool{}, Sealed: map[string]bool{}}
		g[r.Input] = in
	}
	switch r.Record {
	case "open":
		var open struct {
			Path, Source string
			Fields       map[string]string
		}
		if err := json.Unmarshal([]byte(e.Message), &open); err != nil {
			return in, nil, err
		}
		in.Opened[stream] = true
		if in.OpenedAt == 0 {
			in.Path, in.Source, in.Fields, in.OpenedAt = open.Path, open.Source, open.Fields, e.IngestionTime
		}
		return in, nil, nil
	case "seal":
		seal := Seal{Message: e.Message}
		if err := json.Unmarshal([]byte(e.Message), &seal); err != nil {
			return in, nil, err
		}
		in.Sealed[stream] = true
		// Each stream has the seal.
		if !slices.ContainsFunc(in.Seals, func(s Seal) bool { return s.Message == e.Message }) {
			in.Seals = append(in.Seals, seal)
		}
		return in, nil, nil
	}
	event := Event{r, stream, e.Timestamp, e.Message}
	in.Source, in.Last = r.Source, max(in.Last, r.Seq)
	before, repeated := in.Lines[event.Place()]
	if !repeated {
		in.Lines[event.Place()] = event
		in.joined = nil
		return in, &event, nil
	}
	in.Repeats++
	in.Repeated[event.Place()] = true
	if !bytes.Equal(before.Line, r.Line) || before.Stream != stream || before.Empty != r.Empty || before.Last != r.Last ||
		before.Text != r.Text || before.NoNewline != r.NoNewline {
		err = fmt.Errorf("%v of input %s was repeated with other content: %.200q in %q, then %.200q in %q",
			event.Place(), in.ID, before.Line, before.Stream, r.Line, stream)
	}
	return in, nil, err
}

// Events returns the events of a line in the order of its parts, up to the first that is missing.
// whole reports that none is.
func (in *Input) Events(seq int64) (events []Event, whole bool) {
	if e, ok := in.Lines[Place{seq, 0}]; ok {
		return []Event{e}, true
	}
	for part := 1; ; part++ {
		e, ok := in.Lines[Place{seq, part}]
		if !ok {
			return events, false
		}
		events = append(events, e)
		if e.Last {
			return events, true
		}
	}
}

// Text returns the text of the input up to the first line or part that is missing, which it names.
// missing is "" if none is. While a program is shipping some may be missing, because streams are
// read one after the other.
func (in *Input) Text() (text, missing string) {
	if in.joined == nil {
		text, missing := in.join()
		in.joined = &joined{text, missing}
	}
	return in.joined.text, in.joined.missing
}

func (in *Input) join() (text, missing string) {
	var b strings.Builder
	for seq := int64(1); seq <= in.Last; seq++ {
		events, whole := in.Events(seq)
		for _, e := range events {
			b.WriteString(strings.Repeat("\n", int(e.Empty)))
			b.Write(e.Line)
		}
		if !whole {
			return b.String(), fmt.Sprintf("line %d of %d, part %d", seq, in.Last, len(events)+1)
		}
		if !events[len(events)-1].NoNewline {
			b.WriteByte('\n')
		}
	}
	return b.String(), ""
}

// Seal returns the last of the seals: the one that covers most lines, with the most rejected lines
// among those.
func (in *Input) Seal() (seal Seal, found bool) {
	if len(in.Seals) == 0 {
		return Seal{}, false
	}
	return slices.MaxFunc(in.Seals, func(a, b Seal) int {
		ended := func(s Seal) int {
			if s.Ended {
				return 1
			}
			return 0
		}
		return cmp.Or(cmp.Compare(a.LastSeq, b.LastSeq), cmp.Compare(len(a.Rejected), len(b.Rejected)), ended(a)-ended(b))
	}), true
}

// Ended reports whether the last seal says that the input has ended.
func (in *Input) Ended() bool {
	seal, _ := in.Seal()
	return seal.Ended
}

// Sorted returns the inputs in the order in which they were opened.
func (g Gathered) Sorted() []*Input {
	return slices.SortedFunc(maps.Values(g), func(a, b *Input) int {
		return cmp.Or(cmp.Compare(a.OpenedAt, b.OpenedAt), cmp.Compare(a.ID, b.ID))
	})
}

// sight is the content of a group at a time when the endpoint had accepted that many batches.
type sight struct {
	batches int64
	all     Gathered
}

// Gathered returns the content of the world's group.
func (w *World) Gathered() Gathered {
	w.T.Helper()
	return w.GatheredFrom(w.Group)
}

// GatheredFrom returns the content of a group. Until an endpoint in this process accepts another
// batch, it returns the same value again: otherwise a test that waits would use more CPU time than
// the program that it waits for.
func (w *World) GatheredFrom(group string) Gathered {
	w.T.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	batches := int64(-1)
	if w.Server != nil {
		batches = w.Server.Stats().Batches
		if last, ok := w.seen[group]; ok && last.batches == batches {
			return last.all
		}
	}
	all := Gathered{}
	for _, stream := range w.StreamsOf(group) {
		for _, e := range w.EventsOf(group, stream) {
			if _, _, err := all.Add(stream, e); err != nil {
				w.T.Fatal(err)
			}
		}
	}
	if w.seen == nil {
		w.seen = map[string]sight{}
	}
	w.seen[group] = sight{batches, all}
	return all
}
