package shipper

// This file makes the shipper's own records. They accompany an input's events in each of its
// streams, so that readers can prove the events complete. Readers recognize records by "record"
// inside the shipper member, never by their type.

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"time"

	"perstack-shipper/batch"
)

// Origin is what open records say about the process. It is the same for all inputs.
type Origin struct {
	Version  string
	PID      int
	Hostname string
	Started  time.Time
	Target   map[string]string // group, Region, endpoint, account
	// ECS returns the task's metadata, and may wait for it; nil outside ECS.
	ECS func() map[string]string
}

type recordHead struct {
	Record string `json:"record"`
	Input  string `json:"input"`
}

type openRecord struct {
	Shipper      recordHead        `json:"shipper"`
	Type         string            `json:"type"`
	Timestamp    int64             `json:"timestamp"`
	Version      string            `json:"version"`
	PID          int               `json:"pid"`
	Hostname     string            `json:"hostname"`
	Started      string            `json:"started"`
	Source       string            `json:"source,omitempty"`
	Path         string            `json:"path,omitempty"`
	Command      []string          `json:"command,omitempty"`
	Target       map[string]string `json:"target"`
	Stream       string            `json:"stream"`
	JobID        json.RawMessage   `json:"jobId,omitempty"` // of the first line in the stream
	Fields       map[string]string `json:"fields,omitempty"`
	Unattributed string            `json:"unattributed,omitempty"` // of lines before the first job
	ECS          map[string]string `json:"ecs,omitempty"`
}

// openMessage returns the open record for a stream. job is the jobId of the stream's first line, as
// raw JSON, or "".
func (in *input) openMessage(o *Origin, stream, job string, now int64) ([]byte, error) {
	r := openRecord{
		Shipper: recordHead{"open", in.Shape.Input}, Type: "shipper.open", Timestamp: now,
		Version: o.Version, PID: o.PID, Hostname: o.Hostname, Started: o.Started.UTC().Format(time.RFC3339Nano),
		Source: in.Shape.Source, Path: in.Path, Command: in.Command, Target: o.Target, Stream: stream, JobID: json.RawMessage(job),
	}
	if o.ECS != nil {
		r.ECS = o.ECS()
	}
	for _, f := range in.Shape.Fields {
		if r.Fields == nil {
			r.Fields = map[string]string{}
		}
		r.Fields[f.Name] = f.Value
	}
	if first := batch.Unattributed(in.Shape.Hostname, in.Shape.Input); in.shaper.Streams()[0] == first && stream != first {
		r.Unattributed = first
	}
	return recordJSON(r)
}

type sealRecord struct {
	Shipper    recordHead  `json:"shipper"`
	Type       string      `json:"type"`
	Timestamp  int64       `json:"timestamp"`
	Lines      int64       `json:"lines"`
	EmptyLines int64       `json:"emptyLines"`
	Bytes      int64       `json:"bytes"`
	LastSeq    int64       `json:"lastSeq"`
	SHA256     string      `json:"sha256"`
	RawSHA256  string      `json:"rawSha256,omitempty"`
	Events     int64       `json:"events"`
	Parts      int64       `json:"parts"`
	Clamped    int64       `json:"clamped"`
	Lossy      int64       `json:"lossy"`
	Repeated   int64       `json:"possiblyRepeated"`
	Rejected   ranges      `json:"rejected"`
	Truncated  truncations `json:"truncated,omitzero"`
	Streams    []string    `json:"streams"`
	Ended      bool        `json:"ended"`
	CutLine    bool        `json:"cutLine,omitempty"` // the input ended within a line of JSON

	// The fields below are the receipt. It repeats sums over the arrays as numbers, because a
	// metric filter cannot add up an array.
	Jobs          []*batch.Job `json:"jobs"`
	Outcomes      batch.Tally  `json:"outcomes"`
	Tokens        int64        `json:"tokens"`
	RejectedLines int64        `json:"rejectedLines"`
	ExcludedLines int64        `json:"excludedLines"`
	Excluded      [][2]int64   `json:"excluded,omitempty"`    // ranges of seqs
	ExcludedCut   bool         `json:"excludedCut,omitempty"` // not all ranges are listed
	// ExcludedSince is how many lines were left out since the latest event.
	ExcludedSince int64 `json:"excludedSince,omitempty"`
	Redacted      int64 `json:"redacted,omitempty"` // how many matches were replaced
	// First is set only in the copy for the input's first stream, so that a metric filter can count
	// each seal once.
	First bool  `json:"first,omitempty"`
	Exit  *Exit `json:"exit,omitempty"`
}

// Exit is how a command ended: with an exit code or by a signal.
type Exit struct {
	Code   *int   `json:"code,omitempty"`
	Signal string `json:"signal,omitempty"`
}

// sealMessages returns the seal of everything shaped so far: first for the input's first stream,
// others for its other streams.
func (in *input) sealMessages(now int64, ended bool) (first, others []byte, err error) {
	r, err := in.sealRecord(now, ended)
	if err != nil {
		return nil, nil, err
	}
	if others, err = r.message(); err != nil {
		return nil, nil, err
	}
	r.First = true
	first, err = r.message()
	return first, others, err
}

// sealRecord returns the seal of everything shaped so far. ended is whether the input has ended.
func (in *input) sealRecord(now int64, ended bool) (*sealRecord, error) {
	st := in.shaper.State()
	lines, raw, err := st.Digest.Sums()
	if err != nil {
		return nil, fmt.Errorf("the digest of input %s: %w", in.Shape.Input, err)
	}
	receipt := in.shaper.Receipt()
	r := &sealRecord{
		Shipper: recordHead{"seal", in.Shape.Input}, Type: "shipper.seal", Timestamp: now,
		Lines: st.Seq, EmptyLines: st.Counts.EmptyLines, Bytes: st.Counts.Bytes, LastSeq: st.Seq,
		SHA256: hex.EncodeToString(lines), RawSHA256: hex.EncodeToString(raw),
		Events: st.Counts.Events, Parts: st.Counts.Parts, Lossy: st.Counts.Lossy,
		Clamped: st.Counts.Clamped + in.ack.account.Restamped, Repeated: in.ack.account.Repeated,
		Rejected: in.ack.account.Rejected, Truncated: in.ack.account.Truncated, Streams: in.shaper.Streams(), Ended: ended, CutLine: st.Cut,
		Jobs: slices.Clone(receipt.Jobs()), Outcomes: receipt.Outcomes(), Tokens: receipt.Usage().TotalTokens, RejectedLines: in.ack.account.Rejected.count(),
		ExcludedLines: st.Excluded.Lines, Excluded: st.Excluded.Ranges(), ExcludedCut: st.Excluded.Unlisted, ExcludedSince: st.Excluded.Since,
		Redacted: st.Counts.Redacted,
	}
	if r.Rejected == nil {
		r.Rejected = ranges{}
	}
	if r.Jobs == nil {
		r.Jobs = []*batch.Job{}
	}
	if in.Exit != nil {
		r.Exit = in.Exit()
	}
	return r, nil
}

// message returns the record as JSON. It shortens a record that is too large for an event, which
// only an agent that tries to can cause: first the ranges of rejected seqs, then the Experts of the
// jobs.
func (r *sealRecord) message() ([]byte, error) {
	message, err := recordJSON(r)
	if len(message) > batch.MaxEventBytes {
		r.Rejected = r.Rejected.coarse(1000)
		message, err = recordJSON(r)
	}
	if len(message) > batch.MaxEventBytes {
		for i, j := range r.Jobs {
			r.Jobs[i] = j.Short()
		}
		message, err = recordJSON(r)
	}
	return message, err
}

func recordJSON(r any) ([]byte, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("make a record: %w", err)
	}
	return data, nil
}

// ranges is a set of seqs as ascending ranges, each with its first and last seq.
type ranges [][2]int64

// add adds a seq to the set.
func (r *ranges) add(seq int64) {
	s := *r
	i := sort.Search(len(s), func(i int) bool { return s[i][1] >= seq-1 })
	switch {
	case i == len(s) || s[i][0] > seq+1:
		s = append(s, [2]int64{})
		copy(s[i+1:], s[i:])
		s[i] = [2]int64{seq, seq}
	default:
		s[i][0], s[i][1] = min(s[i][0], seq), max(s[i][1], seq)
		if i+1 < len(s) && s[i+1][0] <= s[i][1]+1 {
			s[i][1] = max(s[i][1], s[i+1][1])
			s = append(s[:i+1], s[i+2:]...)
		}
	}
	*r = s
}

// count returns the number of seqs in the set.
func (r ranges) count() (n int64) {
	for _, x := range r {
		n += x[1] - x[0] + 1
	}
	return n
}

// coarse returns a set of at most n ranges that contains all of r. It merges the ranges after the
// first n-1.
func (r ranges) coarse(n int) ranges {
	if len(r) <= n {
		return r
	}
	out := append(ranges(nil), r[:n]...)
	out[n-1][1] = r[len(r)-1][1]
	return out
}
