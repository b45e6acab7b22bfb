package audit

// This file reads the seals and open records of a time without their inputs' events.

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/readback"
)

// recorded is an input with its records.
type recorded struct {
	id     string
	stderr bool
	seal   *seal  // the newest, or nil if none was found
	sealed int64  // when the last copy of the seal arrived; ms since 1970
	opens  []open // one per stream
}

// seal is a seal with the jobs that it counts.
type seal struct {
	readback.Seal
	// Jobs is nil in the seals of versions that did not count jobs.
	Jobs []batch.Job `json:"jobs"`
}

// open sums up the open records of an input in one stream.
type open struct {
	stream   string
	jobID    string // "" if the input had not named a job yet
	at       int64  // time of the first line; ms since 1970
	arrived  int64  // when the newest record arrived; ms since 1970
	hostname string
}

// recordsOf reads the records at or after a time.
func recordsOf(ctx context.Context, src readback.Source, since time.Time) ([]*recorded, error) {
	v := &recordsView{}
	_, err := readback.Read(ctx, src, readback.Query{Records: true, Stderr: true, Since: since}, v)
	return v.inputs, err
}

// recordsView collects records. They take only some hundred bytes per job.
type recordsView struct {
	readback.Ignore
	inputs []*recorded
}

// Input begins to collect the records of in.
func (v *recordsView) Input(in *readback.Input) error {
	v.inputs = append(v.inputs, &recorded{id: in.ID, stderr: in.Source == "stderr" || strings.HasSuffix(in.ID, ".err")})
	return nil
}

// Record collects r for the latest input.
func (v *recordsView) Record(r *readback.Record) error {
	v.inputs[len(v.inputs)-1].take(r)
	return nil
}

// take adds a record to its input. Of the seals it keeps the newest.
func (in *recorded) take(r *readback.Record) {
	switch r.Kind {
	case "seal":
		if s := newestSeal(r); s != nil {
			in.seal, in.sealed = s, max(in.sealed, r.Arrived)
		}
	case "open":
		o, ok := openOf(r)
		if !ok {
			return
		}
		i := slices.IndexFunc(in.opens, func(other open) bool { return other.stream == o.stream })
		if i < 0 {
			in.opens = append(in.opens, o)
			return
		}
		known := &in.opens[i]
		known.at, known.arrived, known.jobID = min(known.at, o.at), max(known.arrived, o.arrived), cmp.Or(known.jobID, o.jobID)
	}
}

// newestSeal returns the seal in a record if it is a copy of the input's newest seal, and nil
// otherwise.
func newestSeal(r *readback.Record) *seal {
	newest := r.Input.Seal
	s := &seal{}
	if newest == nil || json.Unmarshal(r.Message, s) != nil {
		return nil
	}
	if s.LastSeq != newest.LastSeq || s.Bytes != newest.Bytes || s.EmptyLines != newest.EmptyLines || s.Ended != newest.Ended ||
		s.Timestamp != newest.Timestamp {
		return nil
	}
	return s
}

// openOf parses an open record.
func openOf(r *readback.Record) (open, bool) {
	var says struct {
		readback.Open
		JobID string `json:"jobId"`
	}
	if json.Unmarshal(r.Message, &says) != nil {
		return open{}, false
	}
	return open{r.Stream, says.JobID, cmp.Or(says.Timestamp, r.Time), r.Arrived, says.Hostname}, true
}

// open returns what is known about a stream of the input. If no record names the job, open takes it
// from the stream's name, which is the jobId by default.
func (in *recorded) open(stream string) open {
	o := open{stream: stream}
	if i := slices.IndexFunc(in.opens, func(o open) bool { return o.stream == stream }); i >= 0 {
		o = in.opens[i]
	}
	if o.jobID == "" && stream != batch.Unattributed(o.hostname, in.id) {
		o.jobID = stream
	}
	return o
}

// running returns the opens that no seal followed.
func (in *recorded) running() (running []open) {
	for _, o := range in.opens {
		if in.seal == nil || o.arrived > in.sealed {
			running = append(running, in.open(o.stream))
		}
	}
	return running
}

// group is a set of inputs with all their streams. Inputs that share a stream are in one group, so
// that each stream is read only once.
type group struct{ inputs, streams []string }

// groups groups inputs that share streams.
func groups(inputs []*recorded) []*group {
	byStream := map[string]*group{}
	var order []*group
	for _, in := range inputs {
		streams := in.streams()
		if len(streams) == 0 {
			continue
		}
		g := &group{inputs: []string{in.id}, streams: nil}
		order = append(order, g)
		for _, name := range streams {
			other := byStream[name]
			switch {
			case other == nil:
				g.streams = append(g.streams, name)
				byStream[name] = g
			case other != g:
				g.inputs = append(g.inputs, other.inputs...)
				g.streams = append(g.streams, other.streams...)
				for _, theirs := range other.streams {
					byStream[theirs] = g
				}
				other.inputs, other.streams = nil, nil
			}
		}
	}
	return slices.DeleteFunc(order, func(g *group) bool { return len(g.inputs) == 0 })
}

// streams returns the streams that the records of an input name.
func (in *recorded) streams() []string {
	var names []string
	if in.seal != nil {
		names = append(names, in.seal.Streams...)
	}
	for _, o := range in.opens {
		names = append(names, o.stream)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
