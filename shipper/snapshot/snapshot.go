// Package snapshot defines the versions of an input's snapshot: the options and the target that the
// file "about" keeps beside the input's bytes in the journal folder. Package run writes snapshots
// and ships by them, and package status shows parts of them. Both read only the versions listed
// here.
package snapshot

import (
	"encoding/json"
	"fmt"
)

// The versions of a snapshot. Add a version when an older program would ship an input wrongly from
// what a newer one recorded. A member that older programs may ignore needs no version. A snapshot
// is written with the lowest version that covers its members, so that older programs read what they
// can ship.
const (
	// First is the first version. Programs from before versions existed wrote the same members
	// without a version.
	First = 1
	// WithRole is the version of a snapshot that names a role to assume. A program that does not
	// know roles would ship the input with other credentials.
	WithRole = 2

	// Newest is the highest version that this program reads.
	Newest = WithRole
)

// NewerError says that a newer program recorded an input in a way that this program does not know.
type NewerError struct{ Version int }

func (e *NewerError) Error() string {
	return fmt.Sprintf("a newer version of perstack-shipper recorded it (its snapshot has version %d, this program reads up to %d): ship it with that version", e.Version, Newest)
}

// Decode reads a snapshot into the members that the caller wants. If a newer program wrote it, the
// error is a *NewerError and into is unchanged.
func Decode(data []byte, into any) error {
	var head struct {
		Version int `json:"v"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return err
	}
	if head.Version > Newest {
		return &NewerError{head.Version}
	}
	return json.Unmarshal(data, into)
}
