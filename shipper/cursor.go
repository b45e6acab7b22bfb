package shipper

import (
	"encoding/json"
	"fmt"
	"slices"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/journal"
)

// cursorVersion is the version of cursorState that is written, and the highest that is read.
const cursorVersion = 1

// cursorState is what the shipper keeps in the cursor of a journal, as JSON: all that is needed
// after a crash to ship what follows the cursor as this process would have.
type cursorState struct {
	Version int         `json:"v"` // absent: 1
	State   batch.State `json:"state"`
	Streams []string    `json:"streams"`
	Account account     `json:"account"`
	Sealed  bool        `json:"sealed,omitempty"` // a seal was accepted that holds still
	Final   bool        `json:"final,omitempty"`  // and that seal says that the input ended
	Input   string      `json:"input,omitempty"`  // the input's name, where it is not the one that it began with
	Cuts    []int64     `json:"cuts,omitempty"`   // beyond the cursor: see lastLine
}

// cursor is what is kept in the cursor where the shaper's state is state.
func (in *input) cursor(state batch.State) cursorState {
	sealed, final := in.seal.accepted()
	return cursorState{
		Version: cursorVersion, State: state, Streams: in.shaper.Streams()[:state.Streams], Account: in.ack.account,
		Sealed: sealed, Final: final, Input: in.ack.began.Input, Cuts: in.read.last.cuts,
	}
}

// account is what the shipper knows of an input beyond what its lines say.
type account struct {
	Rejected  ranges      `json:"rejected,omitempty"`  // seqs
	Repeated  int64       `json:"repeated,omitempty"`  // events that may be there twice
	Restamped int64       `json:"restamped,omitempty"` // events sent with another time than their own, at the put
	Truncated truncations `json:"truncated,omitzero"`
}

// truncations counts how often a file was truncated before it was read to its end, and the bytes
// that were seen in it and are lost by that, at least.
type truncations struct {
	Times int64 `json:"times"`
	Bytes int64 `json:"bytes"`
}

// add counts a truncation.
func (t *truncations) add(cut *journal.CutError) {
	t.Times++
	t.Bytes += cut.Lost
}

// start is where an input goes on, and as what.
type start struct {
	offset int64
	cursor cursorState // the zero cursorState at an input's beginning, but for its version
	// renamed: the input has a new name. The cursor must say so before anything is shipped under
	// that name, or the next start would ship the same lines under another one.
	renamed bool
	// overtaken is the truncation that makes what follows another input than the one that the
	// journal was of; nil: none.
	overtaken *journal.CutError
}

// startOf reads the cursor of in.
func startOf(in Input) (start, error) {
	kept := in.Journal.Cursor()
	s := start{offset: kept.Offset, cursor: cursorState{Version: cursorVersion}}
	if len(kept.State) > 0 {
		err := json.Unmarshal(kept.State, &s.cursor)
		if err == nil && s.cursor.Version > cursorVersion {
			err = fmt.Errorf("it has version %d, and this program reads versions up to %d", s.cursor.Version, cursorVersion)
		}
		if err != nil {
			return start{}, fmt.Errorf("input %s in %s cannot be shipped, because this program cannot read its cursor; start the version that wrote it on that folder: %w",
				in.Journal.ID(), in.Journal.Path(), err)
		}
	} else if kept.Offset > 0 {
		// The count was lost with the cursor. Counting from 1 again under the same name would make
		// readers drop new lines as repeats.
		s.cursor.Input, s.renamed = journal.NewID(), true
	}
	s.overtaken = in.Journal.Overtaken()
	if s.overtaken == nil || endsAt(in.Journal, s.overtaken) {
		s.overtaken = nil // no line follows it
		return s, nil
	}
	// The lines that were lost may be in CloudWatch, with seqs that a process gave them and did not
	// live to keep.
	s.cursor.Account.Truncated.add(s.overtaken)
	s.offset, s.cursor, s.renamed = s.overtaken.To, s.cursor.heir(), true
	return s, nil
}

// heir is the cursor of another input that goes on for the one of c after a truncation, which c has
// counted.
func (c cursorState) heir() cursorState {
	return cursorState{
		Version: cursorVersion, State: c.State.Heir(), Input: journal.NewID(), Account: account{Truncated: c.Account.Truncated},
	}
}

// persist writes the cursor: everything before offset is in CloudWatch or kept as a reject, and
// state is the shaper's state there.
func (in *input) persist(offset int64, state batch.State) error {
	cuts := &in.read.last.cuts
	*cuts = slices.DeleteFunc(*cuts, func(cut int64) bool { return cut <= offset })
	data, err := json.Marshal(in.cursor(state))
	if err != nil {
		return err
	}
	in.ack.offset, in.ack.state = offset, state
	return in.Journal.Ack(journal.Cursor{Offset: offset, State: data})
}
