// Package status reports how far the inputs of a journal folder are shipped, and whether the
// shipper that holds them is alive. It reads nothing but the folder, so it works beside any
// shipper, after a shipper's death, and whatever state CloudWatch is in.
package status

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/snapshot"
	"perstack-shipper/shipper/terminal"
)

// Input is an input of the folder.
type Input struct {
	ID     string `json:"input"`
	Source string `json:"source,omitempty"` // stdin, stdout, stderr, or the path that is followed
	Folder string `json:"folder"`
	// Delivered inputs have been removed, except for their rejects.
	Delivered bool       `json:"delivered,omitempty"`
	Started   *time.Time `json:"started,omitempty"`

	Alive bool `json:"alive"`         // a living process holds it
	PID   int  `json:"pid,omitempty"` // of that process, which recorded it; 0: not known

	Read          int64      `json:"read"`
	Acked         int64      `json:"acked"`
	Waiting       int64      `json:"waiting"`
	Oldest        *time.Time `json:"oldest,omitempty"` // when the first waiting line arrived
	OldestSeconds float64    `json:"oldestSeconds"`
	JournalBytes  int64      `json:"journalBytes"`
	JournalLimit  int64      `json:"journalLimit,omitempty"`

	Group    string `json:"group,omitempty"`
	Region   string `json:"region,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`

	Rejects     int64  `json:"rejects"` // lines
	RejectsFile string `json:"rejectsFile,omitempty"`

	Problem string `json:"problem,omitempty"` // why some of it could not be read
}

// Inputs returns how far the inputs of a folder are shipped, as of now.
func Inputs(view *journal.View, now time.Time) ([]Input, error) {
	seen, err := view.Inputs()
	if err != nil {
		return nil, err
	}
	var all []Input
	for i := range seen {
		all = append(all, inputOf(&seen[i], now))
	}
	return all, nil
}

func inputOf(seen *journal.Seen, now time.Time) Input {
	in := Input{ID: seen.ID, Folder: seen.Path, Delivered: seen.Delivered}
	if seen.Rejects > 0 {
		in.RejectsFile = seen.RejectsPath()
		var err error
		if in.Rejects, err = countLines(in.RejectsFile); err != nil {
			in.Problem = fmt.Sprintf("its rejects: %v", err)
		}
	}
	if seen.Delivered {
		return in
	}
	if seen.Err != nil {
		in.Problem = seen.Err.Error()
	}
	in.Started = &seen.Started
	in.Alive, in.PID = seen.Holder != 0, max(seen.Holder, 0)
	in.Read, in.Acked, in.Waiting = seen.Read, seen.Acked, seen.Waiting
	in.JournalBytes, in.JournalLimit = seen.Allocated, seen.Limit
	if !seen.Oldest.IsZero() {
		in.Oldest = &seen.Oldest
		in.OldestSeconds = max(0, now.Sub(seen.Oldest).Round(time.Millisecond).Seconds())
	}
	about, newer := aboutOf(seen)
	if newer != nil {
		in.Problem = newer.Error()
	}
	in.Source = about.source(seen)
	in.Group, in.Region, in.Endpoint = about.Target.Group, about.Target.Region, about.Target.Endpoint
	return in
}

// about is what this package shows of an input's snapshot.
type about struct {
	Shape struct {
		Source string `json:"source"`
	} `json:"shape"`
	Target cloudwatch.Target `json:"target"`
	Path   string            `json:"path"`
}

// aboutOf returns an empty about if the snapshot is something else. The error says that a newer
// program wrote it, in a way that this program does not know.
func aboutOf(seen *journal.Seen) (a about, newer error) {
	err := snapshot.Decode(seen.About, &a)
	if newer, ok := errors.AsType[*snapshot.NewerError](err); ok {
		return about{}, newer
	}
	if err != nil {
		return about{}, nil
	}
	return a, nil
}

func (a *about) source(seen *journal.Seen) string {
	switch {
	case seen.File != "":
		return seen.File
	case a.Path != "":
		return a.Path
	case a.Shape.Source != "":
		return a.Shape.Source
	case seen.Kind == journal.KindOutput:
		return "stdout"
	}
	return "stdin"
}

// countLines counts the lines of a file, which may be removed at any time.
func countLines(path string) (n int64, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	buf := make([]byte, 64<<10)
	for {
		m, err := f.Read(buf)
		n += int64(bytes.Count(buf[:m], []byte{'\n'}))
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// WriteJSON writes one JSON object per line for each input, without characters that steer a
// terminal.
func WriteJSON(w io.Writer, all []Input) error {
	for i := range all {
		line, err := json.Marshal(&all[i])
		if err == nil {
			_, err = w.Write(append(terminal.EscapeJSON(line), '\n'))
		}
		if err != nil {
			return fmt.Errorf("print the inputs: %w", err)
		}
	}
	return nil
}

// Write writes a table with one line per input. A problem is at the end of the input's line.
func Write(w io.Writer, all []Input) error {
	if len(all) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "INPUT\tSOURCE\tOWNER\tREAD\tACKED\tWAITING\tOLDEST\tREJECTS\tTARGET")
	for i := range all {
		in := &all[i]
		if in.Delivered {
			fmt.Fprintf(t, "%s\t-\tdelivered\t-\t-\t-\t-\t%d\t-%s\n", in.ID, in.Rejects, in.problem())
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\t%s\t%d\t%s%s\n", in.ID, terminal.Escape(in.Source), in.owner(),
			in.Read, in.Acked, in.Waiting, in.age(), in.Rejects, in.target(), in.problem())
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print the inputs: %w", err)
	}
	return nil
}

func (in *Input) owner() string {
	switch {
	case !in.Alive:
		return "none"
	case in.PID == 0:
		return "alive"
	}
	return "process " + strconv.Itoa(in.PID)
}

func (in *Input) age() string {
	if in.Oldest == nil {
		return "-"
	}
	return ageText(time.Duration(in.OldestSeconds * float64(time.Second)))
}

func (in *Input) target() string {
	if in.Group == "" {
		return "-"
	}
	target := terminal.Escape(in.Group) + " in " + terminal.Escape(in.Region)
	if in.Endpoint != "" {
		target += " at " + terminal.Escape(in.Endpoint)
	}
	return target
}

func (in *Input) problem() string {
	if in.Problem == "" {
		return ""
	}
	return "; " + terminal.Escape(in.Problem)
}

// ageText formats a duration as a person would say it.
func ageText(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// Open returns a view of a journal folder, or an error that says why it cannot be read.
func Open(dir string) (*journal.View, error) {
	view, err := journal.LookInto(dir)
	if owner, ok := errors.AsType[*journal.OwnerError](err); ok {
		return nil, fmt.Errorf("%s belongs to user %d, and this process runs as user %d: run it as user %d",
			filepath.Clean(owner.Path), owner.Owner, owner.Want, owner.Owner)
	}
	return view, err
}
