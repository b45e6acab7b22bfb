// Package shipper ships inputs to CloudWatch Logs: from the journal to lines, events, batches and
// puts, and back through acknowledgements to the journal. A pipe, a command and a followed file all
// take this one path, live and after a crash. A [Shipper] runs it in one loop:
//
//	shipper.go      the Shipper and its Options
//	loop.go         Run: what the loop does and how long it sleeps
//	lifetime.go     when Run ends
//	shape.go        reads a block, shapes it, adds its events to the batches of their streams
//	truncation.go   continues after a command has truncated its stdout
//	stream.go       the batches of a log stream; starts the deliveries that are due
//	ack.go          takes in a delivery's outcome, acknowledges its events, moves the cursor
//	trial.go        batches that CloudWatch refused as a whole
//	reject.go       events that CloudWatch refuses for good
//	seal.go         the seal of an input
//	finish.go       ends an input that is fully delivered
//	drainreport.go  how delivery progresses once no more input can come
//	memory.go       the bound on memory
//	patience.go     how long to wait, and for what
//
// An input in progress (input.go, inputs.go) has four parts: reading (reading.go, window.go,
// halfline.go), waiting for a job (waiting.go), acking (ack.go, cursor.go) and sealing (seal.go).
// The shipper's own records are in record.go and ecs.go, the report of a Run in report.go and
// summary.go, and its metrics in stats.go.
//
// Package feed fills the journals, package deliver puts the batches, and package run combines them
// all into a process.
package shipper

import (
	"time"

	"go.uber.org/zap"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/deliver"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/loglimit"
	"perstack-shipper/shipper/metrics"
)

// Options configure a Shipper. Only Client must be set.
type Options struct {
	Client *cloudwatch.Client
	Create bool // create missing log groups and streams
	// Compress compresses batches for as long as the service accepts that.
	Compress bool
	// FlushInterval is the greatest age of the oldest event in an open batch. With 0, a batch is
	// put as soon as the previous put to its stream is answered.
	FlushInterval time.Duration
	// GiveUpAfter is how long to continue without an acknowledgement after the inputs have ended; 0
	// means 10 minutes. HopelessAfter replaces it if no put was ever accepted because of wrong
	// credentials, permissions or address; 0 means GiveUpAfter.
	GiveUpAfter, HopelessAfter time.Duration
	// OthersAfter is how long inputs left by earlier processes may take once the Primary ones are
	// done. The rest is left for the next start. With 0, nothing waits for them.
	OthersAfter time.Duration
	// Stop, if not nil, is closed when Run should no longer wait for inputs that another process
	// continues to write. Run ships the part of them that has arrived.
	Stop <-chan struct{}
	// MemoryMax bounds the bytes in windows, open batches and bodies; 0 means 32 MiB.
	MemoryMax int
	// HalfLine is how long a followed file must not grow before its last line is shipped without
	// its newline; 0 means 30 s.
	HalfLine time.Duration
	// Heartbeat, if not nil, tells other processes that the loop is running.
	Heartbeat *journal.Heartbeat
	// Metrics, if not nil, asks the loop for its metrics.
	Metrics *metrics.Source
	// Drain, if not nil, is called about once a second once no more input can come. Run's goroutine
	// calls it, so it must not block.
	Drain  func(Drain)
	Origin Origin
	Log    *zap.Logger // nil: nothing is logged
}

// Shipper ships inputs to one log group. Make one with New and call Run once.
type Shipper struct {
	o         Options
	log       *zap.Logger
	deliverer *deliver.Deliverer
	patience  patience

	// The fields below belong to Run's goroutine.
	inputs   inputs
	streams  map[string]*stream
	memory   memory
	interval time.Duration // the flush interval, stretched while CloudWatch throttles
	underway int           // deliveries in progress
	ev       batch.Event   // the one that the shaper made last
	rejects  rejects
	life     lifetime
	drain    drainReport
	said     loglimit.Limiter
	report   Report

	results chan deliver.Outcome
	wake    chan struct{}
	end     chan struct{} // closed when Run ends
}

// New returns a Shipper.
func New(o Options) *Shipper {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.GiveUpAfter == 0 {
		o.GiveUpAfter = 10 * time.Minute
	}
	if o.HopelessAfter == 0 {
		o.HopelessAfter = o.GiveUpAfter
	}
	if o.MemoryMax == 0 {
		o.MemoryMax = 32 << 20
	}
	if o.HalfLine == 0 {
		o.HalfLine = halfLine
	}
	var calls *metrics.Calls
	if o.Metrics != nil {
		calls = &o.Metrics.Calls
	}
	return &Shipper{
		o: o, log: o.Log,
		deliverer: deliver.New(deliver.Options{Client: o.Client, Create: o.Create, Compress: o.Compress, Parallel: parallel, Log: o.Log, Calls: calls}),
		streams:   map[string]*stream{},
		interval:  o.FlushInterval,
		patience:  usualPatience,
		life:      lifetime{giveUpAfter: o.GiveUpAfter, hopelessAfter: o.HopelessAfter, othersAfter: o.OthersAfter},
		results:   make(chan deliver.Outcome),
		wake:      make(chan struct{}, 1),
		end:       make(chan struct{}),
	}
}
