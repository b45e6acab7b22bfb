package run

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

// What is durable in the journal folder, and who decides about it:
//
//	version               the layout of the folder                          package journal
//	alive-*               a run is alive, for healthcheck; not durable      package journal
//	ID/lock               who owns the input now; not durable               package journal
//	ID/input              what kind of input it is, where its bytes are     package journal
//	ID/about              options and target it is shipped with             about, in this file
//	ID/cursor.a, .b       the offset that is acknowledged, and there:       package journal
//	                        what its lines amount to, streams, accounts       package shipper, cursorState
//	                        what the shaper knows at that offset              package batch, State
//	ID/arrivals           when its bytes arrived                            package journal
//	ID/*.segment, fifo    the bytes of a pipe                               package journal
//	ID/*.output           the bytes of a command's stdout                   package journal
//	ID/rejects.jsonl      events that CloudWatch refused, for people        package shipper
//
// ID names an input. The bytes of a followed file stay in that file. The layout is described in
// package journal. Package status reads these files from outside, ID/about too, whose versions are in
// package snapshot.

// about is the snapshot that is kept beside an input's bytes: the options and the target that it is
// shipped with. With it a later process ships what this one left.
type about struct {
	// Version is that of the snapshot, one of package snapshot's.
	Version int               `json:"v"`
	Shape   batch.Shape       `json:"shape"`
	Target  cloudwatch.Target `json:"target"`
	cloudwatch.Caller
	Creation     Creation     `json:"creation"`
	JobOf        string       `json:"jobOf,omitempty"`   // the input whose job its lines take while they know none
	ProcessGroup int          `json:"group,omitempty"`   // of the command that writes it; 0: none does
	Path         string       `json:"path,omitempty"`    // of a followed file or FIFO
	Command      []string     `json:"command,omitempty"` // that writes it, without secrets
	File         *follow.Note `json:"file,omitempty"`    // of a followed file
}

// Creation says what to do where the log group or a stream is missing. It is part of the snapshot:
// the names of its members are those of the journal folder.
type Creation struct {
	Create        bool
	RetentionDays int // of a group created here; 0: none is set
	KMSKeyID      string
	Tags          []Tag
}

// Tag is a tag of a log group.
type Tag struct{ Key, Value string }

// encode returns the snapshot as it is kept.
func (a about) encode() []byte {
	a.Version = snapshot.First
	if a.RoleARN != "" {
		a.Version = snapshot.WithRole
	}
	data, err := json.Marshal(a)
	if err != nil { // strings and numbers
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

// readAbout reads the snapshot of an input that was left.
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

// sameTarget reports whether what was meant for one target may go to the other. While the account
// of one is not known, it is taken for the same.
func sameTarget(a, b cloudwatch.Target) bool {
	if a.Account == "" || b.Account == "" {
		a.Account, b.Account = "", ""
	}
	return a == b
}

// targetName is a target for people.
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
