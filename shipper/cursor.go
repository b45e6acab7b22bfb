package shipper

import (
	"encoding/json"
	"fmt"
	"slices"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/journal"
)

// cursorVersion is the version of cursorState that this program writes, and the highest that it
// reads.
const cursorVersion = 1

// cursorState is what the shipper keeps in the cursor of a journal, as JSON. It is all that the
// next start needs to ship what follows the cursor exactly as this process would have.
type cursorState struct {
	Version int         `json:"v"` // absent: 1
	State   batch.State `json:"state"`
	Streams []string    `json:"streams"`
	Account account     `json:"account"`
	Sealed  bool        `json:"sealed,omitempty"` // a seal was accepted and is still correct
	Final   bool        `json:"final,omitempty"`  // that seal says that the input ended
	Input   string      `json:"input,omitempty"`  // the input's name, unless it is its first
	Cuts    []int64     `json:"cuts,omitempty"`   // beyond the cursor; see lastLine
}

// cursor returns what to keep in the cursor at a place where the shaper's state is state.
func (in *input) cursor(state batch.State) cursorState {
	sealed, final := in.seal.accepted()
	return cursorState{
		Version: cursorVersion, State: state, Streams: in.shaper.Streams()[:state.Streams], Account: in.ack.account,
		Sealed: sealed, Final: final, Input: in.ack.began.Input, Cuts: in.read.last.cuts,
	}
}

// account is what happened to an input on its way to CloudWatch.
type account struct {
	Rejected  ranges      `json:"rejected,omitempty"`  // seqs
	Repeated  int64       `json:"repeated,omitempty"`  // events that CloudWatch may have twice
	Restamped int64       `json:"restamped,omitempty"` // events sent with another time
	Truncated truncations `json:"truncated,omitzero"`
}

// truncations counts how often an output was truncated before it was read to its end, and the bytes
// that were lost. More may be lost than the bytes that were seen.
type truncations struct {
	Times int64 `json:"times"`
	Bytes int64 `json:"bytes"`
}

// add counts a truncation.
func (t *truncations) add(truncation *journal.CutError) {
	t.Times++
	t.Bytes += truncation.Lost
}

// startingPoint says where an input continues, and under which name.
type startingPoint struct {
	offset int64
	cursor cursorState // at the beginning of an input, all zero but the version
	// renamed is whether the input has a new name. The cursor must contain that name before
	// anything is shipped under it, or the next start would ship the same lines under another one.
	renamed bool
	// overtaken is the truncation after which the journal continues as another input; nil: none.
	overtaken *journal.CutError
}

// startingPointOf reads the cursor of in.
func startingPointOf(in Input) (startingPoint, error) {
	kept := in.Journal.Cursor()
	s := startingPoint{offset: kept.Offset, cursor: cursorState{Version: cursorVersion}}
	if len(kept.State) > 0 {
		err := json.Unmarshal(kept.State, &s.cursor)
		if err == nil && s.cursor.Version > cursorVersion {
			err = fmt.Errorf("the cursor has version %d, and this program reads versions up to %d", s.cursor.Version, cursorVersion)
		}
		if err != nil {
			return startingPoint{}, fmt.Errorf("input %s in %s cannot be shipped, because this program cannot read its cursor; start the version that wrote it on that folder: %w",
				in.Journal.ID(), in.Journal.Path(), err)
		}
	} else if kept.Offset > 0 {
		// The count of lines was lost with the cursor. If it began at 1 again under the same name,
		// readers would drop new lines as repeats.
		s.cursor.Input, s.renamed = journal.NewID(), true
	}
	s.overtaken = in.Journal.Overtaken()
	if s.overtaken == nil || endsAt(in.Journal, s.overtaken) {
		s.overtaken = nil // no line follows it
		return s, nil
	}
	// The lost lines may be in CloudWatch, under seqs that a process assigned but was killed before
	// it could write them to the cursor.
	s.cursor.Account.Truncated.add(s.overtaken)
	s.offset, s.cursor, s.renamed = s.overtaken.To, s.cursor.heir(), true
	return s, nil
}

// heir returns the cursor of the new input that takes over after a truncation. c has counted the
// truncation.
func (c cursorState) heir() cursorState {
	return cursorState{
		Version: cursorVersion, State: c.State.Heir(), Input: journal.NewID(), Account: account{Truncated: c.Account.Truncated},
	}
}

// persist writes the cursor. Everything before offset is in CloudWatch or kept as a reject, and
// state is the shaper's state there.
func (in *input) persist(offset int64, state batch.State) error {
	cuts := &in.read.last.cuts
	*cuts = slices.DeleteFunc(*cuts, func(cut int64) bool { return cut <= offset })
	data, err := json.Marshal(in.cursor(state))
	if err != nil {
		return err
	}
	in.ack.offset, in.ack.state = offset, state
	err = in.Journal.Ack(journal.Cursor{Offset: offset, State: data})
	in.ack.unsaved = in.ack.unsaved && err != nil
	return err
}
