// Package run is one run of the program over one journal folder: it takes up what earlier processes
// left there, adds the inputs of its own, ships all of it, and says what became of it. The pipeline
// itself is package shipper; here is what stands around it.
//
//	run.go          what a run is given, and its outcome
//	patience.go     how long to wait for what
//	about.go        what is durable in the journal folder, and the snapshot kept beside each input
//	session.go      a run: open the folder, ship
//	stdin.go        ship what stdin brings
//	follow.go       ship files that others write
//	exec.go         run a command and ship what it writes
//	childoutput.go  that command's stdout and stderr
//	mover.go        from a FIFO to its journal
//	resume.go       ship what is left, each input to its own target
//	leftover.go     take over what earlier processes left
//	survivor.go     commands that outlived their shipper
//	room.go         a disk that is full at the start
//	shutdown.go     how a signal ends a run
//	drain.go        how the drain after the end of input is reported
//	summary.go      the summary at the end
//	failon.go       jobs whose end makes the run fail
//	metrics.go      /metrics, /livez and /readyz
//	container.go    journals that are lost with their container
//	secrets.go      command lines without their secrets
package run

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
)

// program is the name of the program in messages that tell people to start it.
const program = "perstack-shipper"

// Outcome is what became of a run's own inputs. A greater one is worse.
type Outcome int

const (
	Delivered Outcome = iota // all of it is in CloudWatch
	Failed                   // it could not be done, or a job ended in a way of Options.FailOn
	Rejected                 // CloudWatch refused some of it for good, or some is lost
	Left                     // some of it is left in the journal, for the next start
)

// OptionError says that a run cannot start because the value of an option does not fit this
// machine. Nothing was read.
type OptionError struct {
	Option  string // such as "--journal-dir"
	Problem string // follows the option's name
}

func (e *OptionError) Error() string { return e.Option + " " + e.Problem }

func optionError(option, format string, args ...any) *OptionError {
	return &OptionError{Option: option, Problem: fmt.Sprintf(format, args...)}
}

// Options are what every run works by.
type Options struct {
	Journal  Journal
	Delivery Delivery
	Patience Patience
	Version  string // of this program, for open records
	// Metrics is the host:port at which a session serves its metrics; "": it does not.
	Metrics string
	// Status, if not nil, shows a line on the terminal in place of the one before. It is gone with
	// the next message of Log.
	Status func(text string)
	Log    *zap.Logger
}

// Journal says where inputs are kept until CloudWatch has them.
type Journal struct {
	Dir string
	// MemoryInstead keeps inputs in memory if Dir cannot be written. Otherwise that is an error.
	MemoryInstead bool
	Max           int64         // the most bytes that an input may take on the disk; 0: no limit
	Sync          time.Duration // how often what was written is forced to the medium; 0: the kernel decides
}

// Delivery says how eagerly and how patiently a run delivers: see [shipper.Options].
type Delivery struct {
	FlushInterval time.Duration
	Compress      Compression // "": Off
	GiveUpAfter   time.Duration
	HopelessAfter time.Duration
	DrainTimeout  time.Duration // all the time from a signal to the end of the run
	MemoryMax     int           // bytes
	MemoryMin     int           // the least of MemoryMax that a target gets when resume ships to several
}

// Compression says whether batches are compressed.
type Compression string

const (
	Auto Compression = "auto" // to AWS's own endpoints
	Gzip Compression = "gzip" // always
	Off  Compression = "off"
)

// Target says where the inputs of a session go.
type Target struct {
	Client   *cloudwatch.Client // of the log group; whoever made it closes it, after the session
	Caller   cloudwatch.Caller  // recorded for a later resume
	Creation Creation
}

// Events says what is made of the lines of a session's own inputs. See [batch.Shape].
type Events struct {
	LogStream    string // a template
	JobID, RunID string
	ExcludeTypes []string
	Redact       []string
	Fields       []batch.Member
	FailOn       []string // kinds of ends of a job that make the outcome Failed: error, max-steps, delegate-error, unfinished
}
