package audit

// This file restores what a job had in its workspace: its checkpoints, and its events as Perstack
// stores them next to the checkpoints. workspace.go writes the files.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"

	"perstack-shipper/shipper/audit/event"
	"perstack-shipper/shipper/readback"
)

// RestoreOptions say what to restore, and where.
type RestoreOptions struct {
	// Dir is the workspace. Files are written below Dir/perstack/jobs. Dir is created if necessary.
	Dir string
	// Checkpoint is the id of the only checkpoint to restore. If "", all checkpoints and events are
	// restored.
	Checkpoint string
	// Force replaces existing files that differ. Without it, one such file is an error, and nothing
	// is changed.
	Force bool
}

// Restored counts what was restored.
type Restored struct {
	Folder      string // of the job, below RestoreOptions.Dir
	Checkpoints int    // files
	Events      int    // files
	Bytes       int64  // of all files
	Unchanged   int    // files among them that existed with the same bytes

	Refused []string // a sentence for each file that could not be written; the first 20
	Refuses int64    // number of files that could not be written
	Cut     int64    // lines that end in the middle of an event
}

// Complete reports whether everything that the events hold was restored.
func (r *Restored) Complete() bool { return r.Refuses == 0 && r.Cut == 0 }

// ErrNoCheckpoint reports that no event holds the requested checkpoint.
var ErrNoCheckpoint = errors.New("no event of the job holds this checkpoint")

// Restore writes the files of the job that q selects. If it fails, it leaves nothing behind, with
// one exception: with a *[readback.DamageError] some lines were missing or altered, and everything
// else has been restored.
func Restore(ctx context.Context, src readback.Source, q readback.Query, o RestoreOptions) (Restored, error) {
	var done Restored
	if reason := badName(q.Job); reason != "" {
		return done, fmt.Errorf("the job's id %q %s, so no folder can be named after it; read the job with logs instead", q.Job, reason)
	}
	done.Folder = path.Join("perstack", "jobs", q.Job)
	w, err := openWorkspace(o.Dir)
	if err != nil {
		return done, err
	}
	defer w.close()
	v := restorer{done: &done, w: w, only: o.Checkpoint}
	_, readErr := readback.Read(ctx, src, q, &v)
	if _, damaged := errors.AsType[*readback.DamageError](readErr); readErr != nil && !damaged {
		return done, readErr
	}
	if o.Checkpoint != "" && v.found == 0 {
		return done, ErrNoCheckpoint
	}
	if err := w.commit(ctx, &done, o.Force); err != nil {
		return done, err
	}
	return done, readErr
}

// restorer is the View that writes each line's files.
type restorer struct {
	readback.Ignore
	done  *Restored
	w     *workspace
	only  string
	found int64 // events that hold the checkpoint only
	line  bytes.Buffer
}

// Line implements readback.View.
func (r *restorer) Line(l *readback.Line) error {
	line, err := l.All(&r.line)
	if err != nil {
		return err
	}
	e, ok := keptOf(line)
	if !ok {
		if bytes.HasPrefix(line, []byte(`{"type":`)) {
			r.done.Cut++
		}
		return nil
	}
	if e.checkpoint != nil {
		if err := r.checkpoint(l, &e); err != nil {
			return err
		}
	}
	if r.only == "" && e.step != "" {
		return r.event(l, &e, line)
	}
	return nil
}

func (r *restorer) checkpoint(l *readback.Line, e *kept) error {
	id := checkpointID(e.checkpoint)
	switch {
	case r.only != "" && id != r.only:
		return nil
	case badName(id+".json") != "":
		r.refuse(l, "checkpoint's id", id, badName(id+".json"))
		return nil
	}
	r.found++
	return r.w.put(path.Join(r.done.Folder, "checkpoints", id+".json"), e.checkpoint)
}

// event stores a line as Perstack does. If several lines have the same file name, the last one
// wins.
func (r *restorer) event(l *readback.Line, e *kept, line []byte) error {
	run := e.run
	if run == "" {
		run = l.RunID
	}
	name := fmt.Sprintf("event-%s-%s-%s.json", e.timestamp, e.step, e.typ)
	switch {
	case badName(run) != "":
		r.refuse(l, "run's id", run, badName(run))
		return nil
	case !plainNumber.MatchString(e.timestamp) || !plainNumber.MatchString(e.step):
		r.refuse(l, "file name", name, "has a time or a step that is not a whole number")
		return nil
	case badName(name) != "":
		r.refuse(l, "type", e.typ, badName(name))
		return nil
	}
	return r.w.put(path.Join(r.done.Folder, "runs", run, name), line)
}

// refuse notes why a file of a line is not written. It quotes the agent's text.
func (r *restorer) refuse(l *readback.Line, what, id, why string) {
	const maxRefused = 20
	if r.done.Refuses++; len(r.done.Refused) < maxRefused {
		r.done.Refused = append(r.done.Refused, fmt.Sprintf("input %s, line %d: the %s %.100q %s", l.Input.ID, l.Seq, what, id, why))
	}
}

// plainNumber matches a time or a step in a file name. Perstack writes them in no other form.
var plainNumber = regexp.MustCompile(`^[0-9]{1,16}$`)

// badName says why an id cannot be used as a file name, or returns "". Such an id could lead out of
// the folder.
func badName(id string) string {
	switch {
	case id == "" || id == ".json":
		return "is empty"
	case id == "." || id == "..":
		return "names a folder"
	case strings.ContainsAny(id, "/\\"):
		return "contains a slash"
	case strings.ContainsRune(id, 0):
		return "contains a NUL"
	case !utf8.ValidString(id):
		return "is not UTF-8"
	case len(id) > 255:
		return "is too long for a file name"
	}
	return ""
}

// kept holds the members of an event that make up its files. Numbers are as written in the event.
type kept struct {
	typ, run        string
	timestamp, step string
	checkpoint      json.RawMessage
}

// keptOf parses a line. It returns false if the line is not a complete JSON object.
func keptOf(line []byte) (e kept, ok bool) {
	members, ok := event.Members(line)
	if !ok {
		return e, false
	}
	for _, m := range members { // if a member is there twice, the last one wins, as in Perstack
		switch m.Name {
		case "type":
			e.typ = jsonText(m.Value)
		case "runId":
			e.run = jsonText(m.Value)
		case "timestamp":
			e.timestamp = string(m.Value)
		case "stepNumber":
			e.step = string(m.Value)
		case "checkpoint":
			e.checkpoint = nil
			if m.Value[0] == '{' {
				e.checkpoint = m.Value
			}
		}
	}
	return e, true
}

func checkpointID(checkpoint json.RawMessage) (id string) {
	members, _ := event.Members(checkpoint)
	for _, m := range members {
		if m.Name == "id" {
			id = jsonText(m.Value)
		}
	}
	return id
}

// jsonText returns the string in raw, or "" if raw is not a string.
func jsonText(raw json.RawMessage) (s string) {
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}
