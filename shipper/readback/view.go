package readback

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"

	"perstack-shipper/batch"
)

// View turns the contents of a log group into something: printed lines, a proof, a table. [Read]
// hands it one input at a time, ordered by the time of their first lines, and calls the methods for
// each input in this order:
//
//	Input, once
//	Record, for each record of the input, in the order of reading
//	Line and Fault, in the order of seq
//	Fault, for each repeat that differs from the line that was handed over
//	End, once
//
// Arguments and the slices in them are valid until the method returns, except that an *[Input]
// stays valid. If a method returns an error, Read stops and returns that error unchanged.
type View interface {
	Input(in *Input) error
	Record(r *Record) error
	Line(l *Line) error
	Fault(f *Fault) error
	End(in *Input) error
}

// Ignore is a [View] that does nothing. Views that need only some of the methods embed it.
type Ignore struct{}

// Input does nothing.
func (Ignore) Input(*Input) error { return nil }

// Record does nothing.
func (Ignore) Record(*Record) error { return nil }

// Line does nothing.
func (Ignore) Line(*Line) error { return nil }

// Fault does nothing.
func (Ignore) Fault(*Fault) error { return nil }

// End does nothing.
func (Ignore) End(*Input) error { return nil }

// Line is a line of an input with its parts joined.
type Line struct {
	Input *Input
	Seq   int64
	Empty int64 // empty lines directly before it

	Time    int64  // the line's own time, ms since 1970
	Arrived int64  // when CloudWatch took it, ms since 1970
	Stream  string // where it, or its first part, was read

	// Members at the top level of the event, including ids that the shipper added. A line in
	// parts has only the members that each part repeats.
	Type, JobID, RunID string

	Source    string // "stderr" or ""
	Parts     int    // 0: the event holds the whole line
	Text      bool   // not a JSON object, or not known to be one
	Lossy     bool   // U+FFFD replaces bytes that were not UTF-8
	NoNewline bool   // the input ended here, without a newline
	Excluded  int64  // lines directly before it that --exclude-type left out
	Redacted  int64  // matches of --redact that were replaced in it

	Size int64 // bytes, without the newline

	file  *tempFile // the beginning of a line too large to hold in memory, or nil
	filed int64     // bytes in file
	held  []byte    // the rest of the line
}

// Bytes returns the line without its newline. It returns false if the line is larger than
// Query.Memory and therefore not held in memory; use WriteTo or All for such a line.
func (l *Line) Bytes() ([]byte, bool) { return l.held, l.file == nil }

// All returns the whole line without its newline. It reads a line that is not held in memory into
// buf.
func (l *Line) All(buf *bytes.Buffer) ([]byte, error) {
	if line, ok := l.Bytes(); ok {
		return line, nil
	}
	buf.Reset()
	buf.Grow(int(l.Size)) // a buffer that grows as it is filled takes twice as much
	_, err := l.WriteTo(buf)
	return buf.Bytes(), err
}

// WriteTo writes the line to w, without its newline.
func (l *Line) WriteTo(w io.Writer) (int64, error) {
	var n int64
	if l.file != nil {
		var err error
		if n, err = io.Copy(w, io.NewSectionReader(l.file, 0, l.filed)); err != nil {
			return n, err
		}
	}
	m, err := w.Write(l.held)
	return n + int64(m), err
}

// Record is one of the shipper's own events, which describe an input.
type Record struct {
	Input   *Input
	Kind    string // "open", "seal", or a kind that this version does not know
	Stream  string
	Time    int64  // ms since 1970
	Arrived int64  // when CloudWatch took it, ms since 1970
	Message []byte // one JSON object, which may have members that this version does not know
}

// Input describes an input as known once everything that the query selects has been read.
type Input struct {
	ID      string
	Source  string   // "stderr", or "" if it is stdout or unknown
	Time    int64    // of the first line of the job, or of the first record; ms since 1970
	Arrived int64    // when CloudWatch took the newest event that was read; ms since 1970
	Streams []string // the streams in which events of it were read
	Open    *Open    // from the first process that shipped it; nil if none was read
	Seal    *Seal    // the newest; nil if none was read
	// Strange describes what this version does not understand in the seal, such as a member that a
	// later version added, or is "".
	Strange string

	// Proved reports whether every stream that the newest seal names was read from start to end.
	// Only then is it a [Fault] if a line that the seal counts does not exist.
	Proved bool
	// Absent are the streams that the newest seal names but that do not exist.
	Absent []string

	// These fields are valid only in [View.End].
	LastSeq  int64 // of the last line of the job
	Trailing int64 // empty lines after the last line, as far as known
	Repeats  int64 // events dropped because another had the same seq and part

	named      bool   // some line names the query's job and run
	others     bool   // some line names another job
	mentioned  bool   // a record says that the input is of the job
	firstSeq   int64  // the first line that names the job; math.MaxInt64 if none does
	nameless   bool   // lines before firstSeq name no job
	early      string // where the open record says the lines before the first job are, or ""
	emptyLines int64  // the highest count in a seal
	newest     int64  // CloudWatch's time of the newest line that was read
}

// ours reports whether the query selects the input.
func (in *Input) ours() bool { return in.named || in.mentioned && !in.others }

// Open holds what readers need of an open record, which the shipper writes into each stream before
// anything else. [Record].Message has the whole record.
type Open struct {
	Timestamp    int64             `json:"timestamp"`
	Version      string            `json:"version"`
	PID          int               `json:"pid"`
	Hostname     string            `json:"hostname"`
	Started      string            `json:"started"`
	Source       string            `json:"source"`
	Path         string            `json:"path"`
	Target       map[string]string `json:"target"`
	Stream       string            `json:"stream"`
	Fields       map[string]string `json:"fields"`
	Unattributed string            `json:"unattributed"` // the stream of lines before the first job
	ECS          map[string]string `json:"ecs"`
}

// Seal holds what readers need of a seal, which the shipper writes into each stream when it stops.
// A seal says what was shipped of the input up to there. [Record].Message has the whole record.
type Seal struct {
	Timestamp     int64      `json:"timestamp"`
	Lines         int64      `json:"lines"`
	EmptyLines    int64      `json:"emptyLines"`
	Bytes         int64      `json:"bytes"`
	LastSeq       int64      `json:"lastSeq"`
	SHA256        string     `json:"sha256"`    // of the lines as shipped
	RawSHA256     string     `json:"rawSha256"` // of the lines as read, or "" if it is the same
	Events        int64      `json:"events"`
	Parts         int64      `json:"parts"`
	Lossy         int64      `json:"lossy"`
	Rejected      [][2]int64 `json:"rejected"` // ranges of seqs that CloudWatch refused
	ExcludedLines int64      `json:"excludedLines"`
	Excluded      [][2]int64 `json:"excluded"`      // ranges of seqs that --exclude-type left out
	ExcludedCut   bool       `json:"excludedCut"`   // Excluded does not list all ranges
	ExcludedSince int64      `json:"excludedSince"` // lines left out since the latest event
	Redacted      int64      `json:"redacted"`      // matches of --redact that were replaced
	Streams       []string   `json:"streams"`
	Ended         bool       `json:"ended"` // the input can get no more lines

	CutLine   bool `json:"cutLine"` // the input ended within a line of JSON
	Truncated struct {
		Times int64 `json:"times"`
		Bytes int64 `json:"bytes"`
	} `json:"truncated"` // the file shrank before it was read; at least Bytes bytes are lost

	Jobs []*batch.Job `json:"jobs"` // nil in a seal of an earlier version

	// No reader needs these members. They are listed because a member that is not listed here
	// counts as one of a later version.
	Shipper, Type, Clamped, PossiblyRepeated, RejectedLines json.RawMessage
	Outcomes, Tokens, First, Exit                           json.RawMessage
}

// strange describes what this version does not understand in a seal, or returns "".
func strange(message []byte) string {
	d := json.NewDecoder(bytes.NewReader(message))
	d.DisallowUnknownFields()
	if err := d.Decode(&Seal{}); err != nil {
		_, name, found := strings.Cut(err.Error(), "unknown field ")
		if !found {
			return "a form that this version cannot read"
		}
		return "the member " + name + ", which this version does not know"
	}
	return ""
}

// parse unmarshals a record's message into says. It returns false if the message is not JSON or has
// other types.
func parse(message []byte, says any) bool { return json.Unmarshal(message, says) == nil }

// newer reports whether s describes a later state of the input than o. Seals count from the input's
// start, so the seal with the highest numbers is the newest. If the numbers are equal, the later
// seal wins, because it knows what became of the lines that were put together with the earlier one,
// for instance that CloudWatch refused one. Any seal is newer than nil.
func (s *Seal) newer(o *Seal) bool {
	switch {
	case o == nil:
		return true
	case s.LastSeq != o.LastSeq:
		return s.LastSeq > o.LastSeq
	case s.Bytes != o.Bytes:
		return s.Bytes > o.Bytes
	case s.EmptyLines != o.EmptyLines:
		return s.EmptyLines > o.EmptyLines
	case s.Ended != o.Ended:
		return s.Ended
	}
	return s.Timestamp >= o.Timestamp
}
