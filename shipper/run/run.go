// Package run is one run of the program over one journal folder. It takes over what earlier
// processes left there, adds inputs of its own, ships everything, and reports the outcome. The
// pipeline itself is package shipper; this package is what surrounds it.
//
//	run.go           the options of a run, and its outcome
//	patience.go      how long to wait for what
//	about.go         what the journal folder holds, and the snapshot kept beside each input
//	session.go       a run: open the folder, ship
//	stdin.go         ship stdin
//	follow.go        ship files that others write
//	exec.go          run a command and ship its output
//	commandoutput.go that command's stdout and stderr
//	mover.go         from a FIFO to its journal
//	resume.go        ship what is left, each input to its own target
//	leftover.go      take over what earlier processes left
//	survivor.go      commands that outlived their shipper
//	room.go          a disk that is full at the start
//	shutdown.go      how a signal ends a run
//	drainprogress.go the progress of the drain after the end of input
//	summary.go       the summary at the end
//	failon.go        jobs whose end makes the run fail
//	metrics.go       /metrics, /livez and /readyz
//	container.go     journals that are lost with their container
//	secrets.go       command lines without their secrets
package run

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
)

// program is the name of the program in messages that tell people to run it.
const program = "perstack-shipper"

// Outcome is the outcome of a run's primary inputs. A greater one is worse.
type Outcome int

const (
	Delivered Outcome = iota // all of it is in CloudWatch
	Failed                   // it could not be shipped, or a job ended as Events.FailOn says
	Rejected                 // CloudWatch refused some of it for good, or some of it is lost
	Left                     // some of it is left in the journal for the next start
)

// OptionError says that a run cannot start because the value of an option does not work on this
// machine. Nothing has been read.
type OptionError struct {
	Option  string // such as "--journal-dir"
	Problem string // follows the option's name
}

func (e *OptionError) Error() string { return e.Option + " " + e.Problem }

func optionError(option, format string, args ...any) *OptionError {
	return &OptionError{Option: option, Problem: fmt.Sprintf(format, args...)}
}

// Options are the options of every run.
type Options struct {
	Journal  Journal
	Delivery Delivery
	Patience Patience
	Version  string // of this program, for open records
	// Metrics is the host:port at which a session serves its metrics; "": none.
	Metrics string
	// Status, if not nil, shows a line on the terminal in place of the line before. The next
	// message of Log erases it.
	Status func(text string)
	Log    *zap.Logger
}

// Journal says where and how inputs are kept until CloudWatch has them.
type Journal struct {
	Dir string
	// MemoryInstead keeps inputs in memory if Dir cannot be written. If it is false, that is an
	// error.
	MemoryInstead bool
	Max           int64         // the most bytes that an input may take on the disk; 0: no limit
	Sync          time.Duration // time between syncs of written bytes; 0: the kernel decides
}

// Delivery says how eagerly and how patiently a run delivers. See [shipper.Options].
type Delivery struct {
	FlushInterval time.Duration
	Compress      Compression // "": Off
	GiveUpAfter   time.Duration
	HopelessAfter time.Duration
	DrainTimeout  time.Duration // the most time from a signal to the end of the run
	MemoryMax     int           // bytes
	MemoryMin     int           // the least of MemoryMax for a target, if resume ships to several
}

// Compression says whether batches are compressed.
type Compression string

const (
	Auto Compression = "auto" // to AWS's own endpoints
	Gzip Compression = "gzip" // always
	Off  Compression = "off"
)

// Target is where a session ships its inputs.
type Target struct {
	Client   *cloudwatch.Client // of the log group; its maker closes it, after the session
	Caller   cloudwatch.Caller  // recorded for a later resume
	Creation Creation
}

// Events says what becomes of the lines of a session's primary inputs. See [batch.Shape].
type Events struct {
	LogStream    string // a template
	JobID, RunID string
	ExcludeTypes []string
	Redact       []string
	Fields       []batch.Member
	// FailOn lists the ways a job may end that make the outcome Failed: error, max-steps,
	// delegate-error, unfinished.
	FailOn []string
}
