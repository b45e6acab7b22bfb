package batch

// This file leaves out lines by their type. Excluded lines still count in seq and lines. The next
// event says how many there were and the seal says which, so the rest can still be proved complete.

import (
	"fmt"
	"path"
)

// MaxExcluded is how many ranges of excluded seqs a State lists. Lines in later ranges are only
// counted. Together with the "excluded" member of each event, that still proves that nothing else
// is missing.
const MaxExcluded = 1000

// Excluded describes the lines left out.
type Excluded struct {
	Lines int64 `json:"lines"`
	// Since counts the lines left out since the latest event.
	Since int64 `json:"since,omitempty"`
	// Done and Open are the ranges of their seqs, as first and last, in ascending order. Open is
	// the latest range, which the next line may extend. It is {0, 0} until a line is left out,
	// since the first seq of an input is 1.
	Done [][2]int64 `json:"done,omitempty"` // shared by States, and only appended to
	Open [2]int64   `json:"open"`
	// Unlisted says that there were more than MaxExcluded ranges. Done and Open are the first ones.
	Unlisted bool `json:"cut,omitempty"`
}

// add leaves out a line.
func (e *Excluded) add(seq int64) {
	e.Lines++
	e.Since++
	switch {
	case e.Unlisted:
	case e.Open[1] == seq-1 && e.Open[0] > 0:
		e.Open[1] = seq
	case e.Open[0] == 0:
		e.Open = [2]int64{seq, seq}
	case len(e.Done) == MaxExcluded-1:
		e.Unlisted = true
	default:
		e.Done = append(e.Done, e.Open)
		e.Open = [2]int64{seq, seq}
	}
}

// Ranges returns the seqs of the lines left out, as first and last of each range. If Unlisted is
// set, there are more.
func (e *Excluded) Ranges() [][2]int64 {
	if e.Open[0] == 0 {
		return [][2]int64{}
	}
	return append(e.Done[:len(e.Done):len(e.Done)], e.Open)
}

// excluder decides which lines are left out.
type excluder struct {
	globs []string
	// known says whether a type, a raw JSON value, is left out. It has at most maxTypes entries,
	// because an agent may invent types.
	known map[string]bool
}

// maxTypes limits how many types are remembered.
const maxTypes = 1000

func newExcluder(globs []string) (excluder, error) {
	for _, glob := range globs {
		if _, err := path.Match(glob, ""); err != nil {
			return excluder{}, fmt.Errorf("%q is not a valid pattern: %w", glob, err)
		}
	}
	return excluder{globs: globs}, nil
}

func (e *excluder) on() bool { return len(e.globs) > 0 }

// excludes reports whether a type, a raw JSON value, is left out. A nil type is not.
func (e *excluder) excludes(typ []byte) bool {
	if typ == nil {
		return false
	}
	out, known := e.known[string(typ)]
	if known {
		return out
	}
	if name, ok := stringValue(typ); ok {
		for _, glob := range e.globs {
			match, err := path.Match(glob, name)
			out = out || match && err == nil
		}
	}
	if e.known == nil || len(e.known) == maxTypes {
		e.known = map[string]bool{}
	}
	if len(typ) <= maxID {
		e.known[string(typ)] = out
	}
	return out
}

// textType is the type of a line that is not a JSON object.
var textType = []byte(`"text"`)

// line reports whether a line is left out. h is what the scan found, and object says whether the
// line is a JSON object. Any other line has the type "text".
func (e *excluder) line(h *head, object bool) bool {
	if object {
		return e.excludes(h.typ)
	}
	return e.excludes(textType)
}
