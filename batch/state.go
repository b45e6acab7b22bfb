package batch

// State is what the events of the lines to come depend on beyond those lines' bytes. It stands in
// the journal's cursor as JSON, so that a start after a crash gives each line the same seq, the
// same ids and, in the end, the same seal.
type State struct {
	Seq   int64 `json:"seq"`             // of the last line: the number of non-empty lines so far
	Empty int64 `json:"empty,omitempty"` // empty lines since then

	IDs

	Last string `json:"last,omitempty"` // the type of the latest line of JSON, a raw JSON value; "" if it states none
	Cut  bool   `json:"cut,omitempty"`  // the input ended within a line of JSON

	Split *Split `json:"split,omitempty"` // in the middle of a line in parts, which a block's end only is in one over MaxLineBytes

	Excluded Excluded `json:"excluded"`

	Counts  Counts   `json:"counts"`
	Counted *Counted `json:"counted,omitempty"` // of the input's jobs
	Streams int      `json:"-"`                 // how many of the Shaper's Streams were opened
	Digest  Digested `json:"digest"`
}

// Heir is the state in which the lines after st go on as another input: with its job and run, and
// counted from 1.
func (st State) Heir() State {
	return State{IDs: st.IDs}
}

// Split is a line that is being shipped in parts: what each part repeats, and how far it is.
type Split struct {
	Parts    int    `json:"parts"` // made so far
	Head     string `json:"head"`  // the members that each part repeats, raw JSON with a comma behind each
	Time     int64  `json:"time"`  // of each part's event
	LineTime int64  `json:"own"`   // what the line says itself, or when it came
	Route    int    `json:"route"`

	Clamped bool `json:"clamped,omitempty"`
	Text    bool `json:"text,omitempty"`
	Lossy   bool `json:"lossy,omitempty"`

	Long *LongLine `json:"long,omitempty"` // of a line that is shipped as it is read
	// Redacting is where in such a line the next piece begins, if anything is to be taken out of
	// it.
	Redacting *spot `json:"redacting,omitempty"`
	Excluded  bool  `json:"excluded,omitempty"` // it is left out
}

// LongLine is what was seen of a line over MaxLineBytes, which nobody sees whole: how it began and
// how it ends. It is counted at its end. A LongLine is shared by States and is never changed.
type LongLine struct {
	Expert string `json:"expert,omitempty"` // raw JSON values, as are those below
	Step   string `json:"step,omitempty"`
	Job    string `json:"job,omitempty"`
	Run    string `json:"run,omitempty"`
	Type   string `json:"type,omitempty"`
	Usage  string `json:"usage,omitempty"`
	Error  string `json:"error,omitempty"`
	Tail   []byte `json:"tail,omitempty"` // the latest bytes
}

// Counts is what a seal says of the input up to a point.
type Counts struct {
	Bytes      int64 `json:"bytes"`                // of the input, as read
	EmptyLines int64 `json:"emptyLines,omitempty"` // lines without a byte
	Events     int64 `json:"events"`               // made of its lines; a part is one
	Parts      int64 `json:"parts,omitempty"`      // of these, parts
	Lossy      int64 `json:"lossy,omitempty"`      // lines that were not UTF-8
	Clamped    int64 `json:"clamped,omitempty"`    // events sent with another time than their own
	Redacted   int64 `json:"redacted,omitempty"`   // matches that were taken out
}

// Digested is the state of a digest between two blocks.
type Digested struct {
	Lines []byte `json:"lines,omitempty"` // SHA-256 over the shipped lines, each with its newline: the hash's own binary state
	Raw   []byte `json:"raw,omitempty"`   // the same over the input as it was read; absent as long as that is the same
}
