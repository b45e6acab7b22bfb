package batch

import (
	"bytes"
	"hash/fnv"
	"slices"
	"strconv"
)

// This file holds the one rule for what an event counts: which lines begin a run, end a call of the
// model or end a run, and whose usage counts. The Shaper applies it to what it ships, and readers
// apply it to what they read back, so a seal and a report cannot disagree. It understands every
// vocabulary that Perstack has had, and the one in its documentation.

// Usage is the tokens that calls of the model took.
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

// Outcome is how a job ended, as far as its events tell.
type Outcome string

const (
	Completed   Outcome = "completed"
	Failed      Outcome = "error"       // an error stopped it
	MaxSteps    Outcome = "maxSteps"    // it used up the steps that it was allowed
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
	EndDelegate    End = "delegate" // the Expert waits for others; when they return, a new run follows
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

// Mark is what one line counts. A line that neither begins a run nor ends a call or a run has no
// mark.
type Mark struct {
	JobID, RunID, Expert string // "" if they are not known
	Step                 int64  // 0 if it is not known
	Time                 int64  // milliseconds since 1970

	// Begins says that a run begins here. It is also set if a run ends whose beginning was not
	// seen, so that each run counts once.
	Begins bool
	// Call says that a call of the model ended here. It took Usage.
	Call  bool
	Usage Usage
	// NewStep says that this is the first call of its step.
	NewStep bool
	// Ends says how the run ended here, or is NoEnd.
	Ends  End
	Error *Failure // the error, with EndError
	// Delegated says that another run began the one that ends here.
	Delegated bool
}

// Marker finds the marks of one input. It is given the lines in order. Its zero value is ready for
// the input's start. It belongs to one goroutine.
type Marker struct {
	scan scanner
	head head
	runs []openRun
}

// openRun is a run that has not ended. Its steps are remembered for as long as an event may repeat
// their usage.
type openRun struct {
	Run  uint64 `json:"run"`  // hash of the jobId, the runId and the Expert
	Open int    `json:"open"` // how many such runs: old versions gave all delegates of a job one runId
	// Steps holds the latest steps that had a call: the number, and 1 if a callTools was among its
	// events.
	Steps [][2]int64 `json:"steps,omitempty"`
}

const (
	// maxOpenRuns is how many runs may be open at a time. Beyond that the oldest is forgotten.
	maxOpenRuns = 200
	// maxOpenSteps is how many steps of a run are remembered. An event that repeats the usage of a
	// step follows it directly.
	maxOpenSteps = 4
	// maxCount is the largest number of tokens that is believed. Sums of such numbers cannot
	// overflow.
	maxCount = 1 << 40
)

// Line returns the mark of a line, and whether it has one. The ids are those of the line's event,
// which carries them even if the line does not. at is the line's own time in milliseconds since
// 1970.
func (m *Marker) Line(line []byte, jobID, runID string, at int64) (Mark, bool) {
	line = bytes.TrimPrefix(line, []byte(byteOrderMark))
	if !m.scan.object(line, &m.head) || !m.head.marks() {
		return Mark{}, false
	}
	return m.mark(&m.head, line, cut(jobID), cut(runID), at), true
}

// marks reports whether a line has a mark. It is asked for every line.
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

// mark makes the mark of a line that has one.
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

// call decides whether the usage of a line counts. The usage of every event does, except that of a
// callDelegate or callInteractiveTool in a step that had a callTools: these repeat it.
func (m *Marker) call(run *openRun, h *head, mark *Mark, usage Usage) {
	at := slices.IndexFunc(run.Steps, func(s [2]int64) bool { return s[0] == mark.Step })
	switch string(h.typ) {
	case `"callDelegate"`, `"callInteractiveTool"`:
		if at >= 0 && run.Steps[at][1] != 0 {
			return
		}
		if usage == (Usage{}) { // a tool call that was left over from an earlier step: no model was called
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

// runKey tells runs apart. If no line names its run, or --run-id names it for all, the runs of
// several jobs are told apart by the job.
func runKey(of ...string) uint64 {
	h := fnv.New64a()
	for _, id := range of {
		h.Write([]byte(id))
		h.Write([]byte{0})
	}
	return h.Sum64()
}

// usageOf reads a usage member, and reports whether it is one. Without a total, the total is input
// plus output.
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

// tokens reads a number of tokens. Anything that is not one counts 0.
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

// delegated reports whether another run began the run that the line ends. An Expert that delegates
// to itself cannot be told apart by its name.
func delegated(line []byte) (is bool) {
	if !bytes.Contains(line, []byte(`"delegatedBy"`)) {
		return false // at once: the line holds the run's whole history
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

// eachMember calls each with the members of a JSON object, and reports whether raw is one. It
// copies only what has to be unescaped.
func eachMember(raw []byte, each func(name, value []byte) bool) bool {
	s := unsplice{b: bytes.TrimLeft(raw, jsonSpace)}
	return s.take("{") && s.members(each)
}

// maxText is the most that a receipt repeats of an agent's text, in bytes.
const maxText = 500

// text returns the text of a raw JSON string, cut at maxText bytes on a character's boundary. It is
// "" for any other value.
func text(raw []byte) string {
	if most := 6*maxText + 2; len(raw) > most && raw[0] == '"' { // all of it escaped
		raw = append(cutEscape(raw[:most-1]), '"')
	}
	s, _ := stringValue(raw)
	return cut(s)
}

// cut returns the beginning of a text, as much as a receipt has room for.
func cut(s string) string { return cutAt(s, maxText) }

// cutAt cuts a text at most bytes, on a character's boundary.
func cutAt(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return s[:wholeRunes([]byte(s[:most]))]
}

// cutEscape returns a copy of the content of a cut JSON string, without the escape at its end that
// may have been cut.
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
