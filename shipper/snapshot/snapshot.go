// Package snapshot knows the versions of an input's snapshot: the options and the target that stand
// beside its bytes in the journal folder, in the file "about". Package run writes it and ships by
// it, package status shows some of it. Each reads only the versions that are known here.
package snapshot

import (
	"encoding/json"
	"fmt"
)

// The versions of a snapshot. Add one when an older program would ship an input wrongly by reading
// what a newer one recorded; a member that it may ignore needs none. A snapshot is written with the
// lowest version that says all of it, so that older programs can read what they can ship.
const (
	// First is the first version. Programs from before there were versions wrote the same without
	// one.
	First = 1
	// WithRole is that of a snapshot that names a role to assume. A program that does not know
	// roles would ship the input with credentials of its own.
	WithRole = 2

	newest = WithRole
)

// NewerError says that a newer version of the program recorded an input in a way that this one does
// not know.
type NewerError struct{ Version int }

func (e *NewerError) Error() string {
	return fmt.Sprintf("a newer version of perstack-shipper recorded it (its snapshot has version %d, this program reads up to %d): ship it with that version", e.Version, newest)
}

// Decode reads a snapshot into the members that the caller wants. The error is a *NewerError if a
// newer program wrote it; into is left as it is then.
func Decode(data []byte, into any) error {
	var head struct {
		Version int `json:"v"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return err
	}
	if head.Version > newest {
		return &NewerError{head.Version}
	}
	return json.Unmarshal(data, into)
}
