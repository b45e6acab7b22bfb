package batch

// This file holds the one rule for what an event counts: which lines begin a run, end a call of the
// model or end a run, and whose usage counts. The Shaper applies it to what it ships and readers
// apply it to what they read back, so a seal and a report cannot disagree. It understands the
// vocabulary of every version of Perstack, and the one in Perstack's documentation.

import (
	"bytes"
	"hash/fnv"
	"slices"
	"strconv"
)

// Usage is the number of tokens that calls of the model used.
type Usage struct {
	InputTokens       int64 `json:"inputTokens"`
	OutputTokens      int64 `json:"outputTokens"`
	ReasoningTokens   int64 `json:"reasoningTokens"`
	CachedInputTokens int64 `json:"cachedInputTokens"`
	TotalTokens       int64 `json:"totalTokens"`
}

// Add adds the tokens of other.
func (u *Usage) Add(other Usage) {
	u.InputTokens += other.InputTokens
	u.OutputTokens += other.OutputTokens
	u.ReasoningTokens += other.ReasoningTokens
	u.CachedInputTokens += other.CachedInputTokens
	u.TotalTokens += other.TotalTokens
}

// Outcome is how a job ended, according to its events.
type Outcome string

const (
	Completed   Outcome = "completed"
	Failed      Outcome = "error"       // an error stopped it
	MaxSteps    Outcome = "maxSteps"    // it used up its steps
	Interactive Outcome = "interactive" // it waits for a person
	Unfinished  Outcome = "unfinished"  // none of these was seen
)

// Outcomes lists all outcomes in the order in which they are shown.
var Outcomes = [...]Outcome{Completed, Failed, MaxSteps, Interactive, Unfinished}

// End is how a run ended.
type End string

const (
	NoEnd          End = "" // the line does not end a run
	EndCompleted   End = "completed"
	EndError       End = "error"
	EndMaxSteps    End = "maxSteps"
	EndInteractive End = "interactive"
	EndDelegate    End = "delegate" // the Expert waits for others; then a new run follows
)

// Failure is the error that ended a run.
type Failure struct {
	Expert  string `json:"expertKey,omitempty"` // whose run it was
	Name    string `json:"name,omitempty"`
	Message string `json:"message,omitempty"`
}

// String returns the error's name and message.
func (f *Failure) String() string {
	switch {
	case f.Name == "":
		return f.Message
	case f.Message == "":
		return f.Name
	}
	return f.Name + ": " + f.Message
}

// Mark is what one line adds to the counts. A line that neither begins a run nor ends a call or a
// run has no mark.
type Mark struct {
	JobID, RunID, Expert string // "" if not known
	Step                 int64  // 0 if not known
	Time                 int64  // milliseconds since 1970

	// Begins says that a run begins here. It is also set at the end of a run whose beginning was
	// not seen, so that each run counts once.
	Begins bool
	// Call says that a call of the model ended here. It took Usage.
	Call  bool
	Usage Usage
	// NewStep says that this is the first call of its step.
	NewStep bool
	// Ends says how the run ended here, or is NoEnd.
	Ends  End
	Error *Failure // the error, if Ends is EndError
	// Delegated says that another run started the one that ends here.
	Delegated bool
}

// Marker finds the marks of one input, given its lines in order. Its zero value is ready for the
// start of the input. It belongs to one goroutine.
type Marker struct {
	scan scanner
	head head
	runs []openRun
}

// openRun is a run that has not ended. It remembers its steps for as long as an event may repeat
// their usage.
type openRun struct {
	Run uint64 `json:"run"` // hash of the jobId, the runId and the Expert
	// Open is how many such runs are open. Old versions gave all delegates of a job one runId.
	Open int `json:"open"`
	// Steps holds the latest steps that had a call: the number of the step, and 1 if its events
	// include a callTools.
	Steps [][2]int64 `json:"steps,omitempty"`
}

const (
	// maxOpenRuns is how many open runs are remembered. Beyond that the oldest is forgotten.
	maxOpenRuns = 200
	// maxOpenSteps is how many steps of a run are remembered. Few are enough, because an event that
	// repeats the usage of a step follows that step directly.
	maxOpenSteps = 4
	// maxCount is the largest credible number of tokens. Sums of such numbers cannot overflow.
	maxCount = 1 << 40
)

// Line returns the mark of a line, and whether it has one. jobID and runID are those of the line's
// event, which has them even if the line does not. at is the line's own time in milliseconds since
// 1970.
func (m *Marker) Line(line []byte, jobID, runID string, at int64) (Mark, bool) {
	line = bytes.TrimPrefix(line, []byte(byteOrderMark))
	if !m.scan.object(line, &m.head) || !m.head.marks() {
		return Mark{}, false
	}
	return m.mark(&m.head, line, cut(jobID), cut(runID), at), true
}

// marks reports whether a line has a mark. It runs for every line.
func (h *head) marks() bool { return h.usage != nil || h.begins() || h.ends() != NoEnd }

func (h *head) begins() bool { return string(h.typ) == `"startRun"` }

func (h *head) ends() End {
	switch string(h.typ) {
	case `"completeRun"`, `"finishRun"`:
		return EndCompleted
	case `"stopRunByError"`, `"errorRun"`:
		return EndError
	case `"stopRunByExceededMaxSteps"`:
		return EndMaxSteps
	case `"stopRunByInteractiveTool"`:
		return EndInteractive
	case `"stopRunByDelegate"`:
		return EndDelegate
	}
	return NoEnd
}

// mark returns the mark of a line that has one.
func (m *Marker) mark(h *head, line []byte, jobID, runID string, at int64) Mark {
	mark := Mark{JobID: jobID, RunID: runID, Expert: text(h.expertKey), Time: at, Begins: h.begins(), Ends: h.ends()}
	mark.Step, _ = whole(h.stepNumber)
	key := runKey(jobID, runID, mark.Expert)
	i := slices.IndexFunc(m.runs, func(r openRun) bool { return r.Run == key })
	if i < 0 {
		if mark.Ends != NoEnd {
			mark.Begins = true // its beginning was not seen
		}
		if len(m.runs) == maxOpenRuns {
			m.runs = slices.Delete(m.runs, 0, 1)
		}
		i = len(m.runs)
		m.runs = append(m.runs, openRun{Run: key})
	}
	run := &m.runs[i]
	if mark.Begins {
		run.Open++
	}
	if usage, ok := usageOf(h.usage); ok {
		m.call(run, h, &mark, usage)
	}
	if mark.Ends != NoEnd {
		mark.Delegated = delegated(line)
		if mark.Ends == EndError {
			mark.Error = failureOf(h.err)
			mark.Error.Expert = mark.Expert
		}
		if run.Open--; run.Open <= 0 {
			m.runs = slices.Delete(m.runs, i, i+1)
		}
	}
	return mark
}

// call decides whether the usage of a line counts. It does for every event except a callDelegate or
// callInteractiveTool in a step that had a callTools, because these repeat its usage.
func (m *Marker) call(run *openRun, h *head, mark *Mark, usage Usage) {
	at := slices.IndexFunc(run.Steps, func(s [2]int64) bool { return s[0] == mark.Step })
	switch string(h.typ) {
	case `"callDelegate"`, `"callInteractiveTool"`:
		if at >= 0 && run.Steps[at][1] != 0 {
			return
		}
		// The tool call is left over from an earlier step, and no model was called for it.
		if usage == (Usage{}) {
			return
		}
	}
	mark.Call, mark.Usage = true, usage
	if at < 0 {
		mark.NewStep = true
		if len(run.Steps) == maxOpenSteps {
			run.Steps = slices.Delete(run.Steps, 0, 1)
		}
		at = len(run.Steps)
		run.Steps = append(run.Steps, [2]int64{mark.Step})
	}
	if string(h.typ) == `"callTools"` {
		run.Steps[at][1] = 1
	}
}

// runKey identifies a run. It includes the job, which distinguishes the runs of several jobs if no
// line names its run or --run-id names one for all.
func runKey(of ...string) uint64 {
	h := fnv.New64a()
	for _, id := range of {
		h.Write([]byte(id))
		h.Write([]byte{0})
	}
	return h.Sum64()
}

// usageOf reads a usage member, and reports whether raw is one. If it has no total, the total is
// input plus output.
func usageOf(raw []byte) (u Usage, ok bool) {
	total := false
	ok = eachMember(raw, func(name, value []byte) bool {
		n := tokens(value)
		switch string(name) {
		case "inputTokens":
			u.InputTokens = n
		case "outputTokens":
			u.OutputTokens = n
		case "reasoningTokens":
			u.ReasoningTokens = n
		case "cachedInputTokens":
			u.CachedInputTokens = n
		case "totalTokens":
			u.TotalTokens, total = n, true
		}
		return true
	})
	if !total {
		u.TotalTokens = u.InputTokens + u.OutputTokens
	}
	return u, ok
}

// tokens reads a number of tokens. Anything else counts as 0.
func tokens(raw []byte) int64 {
	n, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || !(n > 0) {
		return 0
	}
	return int64(min(n, maxCount))
}

// failureOf reads an error member: an object with a name and a message, or a text.
func failureOf(raw []byte) *Failure {
	f := &Failure{Message: text(raw)}
	eachMember(raw, func(name, value []byte) bool {
		switch string(name) {
		case "name":
			f.Name = text(value)
		case "message":
			f.Message = text(value)
		}
		return true
	})
	return f
}

// delegated reports whether another run started the run that the line ends. The Expert's name is
// not enough to tell, because an Expert can delegate to itself.
func delegated(line []byte) (is bool) {
	if !bytes.Contains(line, []byte(`"delegatedBy"`)) {
		return false // a quick check, because the line holds the whole history of the run
	}
	eachMember(line, func(name, value []byte) bool {
		if string(name) != "checkpoint" {
			return true
		}
		eachMember(value, func(name, value []byte) bool {
			if string(name) == "delegatedBy" {
				is = string(value) != "null"
			}
			return true
		})
		return true
	})
	return is
}

// eachMember calls each with every member of a JSON object, and reports whether raw is one. It
// copies only what has to be unescaped.
func eachMember(raw []byte, each func(name, value []byte) bool) bool {
	s := unsplice{b: bytes.TrimLeft(raw, jsonSpace)}
	return s.take("{") && s.members(each)
}

// maxText is how many bytes of an agent's text a receipt repeats at most.
const maxText = 500

// text returns the text of a raw JSON string, cut to maxText bytes at a character boundary. It
// returns "" for any other value.
func text(raw []byte) string {
	// most is the length if every byte is escaped.
	if most := 6*maxText + 2; len(raw) > most && raw[0] == '"' {
		raw = append(cutEscape(raw[:most-1]), '"')
	}
	s, _ := stringValue(raw)
	return cut(s)
}

// cut shortens a text to what a receipt has room for.
func cut(s string) string { return cutAt(s, maxText) }

// cutAt cuts a text to most bytes, at a character boundary.
func cutAt(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return s[:wholeRunes([]byte(s[:most]))]
}

// cutEscape returns a copy of the content of a JSON string that was cut, without an escape at its
// end that may be incomplete.
func cutEscape(content []byte) []byte {
	content = content[:wholeRunes(content)]
	if i := bytes.LastIndexByte(content[len(content)-6:], '\\'); i >= 0 {
		end := len(content) - 6 + i
		for end > 0 && content[end-1] == '\\' {
			end--
		}
		content = content[:end]
	}
	return slices.Clone(content)
}
