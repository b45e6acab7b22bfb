package audit

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

// This file reads what the seals and opens of a time say of their inputs, without their events.

// recorded is an input with its records.
type recorded struct {
	id     string
	stderr bool
	seal   *seal  // the newest; nil: none was found
	sealed int64  // when its last copy arrived; ms since 1970
	opens  []open // the newest of each stream
}

// seal is the record of what was shipped of an input.
type seal struct {
	readback.Seal
	// Jobs is nil in the seals of versions that did not count them.
	Jobs []batch.Job `json:"jobs"`
}

// open is what the records say that an input put into a stream before anything else.
type open struct {
	stream   string
	jobID    string // "": the input had named none
	at       int64  // the time of the first line; ms since 1970
	arrived  int64  // when the newest arrived; ms since 1970
	hostname string
}

// recordsOf reads the records since a time.
func recordsOf(ctx context.Context, src readback.Source, since time.Time) ([]*recorded, error) {
	v := &recordsView{}
	_, err := readback.Read(ctx, src, readback.Query{Records: true, Stderr: true, Since: since}, v)
	return v.inputs, err
}

// recordsView collects records. There are few: some hundred bytes a job.
type recordsView struct {
	readback.Ignore
	inputs []*recorded
}

func (v *recordsView) Input(in *readback.Input) error {
	v.inputs = append(v.inputs, &recorded{id: in.ID, stderr: in.Source == "stderr" || strings.HasSuffix(in.ID, ".err")})
	return nil
}

func (v *recordsView) Record(r *readback.Record) error {
	v.inputs[len(v.inputs)-1].take(r)
	return nil
}

// take keeps what a record says, if it is the newest.
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

// newestSeal reads a seal, if it is a copy of the newest of its input; nil if it is not.
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

// openOf reads an open record.
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

// open returns what is known of a stream of the input. Where no record names the job, it is taken
// from the stream's name: by default that is the jobId.
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

// running are the opens that no seal followed.
func (in *recorded) running() (running []open) {
	for _, o := range in.opens {
		if in.seal == nil || o.arrived > in.sealed {
			running = append(running, in.open(o.stream))
		}
	}
	return running
}
