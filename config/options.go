package config

import "time"

// This file declares the commands and, by groups that several share, their options. The tags are
// the declaration: option.go reads flag, default, help and group from them; help.go prints them;
// check.go says what a value may be.

// Target is the log group to write to or read from.
type Target struct {
	LogGroup string `name:"log-group" placeholder:"NAME" group:"Target:" help:"Log group, such as /perstack/prod. Required."`
	AWS
}

// AWS says where CloudWatch is and as whom to call it. An empty value leaves it to the SDK:
// AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL, the shared configuration files and the container's
// role.
type AWS struct {
	Region      string `name:"region" placeholder:"NAME" group:"Target:" help:"AWS Region. Default: as the AWS SDK finds it."`
	EndpointURL string `name:"endpoint-url" placeholder:"URL" group:"Target:" help:"Endpoint other than the Region's own."`
	Caller
}

// Caller says as whom to call AWS.
type Caller struct {
	Profile string `name:"profile" placeholder:"NAME" group:"Target:" help:"Profile of the shared AWS configuration."`
	// RoleARN is a role to assume with what credentials there are, or empty.
	RoleARN string `name:"role-arn" placeholder:"ARN" group:"Target:" help:"Role to assume, such as one of a logging account."`
	// ExternalID is what the role's trust policy may ask for, or empty.
	ExternalID string `name:"external-id" placeholder:"ID" group:"Target:" help:"External ID that the role's trust policy asks for."`
}

// Events shapes the events that lines become.
type Events struct {
	// LogStream is the template of the log stream's name: text with {jobId}, {runId}, {expertKey}
	// and {hostname} in it.
	LogStream string `name:"log-stream" default:"{jobId}" group:"Events:" help:"Log stream; also {runId} {expertKey} {hostname}."`
	// JobID is for lines without a jobId; empty: that of the latest event that had one.
	JobID string `name:"job-id" placeholder:"ID" group:"Events:" help:"jobId of lines that have none."`
	// RunID is for lines without a runId; empty: the input's single run, while it has known no
	// other.
	RunID string `name:"run-id" placeholder:"ID" group:"Events:" help:"runId of lines that have none."`
	// ExcludeTypes are globs of the types of lines that are left out.
	ExcludeTypes List `name:"exclude-type" placeholder:"GLOB" group:"Events:" help:"Leave out lines of this type. May be repeated."`
	// Redact are RE2 patterns of what is taken out of lines.
	Redact List `name:"redact" placeholder:"REGEX" group:"Events:" help:"Replace what matches in texts. May be repeated."`
	// Fields go into each event's shipper member, in this order; no key twice, MaxFieldBytes in
	// all.
	Fields Pairs `name:"field" placeholder:"KEY=VALUE" group:"Events:" help:"Add this to each event. May be repeated."`
}

// Delivery says how eagerly and how patiently batches are put.
type Delivery struct {
	// FlushInterval bounds how old the oldest event of an open batch becomes, 10 ms to 1 h.
	FlushInterval time.Duration `name:"flush-interval" default:"1s" group:"Delivery:" help:"Longest wait for a batch to fill."`
	// Compress is auto, gzip or off; auto is gzip to AWS's own endpoints and off elsewhere.
	Compress string `name:"compress" default:"auto" group:"Delivery:" help:"gzip batches: auto (to AWS's own endpoints), gzip, off."`
	// DrainTimeout is all the time from a signal to the exit, 1 s to 1 h.
	DrainTimeout time.Duration `name:"drain-timeout" default:"25s" group:"Delivery:" help:"Total time allowed between a signal and the exit."`
	// GiveUpAfter is how long after the end of input to go on without an ack, 1 s to 30 d; nil
	// where none was given. See Patience.
	GiveUpAfter *time.Duration `name:"give-up-after" placeholder:"TIME" group:"Delivery:" help:"After the input: give up without success. Default: 10m."`
	// MemoryMax bounds the bytes held: blocks, open batches, bodies. At least MinMemory.
	MemoryMax Size `name:"memory-max" default:"32MiB" group:"Delivery:" help:"Limit on the data held in memory."`
}

const (
	// DefaultGiveUpAfter is how long after the end of input to go on without an ack where
	// GiveUpAfter does not say.
	DefaultGiveUpAfter = 10 * time.Minute
	// DefaultHopelessAfter is the same where nothing was ever accepted and credentials, permission
	// or address are wrong, which seldom mend themselves.
	DefaultHopelessAfter = 30 * time.Second
)

// Patience returns how long after the end of input to go on without an ack, and how long where it
// looks hopeless. A GiveUpAfter that was given holds for both: whoever gives one may be about to
// mend what is wrong.
func (d *Delivery) Patience() (giveUp, hopeless time.Duration) {
	if d.GiveUpAfter != nil {
		return *d.GiveUpAfter, *d.GiveUpAfter
	}
	return DefaultGiveUpAfter, DefaultHopelessAfter
}

// Creation says what to do where log group or log stream are missing.
type Creation struct {
	Create bool `name:"create" default:"true" negatable:"" group:"Creation:" help:"Create group and streams that are missing."`
	// RetentionDays is one of RetentionDays, or 0 to set none.
	RetentionDays int `name:"retention-days" placeholder:"DAYS" group:"Creation:" help:"Retention of a group created here."`
	// KMSKeyID is the ARN of a key, or empty.
	KMSKeyID string `name:"kms-key-id" placeholder:"ARN" group:"Creation:" help:"KMS key of a group created here."`
	// Tags has no key twice.
	Tags Pairs `name:"tag" placeholder:"KEY=VALUE" group:"Creation:" help:"Tag of a group created here. May be repeated."`
}

// JournalFolder says where the input is kept until CloudWatch has it.
type JournalFolder struct {
	// JournalDir is empty where none was given: then it is DefaultJournalDir, and one that cannot
	// be written is no error.
	JournalDir string `name:"journal-dir" placeholder:"DIR" group:"Journal:" help:"Where the input is kept. Default: ~/.local/state/…"`
}

// Journal says where the input is kept, and how.
type Journal struct {
	JournalFolder
	// JournalMax bounds the disk space that inputs take, in allocated bytes. At least MinJournal.
	JournalMax Size `name:"journal-max" default:"4GiB" group:"Journal:" help:"Limit on disk space; reading stops there."`
	// JournalSync is how often the journal is synced to disk; 0 leaves that to the kernel.
	JournalSync time.Duration `name:"journal-sync" default:"0" group:"Journal:" help:"fsync interval; 0 leaves it to the kernel."`
}

// Metrics says where a shipper tells how it is.
type Metrics struct {
	// MetricsAddr is host:port, or empty: then nothing is served. An empty host is the loopback
	// address.
	MetricsAddr string `name:"metrics-addr" placeholder:"ADDR" group:"Delivery:" help:"Serve /metrics, /livez, /readyz at HOST:PORT."`
}

// Log says what the program tells about itself, on stderr.
type Log struct {
	// LogLevel is debug, info, warn or error.
	LogLevel string `name:"log-level" default:"info" group:"Log, on stderr:" help:"debug, info, warn or error."`
	// LogFormat is auto, console or json; auto is console on a terminal and json elsewhere.
	LogFormat string `name:"log-format" default:"auto" group:"Log, on stderr:" help:"auto (by terminal), console or json."`
}

// Verdict says which ends of a job make exit code 1.
type Verdict struct {
	// FailOn has some of FailOnKinds, each once.
	FailOn Words `name:"fail-on" placeholder:"KIND,…" group:"Outcome:" help:"Exit 1 on error, max-steps, delegate-error, unfinished."`
}

// Ship is the default command: it ships stdin, or the paths of Input.
type Ship struct {
	// Inputs are the files, FIFOs and directories to follow; empty: stdin.
	Inputs    List          `name:"input" placeholder:"PATH" group:"Input:" help:"Follow file, FIFO or directory. May be repeated."`
	InputWait bool          `name:"input-wait" group:"Input:" help:"Wait for inputs that do not exist yet."`
	UntilIdle time.Duration `name:"until-idle" placeholder:"TIME" group:"Input:" help:"End when no input has come for this long."`
	Tee       bool          `name:"tee" group:"Input:" help:"Copy stdin to stdout."`
	Verdict
	Target
	Events
	Delivery
	Metrics
	Creation
	Journal
	Log
}

// What the command's stdout is.
const (
	StdoutFile = "file" // a file of the journal folder
	StdoutPipe = "pipe" // a FIFO there, which may be opened by name
)

// What of the command's output is shown.
const (
	TeeNone   Tee = "none"
	TeeStderr Tee = "stderr"
	TeeAll    Tee = "all"
)

// Exec runs a command and ships its stdout and stderr.
type Exec struct {
	// Stdout is StdoutFile or StdoutPipe.
	Stdout string `name:"stdout" default:"file" group:"Command:" help:"What its stdout is: file or pipe."`
	// Tee is TeeNone, TeeStderr or TeeAll; "" where it was not given: then it is TeeAll on a
	// terminal, else TeeStderr.
	Tee Tee `name:"tee" placeholder:"WHAT" group:"Command:" help:"Show its output too: none, stderr or all."`
	// LeftCode is the exit code when input is left in the journal, whatever the command's own is, 1
	// to 255; 0: the command's own comes first.
	LeftCode int `name:"left-code" placeholder:"CODE" group:"Command:" help:"Exit with CODE when input is left in the journal."`
	Verdict
	Target
	Events
	Delivery
	Metrics
	Creation
	Journal
	Log

	// Command is the command's name or path and its arguments: at least one.
	Command []string
}

// Resume ships what earlier processes left, with the target and the options that they recorded.
type Resume struct {
	Redirect
	Caller
	Delivery
	Journal
	Log
}

// Redirect replaces parts of the target that the journal recorded, for everything that is left in
// it. An environment variable does not set these: it is there for other commands, and moving a
// backlog must be deliberate.
type Redirect struct {
	LogGroup string `name:"log-group" flagonly:"" placeholder:"NAME" group:"Another target than recorded (flags only):" help:"Ship everything to this log group instead."`
	Region   string `name:"region" flagonly:"" placeholder:"NAME" group:"Another target than recorded (flags only):" help:"Ship everything to this AWS Region instead."`
	// EndpointURL is nil where it was not given; an empty one is the Region's own endpoint.
	EndpointURL *string `name:"endpoint-url" flagonly:"" placeholder:"URL" group:"Another target than recorded (flags only):" help:"Use this endpoint instead; empty: the Region's own."`
}

// Status says how far the inputs of a journal folder are.
type Status struct {
	JSON bool `name:"json" group:"Output:" help:"Print a JSON object per input, one per line."`
	JournalFolder
}

// Healthcheck says by its exit code whether shipping is well.
type Healthcheck struct {
	// OlderThan is how long the oldest line may wait, 1 s to 30 d.
	OlderThan     time.Duration `name:"older-than" default:"5m" group:"Health:" help:"How long a line may wait at most."`
	IgnoreRejects bool          `name:"ignore-rejects" group:"Health:" help:"Lines that CloudWatch refused are not a failure."`
	// Live asks for the shipper alone, and not for what waits.
	Live bool `name:"live" group:"Health:" help:"Check only that a shipper runs and is not stuck."`
	JournalFolder
}

// Any reports whether anything is replaced.
func (r *Redirect) Any() bool { return r.LogGroup != "" || r.Region != "" || r.EndpointURL != nil }

// Logs reads a job back.
type Logs struct {
	// Job is the jobId; required, but where Streams are given.
	Job string `name:"job" placeholder:"ID" group:"Selection:" help:"jobId. Required, unless --stream is given."`
	// Run is a runId, or empty for all of the job.
	Run string `name:"run" placeholder:"ID" group:"Selection:" help:"Only lines of this runId."`
	// Types are patterns of types of events; none: all.
	Types Words `name:"type" placeholder:"NAME,…" group:"Selection:" help:"Only events of these types, such as callTools,stopRun*."`
	// Errors adds the types of errors to Types.
	Errors bool `name:"errors" group:"Selection:" help:"Only errors: failed runs and calls, no steps left."`
	Period
	Stderr bool `name:"stderr" group:"Selection:" help:"Also what the agent wrote to stderr."`
	// LogStream is the template that the job was shipped with.
	LogStream string `name:"log-stream" default:"{jobId}" group:"Selection:" help:"The template that the job was shipped with."`
	// Streams are read instead of those that LogStream gives.
	Streams List `name:"stream" placeholder:"NAME" group:"Selection:" help:"Read this log stream only. May be repeated."`
	Search  bool `name:"search" group:"Selection:" help:"Look for the job in all streams of the group."`
	// Unmask asks for the originals of what a data protection policy masks.
	Unmask bool `name:"unmask" group:"Selection:" help:"Read what a data protection policy masks."`
	// Wait is how long to read again until the job has ended and is whole; 0: print what is
	// readable now.
	Wait time.Duration `name:"wait" placeholder:"TIME" group:"Selection:" help:"How long to wait for the last events."`
	// Follow goes on until the seals of the job's inputs say that no more can come.
	Follow bool `name:"follow" group:"Output:" help:"Keep printing what arrives until the job has ended."`
	// Pretty shows a line an event, for people.
	Pretty bool `name:"pretty" group:"Output:" help:"Show a readable line per event, in colour on a terminal."`
	Target
	Log
}

// Jobs lists jobs.
type Jobs struct {
	// Since is never zero, for it has a default.
	Since Time `name:"since" default:"7d" group:"Selection:" help:"From then on: 7d or 12h ago, a date, or RFC 3339."`
	// Until is zero where none was given.
	Until Time `name:"until" placeholder:"TIME" group:"Selection:" help:"Only jobs that began before then. Default: now."`
	// Failed leaves out what completed, waits for a person or runs.
	Failed bool `name:"failed" group:"Selection:" help:"Only jobs that failed, did not finish or are silent."`
	// Expert is the key of an Expert, or empty for all.
	Expert string `name:"expert" placeholder:"KEY" group:"Selection:" help:"Only jobs in which this Expert ran."`
	JSON   bool   `name:"json" group:"Output:" help:"Print a JSON object per job, one per line."`
	Target
	Log
}

// Held names a job that CloudWatch holds, and where to look for it.
type Held struct {
	// Job is the jobId; required.
	Job string `name:"job" placeholder:"ID" group:"Selection:" help:"jobId. Required."`
	// LogStream is the template that the job was shipped with.
	LogStream string `name:"log-stream" default:"{jobId}" group:"Selection:" help:"The template that the job was shipped with."`
	Search    bool   `name:"search" group:"Selection:" help:"Look for the job in all streams of the group."`
	// Unmask asks for the originals of what a data protection policy masks.
	Unmask bool `name:"unmask" group:"Selection:" help:"Read what a data protection policy masks."`
	Target
	Log
}

// Usages are what Tokens.By may be.
var Usages = []string{"expert", "run", "step", "job", "day"}

// Tokens counts what jobs took.
type Tokens struct {
	// Jobs are jobIds; required, but where Since is given.
	Jobs List `name:"job" placeholder:"ID" group:"Selection:" help:"jobId. May be repeated. Required, unless --since is given."`
	Period
	// LogStream is the template that the jobs of Jobs were shipped with.
	LogStream string `name:"log-stream" default:"{jobId}" group:"Selection:" help:"The template that the job was shipped with."`
	Search    bool   `name:"search" group:"Selection:" help:"Look for the job in all streams of the group."`
	// By is one of Usages.
	By   string `name:"by" default:"expert" group:"Output:" help:"A row for each expert, run, step, job or day."`
	JSON bool   `name:"json" group:"Output:" help:"Print a JSON object per job, one per line."`
	CSV  bool   `name:"csv" group:"Output:" help:"Print CSV, for a spreadsheet; with --by."`
	Target
	Log
}

// Report writes one HTML file about a job.
type Report struct {
	// Settle is how long what is missing is looked for again before it is called missing.
	Settle time.Duration `name:"settle" default:"30s" group:"Selection:" help:"How long to look again for what is missing."`
	Held
}

// Restore writes back what a job had in its workspace.
type Restore struct {
	// Into is the workspace, which need not exist.
	Into string `name:"into" default:"." group:"Files:" help:"Workspace to write to."`
	// Checkpoint is the only one to restore; empty: all, and the events.
	Checkpoint string `name:"checkpoint" placeholder:"ID" group:"Files:" help:"Restore this checkpoint only."`
	Force      bool   `name:"force" group:"Files:" help:"Replace existing files that differ."`
	List       bool   `name:"list" group:"Files:" help:"List the checkpoints; write nothing."`
	Held
}

// Check tries whether shipping would work.
type Check struct {
	// Read also checks what the commands that read back need.
	Read bool `name:"read" group:"Check:" help:"Check reading back, too."`
	JSON bool `name:"json" group:"Check:" help:"Print one JSON object instead of lines."`
	Target
	Creation
	Journal
	Log
}

// Verify proves that what was shipped is there.
type Verify struct {
	// Jobs are jobIds; without any, what was shipped in Period is proved.
	Jobs List `name:"job" placeholder:"ID" group:"Selection:" help:"jobId. May be repeated."`
	Period
	// LogStream is the template that the jobs were shipped with.
	LogStream string        `name:"log-stream" default:"{jobId}" group:"Selection:" help:"The template that the job was shipped with."`
	Search    bool          `name:"search" group:"Selection:" help:"Look for the jobs in all streams of the group."`
	Unmask    bool          `name:"unmask" group:"Selection:" help:"Read what a data protection policy masks."`
	Settle    time.Duration `name:"settle" default:"30s" group:"Selection:" help:"How long to look again for what is missing."`
	JSON      bool          `name:"json" group:"Output:" help:"Print JSON."`
	Target
	Log

	// Files hold what the agent wrote; "-" is stdin.
	Files []string
}

// Local serves a CloudWatch Logs endpoint.
type Local struct {
	// Listen is host:port; an empty host is the loopback address, port 0 a free one.
	Listen string `name:"listen" default:"127.0.0.1:4586" group:"Endpoint:" help:"Address and port; port 0 picks a free one."`
	// Dir keeps what is put, as JSON lines; empty: in memory.
	Dir string `name:"dir" placeholder:"DIR" group:"Endpoint:" help:"Keep what is put in this folder. Default: in memory."`
}

// Version prints what was built.
type Version struct{}
