// Package shipper brings inputs to CloudWatch Logs: journal -> lines -> events -> batches -> PutLogEvents -> acknowledged offset. It is one path, the
// same live, after a crash, wrapped and followed.
package shipper

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/loglimit"
)

// Options are what a Shipper works by.
type Options struct {
	Client        *cloudwatch.Client
	Create        bool          // create group and streams where they are missing
	FlushInterval time.Duration // how old the oldest event of an open batch becomes
	GiveUpAfter   time.Duration // after the end of input: how long to go on without an acknowledgement
	// HopelessAfter is the same where nothing was ever accepted, and credentials, permission or
	// address are what is wrong; 0: GiveUpAfter.
	HopelessAfter time.Duration
	OthersAfter   time.Duration // how long inputs that are not Own may take when the Own ones are done
	// Stop, where there is one, is closed when inputs that somebody else goes on writing are waited for no more: of those, what has come is shipped.
	Stop      <-chan struct{}
	MemoryMax int // bytes in windows, open batches and bodies
	// HalfLine is how long a followed file must stand still after a last line without a newline for that to be shipped as it is; 0: 30 s.
	HalfLine time.Duration
	Origin   Origin
	Log      *zap.Logger
}

const (
	// parallel is how many puts are under way at once, over all streams: enough to fill a link at any latency, few enough for the quota.
	parallel = 8
	// ready is how many closed batches wait while all is well, or nothing at all gets through: the next body is there before the answer. When streams are
	// in trouble, memory is the bound, so that one stream's trouble does not keep the others waiting.
	ready = 3
	// maxInterval is how far the flush interval stretches under throttling: fewer, fuller puts.
	maxInterval = 30 * time.Second
	// idleMemory is what is kept of the memory of batches when nothing waits: what a quiet input needs each second.
	idleMemory = 1 << 20
)

// Shipper ships inputs to one log group. Make one with New, call Run once.
type Shipper struct {
	o     Options
	log   *zap.Logger
	deliv *delivery

	// What follows belongs to the goroutine of Run.
	pool     batch.Pool
	read     spare
	spare    []*batch.Batch
	inputs   []*input
	free     []int             // places in inputs of followed files that are done: who follows a folder for months sees many
	byID     map[string]*input // of followed files by path, too
	streams  map[string]*stream
	interval time.Duration // the flush interval, stretched
	underway int           // deliveries
	ev       batch.Event
	turn     int       // whose block is next
	short    bool      // memory has run out
	progress time.Time // of the last acknowledgement, or of the end of input
	quiet    bool      // every input that the process lives for has ended
	ownDone  time.Time // when the last own input was done
	fed      bool      // own inputs may come while Run runs
	said     loglimit.Limiter
	asides   []aside   // rejected events that could not be kept yet
	asided   time.Time // when that was tried
	report   Report

	results  chan outcome
	wake     chan struct{}
	watching chan struct{} // closed when Run ends
}

// New returns a Shipper.
func New(o Options) *Shipper {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.HopelessAfter == 0 {
		o.HopelessAfter = o.GiveUpAfter
	}
	if o.HalfLine == 0 {
		o.HalfLine = halfLine
	}
	return &Shipper{
		o: o, log: o.Log,
		deliv: &delivery{
			api: o.Client, create: o.Create, slots: make(chan struct{}, parallel), trouble: newTrouble(o.Client, o.Log), paces: usual, random: rand.Float64,
		},
		byID: map[string]*input{}, streams: map[string]*stream{},
		interval: o.FlushInterval,
		results:  make(chan outcome),
		wake:     make(chan struct{}, 1),
	}
}

// GaveUpError says that Run ended because nothing had been acknowledged for too long.
type GaveUpError struct {
	After    time.Duration // Options.GiveUpAfter or HopelessAfter
	Hopeless bool          // it was HopelessAfter
	Cause    string        // what went wrong last, for a person; "" where nothing did
}

func (e *GaveUpError) Error() string { return fmt.Sprintf("no acknowledgement for %s", e.After) }

// Run ships the inputs, and those that come out of more until it is closed (nil: none come), and returns when all is delivered, when there is no hope
// for the rest, or when ctx ends. Their journals are closed then: those of delivered inputs are removed, the others keep what is left.
func (s *Shipper) Run(ctx context.Context, inputs []Input, more <-chan Input) (Report, error) {
	began := time.Now()
	s.report.Groups = []string{s.o.Client.Target().Group}
	s.progress, s.fed = began, more != nil
	deliveries, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	s.watching = make(chan struct{})
	defer close(s.watching)
	for _, in := range inputs {
		if err := s.add(in, s.watching); err != nil && in.Own {
			return s.report, err
		} else if err != nil { // what others left stays as it is
			if in.Quit != nil {
				in.Quit()
			}
			s.log.Error(errors.Join(err, in.Journal.Close()).Error())
		}
	}

	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	stopped := s.o.Stop
	var why error
	for why == nil {
		now := time.Now()
		busy := s.shape(now)
		s.start(deliveries, now)
		s.setAside(now)
		s.finish()
		if why = s.over(now, more); why != nil {
			break
		}
		if busy {
			// There is more to read; but first what came meanwhile.
			select {
			case r := <-s.results:
				s.settle(r)
			case <-ctx.Done():
				why = context.Cause(ctx)
			default:
			}
			continue
		}
		if s.underway == 0 && s.pool.Held() == 0 {
			s.pool.Trim(idleMemory)
		}
		timer.Reset(s.until(now))
		select {
		case r := <-s.results:
			s.settle(r)
		case <-s.wake:
		case in, ok := <-more:
			if !ok {
				more = nil
			} else if err := s.add(in, s.watching); err != nil {
				s.log.Error(err.Error())
				s.report.Failed = append(s.report.Failed, err)
			}
		case <-timer.C:
		case <-stopped:
			stopped = nil // it is seen by over
		case <-ctx.Done():
			why = context.Cause(ctx)
		}
	}
	stop(why)
	for s.underway > 0 {
		s.settle(<-s.results)
	}
	if errors.Is(why, errAllDone) {
		why = nil
	}
	s.closeAll()
	s.report.Took = time.Since(began)
	return s.report, why
}

// add takes an input in.
func (s *Shipper) add(in Input, watch <-chan struct{}) error {
	place := len(s.inputs)
	if len(s.free) > 0 {
		place = s.free[0]
	}
	i, err := newInput(in, place, &s.read)
	if err != nil {
		return err
	}
	if why := in.Journal.Fallback(); why != "" {
		if i.Shape.Input != in.Shape.Input {
			why += "; the lines count from 1 again, as input " + i.Shape.Input
		}
		s.log.Warn(why)
	}
	if err := in.Journal.Fallen(); err != nil && in.Journal.Path() == "" { // else who moves its bytes says so
		s.log.Warn(err.Error())
	}
	if err := in.Journal.Damage(); err != nil {
		s.lost(i, err)
	}
	if i.overtaken != nil {
		s.lost(i, fmt.Errorf("%w; what came after that is shipped as input %s", i.overtaken, i.Shape.Input))
	}
	if place < len(s.inputs) {
		s.inputs[place], s.free = i, s.free[1:]
	} else {
		s.inputs = append(s.inputs, i)
	}
	s.byID[in.Shape.Input], s.byID[i.Shape.Input] = i, i
	if in.Path != "" && in.Journal.Kind() == journal.File {
		s.byID[in.Path] = i
	}
	for _, name := range i.shaper.Streams() {
		st := s.stream(name)
		if !st.busy { // while a put is under way that one owns created
			st.created = true
		}
		i.streams = append(i.streams, st)
	}
	i.tellShaped(i.acked, i.kept)
	var copied <-chan struct{}
	if in.Tee != nil {
		copied = in.Tee.Done()
	}
	go s.watch(in.Journal.Changed(), copied, i.let, watch)
	return nil
}

// watch wakes the loop when an input grows or its copy is done, until it is let go or end.
func (s *Shipper) watch(changed, copied, let, end <-chan struct{}) {
	for {
		select {
		case <-changed:
		case <-copied:
			copied = nil
		case <-let:
			return
		case <-end:
			return
		}
		s.poke()
	}
}

// poke makes the loop look again.
func (s *Shipper) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Shipper) stream(name string) *stream {
	st := s.streams[name]
	if st == nil {
		st = &stream{name: name, head: batch.BodyHead(s.o.Client.Target().Group, name)}
		s.streams[name] = st
	}
	return st
}

// over says why Run should end, or nil.
func (s *Shipper) over(now time.Time, more <-chan Input) error {
	own, others, had := 0, 0, s.fed
	ownEnded, othersEnded := true, true // not "read": memory may hold less than what is left
	for _, in := range s.inputs {
		had = had || in.Own
		switch {
		case in.done, s.goesOn(in):
		case in.Own:
			own++
			ownEnded = ownEnded && in.ended()
		default:
			others++
			othersEnded = othersEnded && in.ended()
		}
	}
	if own > 0 {
		s.ownDone = time.Time{}
	} else if s.ownDone.IsZero() {
		s.ownDone = now
	}
	switch {
	case more != nil:
		return nil
	case own+others == 0:
		return errAllDone
	case own == 0 && had && now.Sub(s.ownDone) >= s.o.OthersAfter:
		return errAllDone // what others left stays for the next start; it was no business of this process
	case !ownEnded, !had && !othersEnded:
		s.quiet = false
		return nil
	case !s.quiet:
		s.quiet, s.progress = true, now
	}
	idle := min(now.Sub(s.progress), now.Sub(s.deliv.trouble.progress()))
	switch {
	case idle >= s.o.GiveUpAfter:
		return &GaveUpError{After: s.o.GiveUpAfter, Cause: s.deliv.trouble.cause()}
	case s.deliv.trouble.hopeless() && idle >= s.o.HopelessAfter:
		return &GaveUpError{After: s.o.HopelessAfter, Hopeless: true, Cause: s.deliv.trouble.cause()}
	}
	return nil
}

var errAllDone = errors.New("all is delivered")

// goesOn reports whether all that has come of in is shipped, while somebody else writes it on, for whom nobody waits: an agent that outlived its shipper.
func (s *Shipper) goesOn(in *input) bool {
	if in.Own {
		select {
		case <-s.o.Stop:
		default:
			return false
		}
	}
	return !in.ended() && in.caughtUp()
}

// until is how long the loop may sleep when nothing wakes it.
func (s *Shipper) until(now time.Time) time.Duration {
	d := time.Hour
	for _, st := range s.streams {
		if st.open != nil && !st.busy {
			d = min(d, st.dueAt(s.interval).Sub(now))
		}
		if st.forlorn() {
			d = min(d, max(st.lonely.Add(loneWait).Sub(now), time.Second))
		}
	}
	for _, in := range s.inputs {
		if in.waiting || in.unread {
			d = min(d, time.Second)
		}
		if wait := in.waitEnd.Sub(now); in.waiting && wait > 0 { // else only memory holds it up
			d = min(d, wait)
		}
	}
	for _, in := range s.inputs {
		if in.inHalfLine() {
			d = min(d, max(in.grewAt.Add(s.o.HalfLine).Sub(now), pollHalfLine))
		}
	}
	if s.quiet {
		d = min(d, time.Second)
	}
	if len(s.asides) > 0 {
		d = min(d, asideAgain)
	}
	return max(d, 0)
}
