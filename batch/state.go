package batch

// State is everything that future events depend on besides the bytes of their lines. The journal's
// cursor holds it as JSON, so that a start after a crash gives each line the same seq, the same ids
// and, in the end, the same seal.
type State struct {
	Seq   int64 `json:"seq"`             // of the latest line: the number of non-empty lines
	Empty int64 `json:"empty,omitempty"` // empty lines since that line

	IDs

	// Last is the type of the latest line of JSON, as a raw JSON value. It is "" if the line states
	// none.
	Last string `json:"last,omitempty"`
	Cut  bool   `json:"cut,omitempty"` // the input ended within a line of JSON

	// Split is the line in parts that is under way. At the end of a block, only a line over
	// MaxLineBytes can be.
	Split *Split `json:"split,omitempty"`

	Excluded Excluded `json:"excluded"`

	Counts  Counts   `json:"counts"`
	Counted *Counted `json:"counted,omitempty"` // the receipt of the input's jobs
	Streams int      `json:"-"`                 // how many of Shaper.Streams were open
	Digest  Digested `json:"digest"`
}

// Heir returns the state in which the lines after st continue as another input: with the job and
// run of st, and counted from 1.
func (st State) Heir() State {
	return State{IDs: st.IDs}
}

// Split is a line that is being shipped in parts: what each part repeats, and the progress.
type Split struct {
	Parts    int    `json:"parts"` // parts made so far
	Head     string `json:"head"`  // members that each part repeats: raw JSON, a comma after each
	Time     int64  `json:"time"`  // of each part's event
	LineTime int64  `json:"own"`   // the time that the line states, or of its arrival
	Route    int    `json:"route"`

	Clamped bool `json:"clamped,omitempty"`
	Text    bool `json:"text,omitempty"`
	Lossy   bool `json:"lossy,omitempty"`

	Long *LongLine `json:"long,omitempty"` // set if the line is shipped as it is read
	// Redacting is where in such a line the next piece begins. It is set only if there is something
	// to redact.
	Redacting *spot `json:"redacting,omitempty"`
	Excluded  bool  `json:"excluded,omitempty"` // the line is left out
}

// LongLine is what was seen of a line over MaxLineBytes, which is never in memory as a whole: its
// beginning and its latest bytes. The line is counted at its end. A LongLine is immutable, because
// States share it.
type LongLine struct {
	Expert string `json:"expert,omitempty"` // raw JSON values, like those below
	Step   string `json:"step,omitempty"`
	Job    string `json:"job,omitempty"`
	Run    string `json:"run,omitempty"`
	Type   string `json:"type,omitempty"`
	Usage  string `json:"usage,omitempty"`
	Error  string `json:"error,omitempty"`
	Tail   []byte `json:"tail,omitempty"` // the latest bytes
}

// Counts is what a seal says about the input up to a point.
type Counts struct {
	Bytes      int64 `json:"bytes"`                // of the input, as read
	EmptyLines int64 `json:"emptyLines,omitempty"` // empty lines
	Events     int64 `json:"events"`               // made from its lines; each part is an event
	Parts      int64 `json:"parts,omitempty"`      // how many of the events are parts
	Lossy      int64 `json:"lossy,omitempty"`      // lines that were not UTF-8
	Clamped    int64 `json:"clamped,omitempty"`    // events sent with a time other than their own
	Redacted   int64 `json:"redacted,omitempty"`   // matches taken out
}

// Digested is the state of a digest between two blocks.
type Digested struct {
	// Lines is the SHA-256 of the shipped lines, each with its newline, as the binary state of the
	// hash.
	Lines []byte `json:"lines,omitempty"`
	// Raw is the same for the input as it was read. It is absent while the two are equal.
	Raw []byte `json:"raw,omitempty"`
}
