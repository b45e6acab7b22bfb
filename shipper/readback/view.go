package readback

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"

	"perstack-shipper/batch"
)

// View is what is made of what CloudWatch holds: printed lines, a proof, a table. Read calls it for
// one input after the other, by the time of their first lines, and for each input in this order:
//
//	Input, once
//	Record, for each record of the input, in the order in which it was read
//	Line and Fault, in the order of seq
//	Fault, for repeats that differ from the line that was handed over
//	End, once
//
// What a View is handed is valid until its method returns, and so are the slices in it; an *Input
// is valid for good. An error ends the reading, and Read returns it as it is.
type View interface {
	Input(in *Input) error
	Record(r *Record) error
	Line(l *Line) error
	Fault(f *Fault) error
	End(in *Input) error
}

// Ignore is a View that does nothing, to be embedded by those that need some of the methods only.
type Ignore struct{}

func (Ignore) Input(*Input) error   { return nil }
func (Ignore) Record(*Record) error { return nil }
func (Ignore) Line(*Line) error     { return nil }
func (Ignore) Fault(*Fault) error   { return nil }
func (Ignore) End(*Input) error     { return nil }

// Line is a line of an input, its parts joined.
type Line struct {
	Input *Input
	Seq   int64
	Empty int64 // lines without a byte that came directly before it

	Time    int64  // its own time, ms since 1970
	Arrived int64  // when CloudWatch took it, ms since 1970
	Stream  string // that it was read from; of the first part

	// What the event says at its top level, ids that were added included. In a part only what every
	// part repeats.
	Type, JobID, RunID string

	Source    string // "stderr" where that is known
	Parts     int    // 0: the event holds the whole line
	Text      bool   // it is no JSON object, or not known to be one
	Lossy     bool   // bytes of it that were not UTF-8 are U+FFFD now
	NoNewline bool   // the input ended here, without a newline
	Excluded  int64  // lines directly before it that --exclude-type left out
	Redacted  int64  // matches of --redact that were replaced in it

	Size int64 // bytes, without the newline

	file  *tempFile // of a line in parts, what was too much to hold, or nil
	filed int64     // its bytes
	held  []byte    // the rest
}

// Bytes returns the line without its newline. It is false for a line so large that it is not held
// in memory (larger than Query.Memory); WriteTo and Reader give that too.
func (l *Line) Bytes() ([]byte, bool) { return l.held, l.file == nil }

// All returns all of the line without its newline. One that is not held is read into buf.
func (l *Line) All(buf *bytes.Buffer) ([]byte, error) {
	if line, ok := l.Bytes(); ok {
		return line, nil
	}
	buf.Reset()
	buf.Grow(int(l.Size)) // at once: a buffer that grows as it is filled takes twice as much
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

// Record is a record of the shipper's own.
type Record struct {
	Input   *Input
	Kind    string // "open", "seal", or one that this version does not know
	Stream  string
	Time    int64  // ms since 1970
	Arrived int64  // when CloudWatch took it, ms since 1970
	Message []byte // one JSON object, with members that this version may not know
}

// Input is what is known of an input when all that was asked for is read.
type Input struct {
	ID      string
	Source  string   // "stderr", or "" where it is stdout or not known
	Time    int64    // of the first line of the job, or of the first record; ms since 1970
	Arrived int64    // when CloudWatch took the newest of what was read; ms since 1970
	Streams []string // that something of it was read from
	Open    *Open    // of the first process that shipped it; nil: none was read
	Seal    *Seal    // the newest; nil: none was read
	// Strange is what a seal has that this version does not know, such as a member of a later
	// version; "": nothing.
	Strange string

	// Proved says that every stream that the newest seal names was read, all of it. Only then a seq
	// up to the seal's last that is not there is a Fault.
	Proved bool
	// Absent are the streams that the newest seal names and that do not exist.
	Absent []string

	// These are right in End only.
	LastSeq  int64 // of the last line of the job
	Trailing int64 // lines without a byte behind the last line, as far as that is known
	Repeats  int64 // events left out because another had the same seq and part

	named      bool   // some line names the job and run asked for
	others     bool   // some line names another job
	mentioned  bool   // a record says that it is of the job
	firstSeq   int64  // the first line that names the job; math.MaxInt64: none does
	nameless   bool   // lines before it name no job
	early      string // the stream of its lines before one named a job, or ""; of its open record
	emptyLines int64  // the most that a seal says
	newest     int64  // the time at which CloudWatch has the newest of its lines that were read
}

// ours reports whether the input is of what is asked for.
func (in *Input) ours() bool { return in.named || in.mentioned && !in.others }

// Open is what the record says that is written into each stream before anything else, as far as
// readers need it. Record.Message has all of it.
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
	Unattributed string            `json:"unattributed"` // the stream of the input's lines before it named a job
	ECS          map[string]string `json:"ecs"`
}

// Seal is what the record says that is written into each stream when the shipper stops: what it has
// shipped of the input up to there. Record.Message has all of it.
type Seal struct {
	Timestamp     int64      `json:"timestamp"`
	Lines         int64      `json:"lines"`
	EmptyLines    int64      `json:"emptyLines"`
	Bytes         int64      `json:"bytes"`
	LastSeq       int64      `json:"lastSeq"`
	SHA256        string     `json:"sha256"`    // of the lines as they were shipped
	RawSHA256     string     `json:"rawSha256"` // of the lines as they were read; "": the same
	Events        int64      `json:"events"`
	Parts         int64      `json:"parts"`
	Lossy         int64      `json:"lossy"`
	Rejected      [][2]int64 `json:"rejected"` // ranges of seqs that CloudWatch refused
	ExcludedLines int64      `json:"excludedLines"`
	Excluded      [][2]int64 `json:"excluded"`      // ranges of seqs that --exclude-type left out
	ExcludedCut   bool       `json:"excludedCut"`   // there are more of these than are listed
	ExcludedSince int64      `json:"excludedSince"` // lines left out since the latest event
	Redacted      int64      `json:"redacted"`      // matches of --redact that were replaced
	Streams       []string   `json:"streams"`
	Ended         bool       `json:"ended"` // no more can come

	CutLine   bool `json:"cutLine"` // the input ended within a line of JSON
	Truncated struct {
		Times int64 `json:"times"`
		Bytes int64 `json:"bytes"`
	} `json:"truncated"` // before it was read; at least so many bytes are lost

	Jobs []*batch.Job `json:"jobs"` // nil in a seal of an earlier version

	// These are here to be known: a member that is not is of a later version.
	Shipper, Type, Clamped, PossiblyRepeated, RejectedLines, RedactedLines json.RawMessage
	Outcomes, Tokens, First, Exit                                          json.RawMessage
}

// strange returns what a seal has that this version does not know, or "".
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

// parse reads a record's message into says. It reports whether it could: one that is no JSON, or
// has other types, says nothing.
func parse(message []byte, says any) bool { return json.Unmarshal(message, says) == nil }

// newer reports whether s is of a later state of the input than o. Seals count from the input's
// start, so the highest numbers are the newest. Of seals with the same numbers the last one counts:
// one that follows another says what became of the lines that were put with that, such as that
// CloudWatch refused one. A nil Seal is older than any.
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
