// Package check tries whether shipping and reading back would work: where the calls go and as whom,
// what they may do, what the log group is like, and whether the journal can be written. Each
// finding is a Result, with what to do about it.
//
//	check.go    what is checked, in which order
//	calls.go    Region, credentials, endpoint and clock
//	permits.go  each permission, by a call that changes as little as possible
//	group.go    what the log group is like
//	folder.go   the journal folder
package check

import (
	"context"
	"fmt"
	"time"

	"perstack-shipper/shipper/cloudwatch"
)

// Stream is where the record of a check is put. It is one stream for all checks of a group.
const Stream = "shipper-check"

// Status is what was found.
type Status string

const (
	OK      Status = "ok"
	Warning Status = "warning" // it works, but not as one would like
	Failed  Status = "failed"  // it does not work
	Skipped Status = "skipped" // it could not be tried, because something before it does not work
)

// Result is one finding.
type Result struct {
	Name    string `json:"name"` // of what was checked, such as "clock" or "logs:PutLogEvents"
	Status  Status `json:"status"`
	Message string `json:"message"`
	Remedy  string `json:"remedy,omitempty"`
}

// Options say what to check.
type Options struct {
	Client *cloudwatch.Client
	Create bool // missing group and streams are created, as when shipping
	Read   bool // reading back is checked, too

	JournalDir   string
	JournalNamed bool // JournalDir was given; one that was not is replaced by memory where it cannot be written
	// Dies reports whether a folder is lost with the container; nil: none is.
	Dies func(folder string) bool

	Version, Hostname string // of who checks, for the record
}

// Run checks everything and tells each result as it comes. It returns whether nothing has failed.
func Run(ctx context.Context, o Options, tell func(Result)) bool {
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

// checker is a Run under way.
type checker struct {
	Options
	tell  func(Result)
	works bool

	refused string // why no call can succeed; "": some may

	group    cloudwatch.Group
	there    bool   // the group is
	hidden   error  // why the group cannot be looked at; nil: it can
	created  bool   // the group was, by this check
	stored   []byte // the record that was put; nil: none
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
		remedy += fmt.Sprintf("; the group's key %s must be allowed, too (UseTheKey in deploy/README.md)", c.group.KMSKeyID)
	}
	c.add(name, status, cause, remedy)
}

// patience is how often a call is made that fails for what may pass, and how long the pauses are.
const (
	attempts = 3
	pause    = 300 * time.Millisecond
)

// try makes a call, a few times where it fails for what may pass.
func try(ctx context.Context, call func() error) error {
	for n := 1; ; n++ {
		err := call()
		class := cloudwatch.Classify(err)
		passes := class == cloudwatch.Throttled || class == cloudwatch.Again || class == cloudwatch.Retry && !cloudwatch.Unreachable(err)
		if err == nil || !passes || n == attempts || wait(ctx, pause) != nil {
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
