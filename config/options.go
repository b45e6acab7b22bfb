package config

// This file declares the commands and their options, in groups that several commands share. The
// struct tags are the declaration: option.go reads the flag, default, help and group from them,
// help.go prints them, and check.go validates the values.

import "time"

// Target is the log group to write to or read from.
type Target struct {
	LogGroup string `name:"log-group" placeholder:"NAME" group:"Target:" help:"Log group, such as /perstack/prod. Required."`
	AWS
}

// AWS says where CloudWatch is and which identity calls it. An empty value leaves the choice to the
// SDK: AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL, the shared configuration files and the
// container's role.
type AWS struct {
	Region      string `name:"region" placeholder:"NAME" group:"Target:" help:"AWS Region. Default: resolved by the AWS SDK."`
	EndpointURL string `name:"endpoint-url" placeholder:"URL" group:"Target:" help:"Use this endpoint instead of the Region's own."`
	Caller
}

// Caller is the identity that calls AWS.
type Caller struct {
	Profile string `name:"profile" placeholder:"NAME" group:"Target:" help:"Profile in the shared AWS configuration."`
	// RoleARN is a role to assume with the credentials found, or empty.
	RoleARN string `name:"role-arn" placeholder:"ARN" group:"Target:" help:"Role to assume, such as one in a logging account."`
	// ExternalID is the external ID that the role's trust policy may require, or empty.
	ExternalID string `name:"external-id" placeholder:"ID" group:"Target:" help:"External ID that the role's trust policy requires."`
}

// Events says how lines become events.
type Events struct {
	// LogStream is the template of the log stream's name: text with {jobId}, {runId}, {expertKey}
	// and {hostname} in it.
	LogStream string `name:"log-stream" default:"{jobId}" group:"Events:" help:"Log stream name; also {runId} {expertKey} {hostname}."`
	// JobID is the job of lines without a jobId. Empty means the job of the latest event that had
	// one.
	JobID string `name:"job-id" placeholder:"ID" group:"Events:" help:"jobId for lines that have none."`
	// RunID is the run of lines without a runId. Empty means the input's only run, as long as it
	// has seen no other.
	RunID string `name:"run-id" placeholder:"ID" group:"Events:" help:"runId for lines that have none."`
	// ExcludeTypes are globs; lines whose type matches one are left out.
	ExcludeTypes List `name:"exclude-type" placeholder:"GLOB" group:"Events:" help:"Leave out lines of this type. May be repeated."`
	// Redact are RE2 patterns; what they match is taken out of lines.
	Redact List `name:"redact" placeholder:"REGEX" group:"Events:" help:"Replace matches in texts. May be repeated."`
	// Fields are added to each event's shipper member, in this order. No key is there twice, and
	// they take at most MaxFieldBytes in all.
	Fields Pairs `name:"field" placeholder:"KEY=VALUE" group:"Events:" help:"Add this to every event. May be repeated."`
}

// Delivery says how eagerly and how patiently batches are sent.
type Delivery struct {
	// FlushInterval bounds the age of the oldest event in an open batch, 10 ms to 1 h.
	FlushInterval time.Duration `name:"flush-interval" default:"1s" group:"Delivery:" help:"Longest wait for a batch to fill."`
	// Compress is auto, gzip or off. auto means gzip for AWS's own endpoints and off elsewhere.
	Compress string `name:"compress" default:"auto" group:"Delivery:" help:"gzip batches: auto (to AWS's own endpoints), gzip, off."`
	// DrainTimeout is the total time allowed between a signal and the exit, 1 s to 1 h.
	DrainTimeout time.Duration `name:"drain-timeout" default:"25s" group:"Delivery:" help:"Total time allowed between a signal and the exit."`
	// GiveUpAfter is how long to continue without an ack after the end of input, 1 s to 30 d. It is
	// nil if the option was not given; see [Delivery.Patience].
	GiveUpAfter *time.Duration `name:"give-up-after" placeholder:"TIME" group:"Delivery:" help:"Give up after this long without success. Default: 10m."`
	// MemoryMax bounds the bytes held in blocks, open batches and bodies. It is at least MinMemory.
	MemoryMax Size `name:"memory-max" default:"32MiB" group:"Delivery:" help:"Limit on the data held in memory."`
}

const (
	// DefaultGiveUpAfter is how long to continue without an ack after the end of input if
	// GiveUpAfter is nil.
	DefaultGiveUpAfter = 10 * time.Minute
	// DefaultHopelessAfter applies instead if nothing was ever accepted and the credentials, a
	// permission or the address are wrong, which seldom fixes itself.
	DefaultHopelessAfter = 30 * time.Second
)

// Patience returns how long to continue without an ack after the end of input, and how long if
// delivery looks hopeless. A GiveUpAfter from the user applies to both, because that user may be
// about to fix the problem.
func (d *Delivery) Patience() (giveUp, hopeless time.Duration) {
	if d.GiveUpAfter != nil {
		return *d.GiveUpAfter, *d.GiveUpAfter
	}
	return DefaultGiveUpAfter, DefaultHopelessAfter
}

// Creation says what to do if the log group or a log stream is missing.
type Creation struct {
	Create bool `name:"create" default:"true" negatable:"" group:"Creation:" help:"Create the group and streams if missing."`
	// RetentionDays is one of the package variable RetentionDays, or 0 to set no retention.
	RetentionDays int `name:"retention-days" placeholder:"DAYS" group:"Creation:" help:"Retention of a log group created here."`
	// KMSKeyID is the ARN of a key, or empty.
	KMSKeyID string `name:"kms-key-id" placeholder:"ARN" group:"Creation:" help:"KMS key for a log group created here."`
	// Tags holds no key twice.
	Tags Pairs `name:"tag" placeholder:"KEY=VALUE" group:"Creation:" help:"Tag for a log group created here. May be repeated."`
}

// JournalFolder says where input is kept until CloudWatch has accepted it.
type JournalFolder struct {
	// JournalDir is empty if the option was not given. The folder is then DefaultJournalDir, and it
	// is no error if that cannot be written.
	JournalDir string `name:"journal-dir" placeholder:"DIR" group:"Journal:" help:"Where input is kept. Default: ~/.local/state/…"`
}

// Journal says where and how input is kept.
type Journal struct {
	JournalFolder
	// JournalMax bounds the disk space that an input takes, in allocated bytes. It is at least
	// MinJournal.
	JournalMax Size `name:"journal-max" default:"4GiB" group:"Journal:" help:"Limit on disk space. Reading stops there."`
	// JournalSync is how often the journal is synced to disk. 0 leaves that to the kernel.
	JournalSync time.Duration `name:"journal-sync" default:"0" group:"Journal:" help:"fsync interval; 0 leaves it to the kernel."`
}

// Metrics says where a shipper serves its metrics.
type Metrics struct {
	// MetricsAddr is host:port; if it is empty, nothing is served. An empty host means the loopback
	// address.
	MetricsAddr string `name:"metrics-addr" placeholder:"ADDR" group:"Delivery:" help:"Serve /metrics, /livez, /readyz at HOST:PORT."`
}

// Log says which messages the program writes to stderr, and how.
type Log struct {
	// LogLevel is debug, info, warn or error.
	LogLevel string `name:"log-level" default:"info" group:"Log, on stderr:" help:"debug, info, warn or error."`
	// LogFormat is auto, console or json. auto means console on a terminal and json elsewhere.
	LogFormat string `name:"log-format" default:"auto" group:"Log, on stderr:" help:"auto (by terminal), console or json."`
}

// Verdict says which outcomes of a job make the exit code 1.
type Verdict struct {
	// FailOn holds ways a job may end, each once: error, max-steps, delegate-error or unfinished.
	FailOn Words `name:"fail-on" placeholder:"KIND,…" group:"Outcome:" help:"Exit 1 on error, max-steps, delegate-error, unfinished."`
}

// Ship is the default command. It ships stdin, or the paths in Inputs.
type Ship struct {
	// Inputs are the files, FIFOs and folders to follow. Empty means stdin.
	Inputs    List          `name:"input" placeholder:"PATH" group:"Input:" help:"Follow a file, FIFO or folder. May be repeated."`
	InputWait bool          `name:"input-wait" group:"Input:" help:"Wait for inputs that do not exist yet."`
	UntilIdle time.Duration `name:"until-idle" placeholder:"TIME" group:"Input:" help:"Exit when no input has arrived for this long."`
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

// Values of Exec.Stdout: what the command's stdout is.
const (
	StdoutFile = "file" // a file of the journal folder
	StdoutPipe = "pipe" // a FIFO in that folder, which may be opened by name
)

// Values of Exec.Tee: which of the command's output is shown.
const (
	TeeNone   Tee = "none"
	TeeStderr Tee = "stderr"
	TeeAll    Tee = "all"
)

// Exec runs a command and ships its stdout and stderr.
type Exec struct {
	// Stdout is StdoutFile or StdoutPipe.
	Stdout string `name:"stdout" default:"file" group:"Command:" help:"The command's stdout: file or pipe."`
	// Tee is TeeNone, TeeStderr or TeeAll. It is "" if the option was not given, which means TeeAll
	// on a terminal and TeeStderr elsewhere.
	Tee Tee `name:"tee" placeholder:"WHAT" group:"Command:" help:"Also show its output: none, stderr or all."`
	// LeftCode, 1 to 255, is the exit code when input is left in the journal, whatever the
	// command's own code is. 0 means that the command's own code comes first.
	LeftCode int `name:"left-code" placeholder:"CODE" group:"Command:" help:"Exit with CODE when input is left in the journal."`
	Verdict
	Target
	Events
	Delivery
	Metrics
	Creation
	Journal
	Log

	// Command is the command's name or path, followed by its arguments. It has at least one
	// element.
	Command []string
}

// Resume ships what earlier processes left behind, with the target and the options that they
// recorded.
type Resume struct {
	Redirect
	Caller
	Delivery
	Journal
	Log
}

// Redirect replaces parts of the recorded target for everything left in the journal. Environment
// variables do not set these options: the variables are meant for other commands, and moving a
// backlog must be deliberate.
type Redirect struct {
	LogGroup string `name:"log-group" flagonly:"" placeholder:"NAME" group:"Override the recorded target (flags only):" help:"Ship everything to this log group instead."`
	Region   string `name:"region" flagonly:"" placeholder:"NAME" group:"Override the recorded target (flags only):" help:"Ship everything to this AWS Region instead."`
	// EndpointURL is nil if the option was not given. An empty one means the Region's own endpoint.
	EndpointURL *string `name:"endpoint-url" flagonly:"" placeholder:"URL" group:"Override the recorded target (flags only):" help:"Use this endpoint instead. Empty: the Region's own."`
}

// Status shows the progress of the inputs in a journal folder.
type Status struct {
	JSON bool `name:"json" group:"Output:" help:"Print a JSON object per input, one per line."`
	JournalFolder
}

// Healthcheck reports by its exit code whether shipping is healthy.
type Healthcheck struct {
	// OlderThan is the longest that a line may wait, 1 s to 30 d.
	OlderThan     time.Duration `name:"older-than" default:"5m" group:"Health:" help:"The longest that a line may wait."`
	IgnoreRejects bool          `name:"ignore-rejects" group:"Health:" help:"Do not fail because CloudWatch refused lines."`
	// Live checks only the shipper, and not what waits in the journal.
	Live bool `name:"live" group:"Health:" help:"Check only that a shipper runs and is not stuck."`
	JournalFolder
}

// Logs reads a job back.
type Logs struct {
	// Job is the jobId. It is required unless Streams are given.
	Job string `name:"job" placeholder:"ID" group:"Selection:" help:"jobId. Required, unless --stream is given."`
	// Run is a runId, or empty for all runs of the job.
	Run string `name:"run" placeholder:"ID" group:"Selection:" help:"Only lines of this runId."`
	// Types are patterns of event types. None means all types.
	Types Words `name:"type" placeholder:"NAME,…" group:"Selection:" help:"Only events of these types, such as callTools,stopRun*."`
	// Errors adds the types of errors to Types.
	Errors bool `name:"errors" group:"Selection:" help:"Only errors: failed runs and calls, steps used up."`
	Period
	Stderr bool `name:"stderr" group:"Selection:" help:"Also print what the agent wrote to stderr."`
	// LogStream is the template that the job was shipped with.
	LogStream string `name:"log-stream" default:"{jobId}" group:"Selection:" help:"Log stream template the job was shipped with."`
	// Streams are read instead of the ones that LogStream names.
	Streams List `name:"stream" placeholder:"NAME" group:"Selection:" help:"Read this log stream only. May be repeated."`
	Search  bool `name:"search" group:"Selection:" help:"Look for the job in all streams of the group."`
	// Unmask asks for the originals of what a data protection policy masks.
	Unmask bool `name:"unmask" group:"Selection:" help:"Read what a data protection policy masks."`
	// Wait is how long to keep reading until the job has ended and is complete. 0 prints what is
	// readable now.
	Wait time.Duration `name:"wait" placeholder:"TIME" group:"Selection:" help:"How long to wait for the last events."`
	// Follow continues until the seals of the job's inputs say that no more can come.
	Follow bool `name:"follow" group:"Output:" help:"Keep printing what arrives until the job has ended."`
	// Pretty shows one readable line per event.
	Pretty bool `name:"pretty" group:"Output:" help:"Show a readable line per event, in colour on a terminal."`
	Target
	Log
}

// Jobs lists jobs.
type Jobs struct {
	// Since is never zero because it has a default.
	Since Time `name:"since" default:"7d" group:"Selection:" help:"Start of the period: 7d, 12h, a date or RFC 3339."`
	// Until is zero if the option was not given.
	Until Time `name:"until" placeholder:"TIME" group:"Selection:" help:"Only jobs that began before then. Default: now."`
	// Failed leaves out jobs that completed, wait for a person or still run.
	Failed bool `name:"failed" group:"Selection:" help:"Only jobs that failed, did not finish or are silent."`
	// Expert is the key of an Expert, or empty for all.
	Expert string `name:"expert" placeholder:"KEY" group:"Selection:" help:"Only jobs in which this Expert ran."`
	JSON   bool   `name:"json" group:"Output:" help:"Print a JSON object per job, one per line."`
	Target
	Log
}

// Held names a job that is stored in CloudWatch, and where to look for it.
type Held struct {
	// Job is the jobId; required.
	Job string `name:"job" placeholder:"ID" group:"Selection:" help:"jobId. Required."`
	// LogStream is the template that the job was shipped with.
	LogStream string `name:"log-stream" default:"{jobId}" group:"Selection:" help:"Log stream template the job was shipped with."`
	Search    bool   `name:"search" group:"Selection:" help:"Look for the job in all streams of the group."`
	// Unmask asks for the originals of what a data protection policy masks.
	Unmask bool `name:"unmask" group:"Selection:" help:"Read what a data protection policy masks."`
	Target
	Log
}

// Usages are the values of Tokens.By.
var Usages = []string{"expert", "run", "step", "job", "day"}

// Tokens counts the tokens, calls and durations of jobs.
type Tokens struct {
	// Jobs are jobIds. They are required unless Since is given.
	Jobs List `name:"job" placeholder:"ID" group:"Selection:" help:"jobId. May be repeated. Required, unless --since is given."`
	Period
	// LogStream is the template that the Jobs were shipped with.
	LogStream string `name:"log-stream" default:"{jobId}" group:"Selection:" help:"Log stream template the job was shipped with."`
	Search    bool   `name:"search" group:"Selection:" help:"Look for the job in all streams of the group."`
	// By is one of Usages.
	By   string `name:"by" default:"expert" group:"Output:" help:"One row per expert, run, step, job or day."`
	JSON bool   `name:"json" group:"Output:" help:"Print a JSON object per job, one per line."`
	CSV  bool   `name:"csv" group:"Output:" help:"Print CSV for a spreadsheet. Works with --by."`
	Target
	Log
}

// Report writes one HTML file about a job.
type Report struct {
	// Settle is how long to keep looking for missing events before reporting them as missing.
	Settle time.Duration `name:"settle" default:"30s" group:"Selection:" help:"How long to keep looking for missing events."`
	Held
}

// Restore writes a job's checkpoints and event files back into a workspace.
type Restore struct {
	// Into is the workspace. It need not exist.
	Into string `name:"into" default:"." group:"Files:" help:"Workspace to write to."`
	// Checkpoint is the only checkpoint to restore. Empty means all of them, and the events.
	Checkpoint string `name:"checkpoint" placeholder:"ID" group:"Files:" help:"Restore this checkpoint only."`
	Force      bool   `name:"force" group:"Files:" help:"Replace existing files that differ."`
	List       bool   `name:"list" group:"Files:" help:"List the checkpoints; write nothing."`
	Held
}

// Check tests whether shipping would work.
type Check struct {
	// Read also checks what the reading commands need.
	Read bool `name:"read" group:"Check:" help:"Also check reading back."`
	JSON bool `name:"json" group:"Check:" help:"Print one JSON object instead of lines."`
	Target
	Creation
	Journal
	Log
}

// Verify proves that everything shipped is in CloudWatch.
type Verify struct {
	// Jobs are jobIds. Without any, Verify proves everything shipped in Period.
	Jobs List `name:"job" placeholder:"ID" group:"Selection:" help:"jobId. May be repeated."`
	Period
	// LogStream is the template that the jobs were shipped with.
	LogStream string        `name:"log-stream" default:"{jobId}" group:"Selection:" help:"Log stream template the job was shipped with."`
	Search    bool          `name:"search" group:"Selection:" help:"Look for the jobs in all streams of the group."`
	Unmask    bool          `name:"unmask" group:"Selection:" help:"Read what a data protection policy masks."`
	Settle    time.Duration `name:"settle" default:"30s" group:"Selection:" help:"How long to keep looking for missing events."`
	JSON      bool          `name:"json" group:"Output:" help:"Print JSON."`
	Target
	Log

	// Files hold what the agent wrote. "-" is stdin.
	Files []string
}

// Local serves a CloudWatch Logs endpoint.
type Local struct {
	// Listen is host:port. An empty host means the loopback address, and port 0 a free port.
	Listen string `name:"listen" default:"127.0.0.1:4586" group:"Endpoint:" help:"Address and port; port 0 picks a free one."`
	// Dir keeps the data as JSON lines. Empty means in memory.
	Dir string `name:"dir" placeholder:"DIR" group:"Endpoint:" help:"Keep the data in this folder. Default: in memory."`
}

// Version prints the version of the program.
type Version struct{}
