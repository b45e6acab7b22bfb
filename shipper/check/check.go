// Package check tests whether shipping and reading back would work: where the calls go and as whom,
// what they may do, how the log group is set up, and whether the journal can be written. Each
// finding is a [Result] with a remedy.
//
//	check.go    the checks and their order
//	calls.go    Region, credentials, endpoint and clock
//	permits.go  each permission, by a call that changes as little as possible
//	group.go    the settings of the log group
//	folder.go   the journal folder
//	print.go    a result as a line for people
package check

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"perstack-shipper/shipper/cloudwatch"
)

// Stream is the stream that gets the record of each check. All checks of a group share it.
const Stream = "shipper-check"

// Status is the status of a Result.
type Status string

const (
	OK      Status = "ok"
	Warning Status = "warning" // it works, but not as it should
	Failed  Status = "failed"  // it does not work
	Skipped Status = "skipped" // it was not tried, because something that it needs does not work
)

// Result is one finding.
type Result struct {
	Name    string `json:"name"` // what was checked, such as "clock" or "logs:PutLogEvents"
	Status  Status `json:"status"`
	Message string `json:"message"`
	Remedy  string `json:"remedy,omitempty"`
}

// Options say what to check.
type Options struct {
	Client *cloudwatch.Client
	Create bool // create missing group and stream, as shipping does
	Read   bool // also check reading back

	JournalDir string
	// JournalNamed says that the user named JournalDir. If not, and the folder cannot be written,
	// shipping falls back to memory.
	JournalNamed bool
	// Dies reports whether a folder is lost with the container. nil means that none is.
	Dies func(folder string) bool

	Version, Hostname string // for the record

	// Pause is the pause before a failed call is tried again. 0 means 300 ms.
	Pause time.Duration
	// Settle is how long the record may take to become readable. 0 means 15 s; as a rule it takes
	// seconds.
	Settle time.Duration
}

// Run checks everything and calls tell with each result. It returns false if something failed.
func Run(ctx context.Context, o Options, tell func(Result)) bool {
	o.Pause, o.Settle = cmp.Or(o.Pause, 300*time.Millisecond), cmp.Or(o.Settle, 15*time.Second)
	c := &checker{Options: o, tell: tell, works: true}
	c.region()
	if c.credentials(ctx) && c.endpoint(ctx) {
		c.identity(ctx)
	}
	if c.refused == "" {
		c.mayWrite(ctx)
		c.describe(ctx)
		c.mayRead(ctx)
		c.saysOfGroup(ctx)
	} else {
		c.add("permissions", Skipped, "not tried, because "+c.refused, "")
	}
	c.journal()
	return c.works
}

// checker is the state of one [Run].
type checker struct {
	Options
	tell  func(Result)
	works bool

	refused string // why no call can succeed, or ""

	group    cloudwatch.Group
	there    bool   // the group exists
	hidden   error  // why the group cannot be described, or nil
	created  bool   // this check created the group
	stored   []byte // the record that was put, or nil
	storedAt time.Time
	filters  bool // FilterLogEvents is allowed
}

func (c *checker) add(name string, status Status, message, remedy string) {
	c.works = c.works && status != Failed
	c.tell(Result{Name: name, Status: status, Message: message, Remedy: remedy})
}

// failed adds a result about a call that failed.
func (c *checker) failed(name string, status Status, err error, action, stream string) {
	cause, remedy := c.Client.Diagnose(err, action, stream)
	if c.group.KMSKeyID != "" && cloudwatch.Classify(err) == cloudwatch.Denied {
		remedy += fmt.Sprintf("; also allow the group's key %s (UseTheKey in deploy/README.md)", c.group.KMSKeyID)
	}
	c.add(name, status, cause, remedy)
}

// attempts is how often a call is tried whose error may pass.
const attempts = 3

// try makes a call, and repeats it if its error may pass.
func (c *checker) try(ctx context.Context, call func() error) error {
	for n := 1; ; n++ {
		err := call()
		class := cloudwatch.Classify(err)
		passes := class == cloudwatch.Throttled || class == cloudwatch.Again || class == cloudwatch.Retry && !cloudwatch.Unreachable(err)
		if err == nil || !passes || n == attempts || wait(ctx, c.Pause) != nil {
			return err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
