// Package shipper brings inputs to CloudWatch Logs: journal, lines, events, batches, puts,
// acknowledgements. It is one path, the same for what is piped in, for a command and for a followed
// file, live and after a crash. A [Shipper] runs the path in one loop:
//
//	shipper.go   Options, and a Shipper
//	loop.go      Run: what the loop does, when it sleeps
//	lifetime.go  when Run ends
//	shape.go     read a block, shape it, add its events to the batches of their streams
//	emptied.go   go on behind the truncation of a command's stdout
//	stream.go    a log stream's batches; start the deliveries that are due
//	ack.go       settle a delivery, acknowledge its events, move the cursor
//	trial.go     batches that were refused as a whole
//	reject.go    events that CloudWatch refuses for good
//	seal.go      the seal of an input
//	finish.go    let go of an input of which nothing is left
//	drain.go     how the rest gets on when nothing can come any more
//	memory.go    the bound on memory
//	patience.go  how long to wait for what
//
// An input under way (input.go, inputs.go) has four parts: reading (reading.go, window.go,
// halfline.go), waiting for a job (waiting.go), acking (ack.go, cursor.go) and sealing (seal.go).
// What stands beside its events in CloudWatch is in record.go and ecs.go, what Run did in report.go
// and summary.go, and what metrics say of it in stats.go.
//
// Package feed fills the journals, package deliver puts the batches, and package run makes a
// process of them all.
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

// Options are what a Shipper works by. Only Client must be set.
type Options struct {
	Client *cloudwatch.Client
	Create bool // create the group and streams where they are missing
	// Compress compresses the batches for as long as the service accepts that.
	Compress bool
	// FlushInterval is how old the oldest event of an open batch becomes, at most; 0: a batch is
	// put as soon as the put before it to its stream is answered.
	FlushInterval time.Duration
	// GiveUpAfter is how long to go on without an acknowledgement after the end of the inputs; 0:
	// 10 minutes. HopelessAfter is the same where nothing was ever accepted, and credentials,
	// permission or address are what is wrong; 0: GiveUpAfter.
	GiveUpAfter, HopelessAfter time.Duration
	// OthersAfter is how long the inputs that earlier processes left may take when the Primary ones
	// are done; 0: what is not delivered by then is left for the next start.
	OthersAfter time.Duration
	// Stop, if not nil, is closed when inputs that somebody else goes on writing are waited for no
	// more: of those, what has come is shipped.
	Stop <-chan struct{}
	// MemoryMax bounds the bytes in windows, open batches and bodies; 0: 32 MiB.
	MemoryMax int
	// HalfLine is how long a followed file must stand still after a last line without a newline for
	// that to be shipped as it is; 0: 30 s.
	HalfLine time.Duration
	// Heartbeat, if not nil, tells other processes that the loop of Run turns.
	Heartbeat *journal.Heartbeat
	// Metrics, if not nil, asks the loop of Run for its metrics.
	Metrics *metrics.Source
	// Drain, if not nil, is told about once a second how the rest is getting on when nothing can
	// come any more. The goroutine of Run calls it, and it must not block.
	Drain  func(Drain)
	Origin Origin
	Log    *zap.Logger // nil: nothing is logged
}

// Shipper ships inputs to one log group. Make one with New, call Run once.
type Shipper struct {
	o         Options
	log       *zap.Logger
	deliverer *deliver.Deliverer
	patience  patience

	// What follows belongs to the goroutine of Run.
	inputs   inputs
	streams  map[string]*stream
	memory   memory
	interval time.Duration // the flush interval, stretched
	underway int           // deliveries
	ev       batch.Event   // at hand
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
