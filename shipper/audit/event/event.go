// Package event decodes Perstack's events and describes them to a person: what happened, which
// tools were called with which arguments, what was said. It knows the event types of all versions
// of Perstack and of its documentation. It trusts nothing in an event: an agent wrote it, so any
// member may be missing or have the wrong type.
//
// [Decode] parses a line. [Event.Verb] and [Event.Text] put it into words (words.go).
package event

import (
	"encoding/json"
	"slices"
	"strings"
)

// Kind groups the types of events by what they mean.
type Kind int

// The kinds.
const (
	Other       Kind = iota // a type that is not known here
	Runtime                 // the runtime itself: skills, containers, proxies
	Start                   // a run begins
	Ask                     // the run asks the model
	Delta                   // a piece of the model's text, which is repeated in full later
	StreamStart             // a stream of deltas begins
	Thought                 // the whole text of the model's reasoning
	Said                    // the whole text of the model; Answer repeats the answer of a run
	Call                    // the model calls tools
	Delegate                // the model delegates to another Expert
	Question                // the model asks a person
	Resolved                // results of tools
	Step                    // bookkeeping between steps
	Retry                   // a call of the model failed and is retried
	Answer                  // a run completes
	Stop                    // a run stops before it is complete, without an error
	Failure                 // an error stops a run
	Text                    // a line that is not an event
)

// kinds maps the event types of all versions to their kinds.
var kinds = map[string]Kind{
	"initializeRuntime": Runtime, "skillStarting": Runtime, "skillConnected": Runtime, "skillStderr": Runtime, "skillDisconnected": Runtime,
	"dockerBuildProgress": Runtime, "dockerContainerStatus": Runtime, "proxyAccess": Runtime,
	"startRun": Start, "startGeneration": Ask,
	"startStreamingReasoning": StreamStart, "startReasoning": StreamStart, "startStreamingRunResult": StreamStart, "startRunResult": StreamStart,
	"startStreamingText": StreamStart,
	"streamReasoning":    Delta, "streamRunResult": Delta, "streamText": Delta,
	"completeStreamingReasoning": Thought, "completeReasoning": Thought,
	"completeStreamingRunResult": Said, "completeRunResult": Said, "completeStreamingText": Said,
	"callTool": Call, "callTools": Call, "finishGeneration": Call,
	"callDelegate": Delegate, "callInteractiveTool": Question,
	"resolveToolResult": Resolved, "resolveToolResults": Resolved,
	"attemptCompletion": Step, "finishToolCall": Step, "finishAllToolCalls": Step, "resumeToolCalls": Step, "continueToNextStep": Step, "finishStep": Step,
	"retry": Retry, "completeRun": Answer, "finishRun": Answer,
	"stopRunByDelegate": Stop, "stopRunByInteractiveTool": Stop, "stopRunByExceededMaxSteps": Stop,
	"stopRunByError": Failure, "errorRun": Failure,
}

// ErrorTypes returns the types for which [IsError] is true.
func ErrorTypes() []string {
	var types []string
	for typ := range kinds {
		if IsError(typ) {
			types = append(types, typ)
		}
	}
	slices.Sort(types)
	return types
}

// IsError reports whether events of the type mean that something went wrong: a run was stopped by
// an error or ran out of steps, or a call of the model failed.
func IsError(typ string) bool {
	switch kinds[typ] {
	case Failure, Retry:
		return true
	}
	return typ == "stopRunByExceededMaxSteps"
}

// Event is a decoded event. Members that the event lacks are zero.
type Event struct {
	Kind               Kind
	Type, ID, Job, Run string
	Expert             string // its key
	ExpertName         string // in initializeRuntime
	Time               int64  // ms since 1970, or 0
	Step               int64  // 0 if the event belongs to no step
	Delta              string
	// Body is an answer, reasoning, the query, the reason for a retry, or a line that is not an
	// event.
	Body                  string
	Tools                 []Tool // the calls of tools
	Results               []Result
	Error                 *Error
	Model, RuntimeVersion string // in initializeRuntime
	Reply                 *Reply // in initializeRuntime: the answer with which a run continues
	Status                string // of a run's checkpoint
	Skill                 string

	// In a Start: the run that delegated to this one, the Expert of that run, and the run whose
	// checkpoint this one begins with.
	DelegatedBy, Delegator, CheckpointRun string
}

// Tool is a call of a tool. Args is JSON, or nil.
type Tool struct {
	ID, Skill, Name string
	Args            json.RawMessage
}

// Result is the result of a tool.
type Result struct {
	ID, Name, Text string
	Failed         bool // the tool says that it failed
}

// Error is what stopped a run.
type Error struct {
	Name       string `json:"name"`
	Message    string `json:"message"`
	StatusCode int64  `json:"statusCode"`
	Retryable  *bool  `json:"isRetryable"`
}

// Reply is the answer of a person or a delegate with which a waiting run continues.
type Reply struct {
	Tool, Call, Text string
	Delegate         bool
}

// wire is an event as Perstack writes it. Members whose type differs between versions are raw.
type wire struct {
	Type           string          `json:"type"`
	ID             string          `json:"id"`
	ExpertKey      string          `json:"expertKey"`
	ExpertName     string          `json:"expertName"`
	JobID          string          `json:"jobId"`
	RunID          string          `json:"runId"`
	Timestamp      json.Number     `json:"timestamp"`
	StepNumber     json.Number     `json:"stepNumber"`
	Delta          string          `json:"delta"`
	Text           json.RawMessage `json:"text"`
	Query          string          `json:"query"`
	Reason         json.RawMessage `json:"reason"`
	Model          string          `json:"model"`
	RuntimeVersion string          `json:"runtimeVersion"`
	SkillName      string          `json:"skillName"`
	Message        json.RawMessage `json:"message"`
	ToolCall       *wireTool       `json:"toolCall"`
	ToolCalls      []wireTool      `json:"toolCalls"`
	ToolResult     *wireResult     `json:"toolResult"`
	ToolResults    []wireResult    `json:"toolResults"`
	Error          json.RawMessage `json:"error"`
	InputMessages  []struct {
		Type     string `json:"type"`
		Contents []part `json:"contents"`
	} `json:"inputMessages"`
	Interactive *struct {
		ToolCallID string `json:"toolCallId"`
		ToolName   string `json:"toolName"`
		SkillName  string `json:"skillName"`
		Text       string `json:"text"`
	} `json:"interactiveToolCall"`
	InitialCheckpoint *checkpoint `json:"initialCheckpoint"`
	Checkpoint        *checkpoint `json:"checkpoint"`
}

type checkpoint struct {
	RunID       string `json:"runId"`
	Status      string `json:"status"`
	DelegatedBy *struct {
		RunID  string `json:"runId"`
		Expert struct {
			Key string `json:"key"`
		} `json:"expert"`
	} `json:"delegatedBy"`
}

type wireTool struct {
	ID        string          `json:"id"`
	SkillName string          `json:"skillName"`
	ToolName  string          `json:"toolName"`
	Args      json.RawMessage `json:"args"`
}

type wireResult struct {
	ID       string `json:"id"`
	ToolName string `json:"toolName"`
	Result   []part `json:"result"`
}

type part struct {
	Text     string `json:"text"`
	Contents []part `json:"contents"` // of a tool's result in a message
}

// Decode decodes a line. A line that is not a JSON object becomes an Event of kind Text. Decode
// ignores members of the wrong type.
func Decode(line []byte) Event {
	var w wire
	if err := json.Unmarshal(line, &w); err != nil {
		// An error of type leaves the other members decoded.
		if _, mistyped := err.(*json.UnmarshalTypeError); !mistyped || w.Type == "" {
			return Event{Kind: Text, Body: string(line)}
		}
	}
	ev := Event{
		Kind: kinds[w.Type], Type: w.Type, ID: w.ID, Job: w.JobID, Run: w.RunID, Expert: w.ExpertKey, ExpertName: w.ExpertName,
		Delta: w.Delta, Model: w.Model, RuntimeVersion: w.RuntimeVersion, Skill: w.SkillName,
		Body: text(w.Text), Error: errorOf(w.Error),
	}
	ev.Time, _ = w.Timestamp.Int64()
	ev.Step, _ = w.StepNumber.Int64()
	if w.ToolCall != nil {
		w.ToolCalls = append(w.ToolCalls, *w.ToolCall)
	}
	for _, t := range w.ToolCalls {
		ev.Tools = append(ev.Tools, Tool{t.ID, t.SkillName, t.ToolName, t.Args})
	}
	if w.ToolResult != nil {
		w.ToolResults = append(w.ToolResults, *w.ToolResult)
	}
	for _, r := range w.ToolResults {
		text := joined(r.Result)
		ev.Results = append(ev.Results, Result{r.ID, r.ToolName, text, failed(text)})
	}
	switch ev.Kind {
	case Start:
		ev.start(&w)
	case Retry:
		ev.Body = text(w.Reason)
	case Runtime:
		if ev.Body == "" {
			ev.Body = text(w.Message)
		}
		if w.Query != "" {
			ev.Body = w.Query
		}
		if i := w.Interactive; i != nil {
			ev.Reply = &Reply{Tool: i.ToolName, Call: i.ToolCallID, Text: i.Text, Delegate: strings.HasPrefix(i.SkillName, "delegate/")}
		}
	}
	if w.Checkpoint != nil {
		ev.Status = w.Checkpoint.Status
	}
	return ev
}

// start decodes what only a Start has.
func (ev *Event) start(w *wire) {
	for _, m := range w.InputMessages {
		if m.Type == "userMessage" || m.Type == "toolMessage" {
			ev.Body = joined(m.Contents)
		}
		if m.Type == "toolMessage" { // versions up to 0.0.61 pass a person's answer in this way
			ev.Reply = &Reply{Text: ev.Body}
		}
	}
	if c := w.InitialCheckpoint; c != nil {
		ev.Status, ev.CheckpointRun = c.Status, c.RunID
		if c.DelegatedBy != nil {
			ev.Delegator = c.DelegatedBy.Expert.Key
			if ev.DelegatedBy = c.DelegatedBy.RunID; ev.DelegatedBy == "" {
				// In old versions all Experts of a job have the same runId.
				ev.DelegatedBy = ev.Run
			}
		}
	}
}

// text returns a member as text: a string without its quotes, anything else as JSON.
func text(raw json.RawMessage) string {
	var s string
	if len(raw) == 0 || string(raw) == "null" {
		return ""
	}
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

func errorOf(raw json.RawMessage) *Error {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	var e Error
	if err := json.Unmarshal(raw, &e); err != nil && e == (Error{}) {
		e.Message = text(raw)
	}
	return &e
}

func joined(parts []part) string {
	var b strings.Builder
	var walk func([]part)
	walk = func(parts []part) {
		for _, p := range parts {
			if p.Text != "" && b.Len() > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(p.Text)
			walk(p.Contents)
		}
	}
	walk(parts)
	return b.String()
}

// failed reports whether the result of a tool says that the tool failed, in the form that
// Perstack's own skills use: {"error":…,"message":…}.
func failed(text string) bool {
	if !strings.HasPrefix(text, "{") || !strings.Contains(text, `"error"`) {
		return false
	}
	var says struct {
		Error json.RawMessage `json:"error"`
	}
	return json.Unmarshal([]byte(text), &says) == nil && len(says.Error) > 0 && string(says.Error) != "null"
}
