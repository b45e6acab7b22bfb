//go:build unix && !linux

package child

import "perstack-shipper/shipper/journal"

// Group is the process group of a command that outlived its shipper. On this system none is found.
type Group struct{ *Child }

// FindGroup needs /proc to be sure of a group.
func FindGroup(int, *journal.Journal) *Group { return nil }
