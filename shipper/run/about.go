package run

// This is what the journal folder holds, and which package defines it:
//
//	version               the layout of the folder                          package journal
//	alive-*               a run is alive, for healthcheck; not durable      package journal
//	ID/lock               which process owns the input; not durable         package journal
//	ID/input              the kind of input, and where its bytes are        package journal
//	ID/about              the options and the target of the input           about, in this file
//	ID/cursor.a, .b       the acknowledged offset, and at that offset:      package journal
//	                        totals of the lines, streams, accounts          shipper.cursorState
//	                        the state of the shaper                         batch.State
//	ID/arrivals           when its bytes arrived                            package journal
//	ID/*.segment, fifo    the bytes of a pipe                               package journal
//	ID/*.output           the bytes of a command's stdout                   package journal
//	ID/rejects.jsonl      events that CloudWatch refused, for people        package shipper
//	ID/finished           the input is being removed; not durable           package journal
//
// ID is the id of an input. The bytes of a followed file stay in that file. Package journal
// describes the layout. Package status reads these files from outside, including ID/about, whose
// versions are in package snapshot.

import (
	"encoding/json"
	"errors"
	"fmt"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/follow"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/snapshot"
)

// about is the snapshot kept beside an input's bytes: the options and the target that it is shipped
// with. With it, a later process can ship what this process leaves.
type about struct {
	// Version is one of the versions in package snapshot.
	Version int               `json:"v"`
	Shape   batch.Shape       `json:"shape"`
	Target  cloudwatch.Target `json:"target"`
	cloudwatch.Caller
	Creation Creation `json:"creation"`
	// JobOf is the input whose job its lines belong to until they name one.
	JobOf string `json:"jobOf,omitempty"`
	// ProcessGroup is that of the command whose stdout the input is, if that is a file, and
	// otherwise 0.
	ProcessGroup int          `json:"group,omitempty"`
	Path         string       `json:"path,omitempty"`    // of a followed file or FIFO
	Command      []string     `json:"command,omitempty"` // that writes it, without secrets
	File         *follow.Note `json:"file,omitempty"`    // of a followed file
}

// Creation says how to create the log group or a stream that is missing. It is part of the
// snapshot: the names of its members are stored in journal folders.
type Creation struct {
	Create        bool
	RetentionDays int // of a group created here; 0: no retention is set
	KMSKeyID      string
	Tags          []Tag
}

// Tag is a tag of a log group.
type Tag struct{ Key, Value string }

// encode returns the snapshot as it is stored. Its version is the highest that any of its members
// needs.
func (a about) encode() []byte {
	a.Version = snapshot.First
	if a.RoleARN != "" {
		a.Version = snapshot.WithRole
	}
	data, err := json.Marshal(a)
	if err != nil { // cannot happen: it holds only strings, numbers and lists of them
		panic(err)
	}
	return data
}

// decodeAbout reads a snapshot. The error is a *snapshot.NewerError if a newer program wrote it.
func decodeAbout(data []byte) (about, error) {
	a := about{Version: snapshot.First}
	if err := snapshot.Decode(data, &a); err != nil {
		return about{}, err
	}
	if a.Shape.Input == "" {
		return a, errors.New("it names no input")
	}
	return a, nil
}

// readAbout reads the snapshot of an input that an earlier process left.
func readAbout(l journal.Left) (about, error) {
	a, err := decodeAbout(l.About)
	if newer, ok := errors.AsType[*snapshot.NewerError](err); ok {
		return a, fmt.Errorf("input %s in %s is left alone: %w", l.ID, l.Path, newer)
	}
	if err != nil {
		return a, fmt.Errorf("input %s in %s does not say what it is for, and is left alone: %w", l.ID, l.Path, errors.Join(err, l.Err))
	}
	return a, nil
}

// sameTarget reports whether an input meant for one target may go to the other. If the account of
// one is not known, sameTarget assumes that it is the same.
func sameTarget(a, b cloudwatch.Target) bool {
	if a.Account == "" || b.Account == "" {
		a.Account, b.Account = "", ""
	}
	return a == b
}

// targetName describes a target for people.
func targetName(t cloudwatch.Target) string {
	name := fmt.Sprintf("log group %q in %s", t.Group, t.Region)
	if t.Endpoint != "" {
		name += " at " + t.Endpoint
	}
	if t.Account != "" {
		name += " of account " + t.Account
	}
	return name
}
