package shipper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/logfield"
)

// Run ships the inputs, and those received from more until it is closed. If more is nil, no others
// come. It returns when everything is delivered, when it gives up on the rest, or when ctx ends. By
// then it has removed the journals of delivered inputs and closed the others, which keep what is
// left.
func (s *Shipper) Run(ctx context.Context, inputs []Input, more <-chan Input) (Report, error) {
	began := time.Now()
	s.report.Groups = []string{s.o.Client.Target().Group}
	s.life.begin(began, more != nil)
	deliveries, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer close(s.end)
	if err := s.addAll(inputs); err != nil {
		return s.report, err
	}
	why := s.loop(ctx, deliveries, more)
	stop(why)
	for s.underway > 0 {
		s.endDelivery(<-s.results)
	}
	if errors.Is(why, errAllDone) {
		why = nil
	}
	s.reportBackgroundErrors()
	s.closeAll()
	s.report.Took = time.Since(began)
	return s.report, why
}

// loop ships until there is a reason to end, and returns the reason.
func (s *Shipper) loop(ctx, deliveries context.Context, more <-chan Input) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	stop := s.o.Stop
	for {
		now := time.Now()
		s.o.Heartbeat.Beat(now)
		busy := s.shape(now)
		s.sealAndDeliver(deliveries, now)
		s.keepRejects(now)
		s.finish()
		if why := s.over(now, more != nil); why != nil {
			return why
		}
		s.reportDrain(now)
		if busy {
			// There is more to read, but a delivery may have ended in the meantime.
			select {
			case r := <-s.results:
				s.endDelivery(r)
			case answer := <-s.o.Metrics.Asked():
				answer <- s.stats()
			case <-ctx.Done():
				return context.Cause(ctx)
			default:
			}
			continue
		}
		if s.underway == 0 {
			s.memory.trimIdle()
		}
		timer.Reset(s.until(now))
		select {
		case r := <-s.results:
			s.endDelivery(r)
		case <-s.wake:
			s.reportBackgroundErrors()
		case answer := <-s.o.Metrics.Asked():
			answer <- s.stats()
		case <-s.deliverer.Trouble.Worse(): // read on, to find lines for other streams
		case in, ok := <-more:
			if !ok {
				more = nil
			} else if err := s.add(in); err != nil {
				err = errors.Join(err, in.close())
				s.log.Error(err.Error(), append(logfield.Of(err), logfield.Input(in.Shape.Input))...)
				s.report.Failed = append(s.report.Failed, err)
			}
		case <-timer.C:
		case <-stop:
			stop = nil // over checks Options.Stop
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// until returns how long the loop may sleep unless something wakes it.
func (s *Shipper) until(now time.Time) time.Duration {
	d := time.Hour
	if s.o.Heartbeat != nil {
		d = journal.HeartbeatEvery
	}
	for _, st := range s.streams {
		if st.open != nil && !st.busy {
			d = min(d, st.dueAt(s.interval).Sub(now))
		}
		if st.trialStalled() {
			d = min(d, max(st.trial.since.Add(s.patience.trial).Sub(now), s.patience.look))
		}
	}
	for _, in := range s.inputs.all {
		if in.wait.now() || in.read.state == unreadable {
			d = min(d, s.patience.look)
		}
		// If no time is left, the input waits only for memory.
		if left := in.wait.until.Sub(now); in.wait.now() && left > 0 {
			d = min(d, left)
		}
		if in.inHalfLine() {
			d = min(d, max(in.read.last.grewAt.Add(s.o.HalfLine).Sub(now), pollHalfLine))
		}
	}
	if s.life.isQuiet() {
		d = min(d, s.patience.look, s.patience.drainEvery, s.o.HopelessAfter)
	}
	if len(s.rejects.pending) > 0 {
		d = min(d, s.patience.rejectRetry)
	}
	return max(d, 0)
}

// addAll takes in the inputs that Run was given. If a primary input cannot be shipped, addAll
// closes all journals and fails. Any other input that cannot be shipped is closed and left as it
// is.
func (s *Shipper) addAll(inputs []Input) error {
	for n, in := range inputs {
		err := s.add(in)
		if err == nil {
			continue
		}
		if in.Primary {
			for _, taken := range s.inputs.all {
				err = errors.Join(err, taken.close())
			}
			for _, left := range inputs[n:] {
				err = errors.Join(err, left.close())
			}
			return err
		}
		err = errors.Join(err, in.close())
		s.log.Error(err.Error(), append(logfield.Of(err), logfield.Input(in.Shape.Input))...)
	}
	return nil
}

// add takes an input in.
func (s *Shipper) add(in Input) error {
	from, err := startingPointOf(in)
	if err != nil {
		return err
	}
	i, err := newInput(in, from, s.inputs.place(), &s.memory.windows)
	if err != nil {
		return err
	}
	if from.renamed {
		if err := i.persist(from.offset, from.cursor.State); err != nil {
			return err
		}
	}
	if why := in.Journal.Fallback(); why != "" {
		if i.Shape.Input != in.Shape.Input {
			why += "; numbering the lines from 1 again, as input " + i.Shape.Input
		}
		s.log.Warn(why, logfield.Input(i.Shape.Input), logfield.Folder(in.Journal.Path()))
	}
	// If the input has a folder, the mover logs the failure.
	if err := in.Journal.Degraded(); err != nil && in.Journal.Path() == "" {
		s.log.Warn(err.Error(), logfield.Of(err)...)
	}
	if err := in.Journal.Damage(); err != nil {
		s.lost(i, err)
	}
	if from.overtaken != nil {
		s.lost(i, fmt.Errorf("%w; shipping what came after that as input %s", from.overtaken, i.Shape.Input))
	}
	s.inputs.add(i, in.Shape.Input)
	s.life.hasPrimary = s.life.hasPrimary || in.Primary
	s.begin(i)
	var copied <-chan struct{}
	if in.Tee != nil {
		copied = in.Tee.Done()
	}
	go s.watch(in.Journal.Changed(), copied, i.stopWatch, s.end)
	return nil
}

// begin prepares an input to continue from its cursor.
func (s *Shipper) begin(in *input) {
	for _, name := range in.shaper.Streams() {
		st := s.stream(name)
		st.Created = true // a put in progress may correct this
		in.streams = append(in.streams, st)
	}
	if s.o.Metrics != nil {
		in.shaper.CountTypes(&s.o.Metrics.Types)
		in.tokensBefore = tokensOf(in.shaper)
	}
	in.tellShaped(in.ack.offset, in.ack.state)
}

// watch wakes the loop when an input grows or its copy is done, until stop or end is closed.
func (s *Shipper) watch(changed, copied, stop, end <-chan struct{}) {
	for {
		select {
		case <-changed:
		case <-copied:
			copied = nil
		case <-stop:
			return
		case <-end:
			return
		}
		s.poke()
	}
}

// poke wakes the loop.
func (s *Shipper) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// complainOfCursor logs that the cursor of in could not be written.
func (s *Shipper) complainOfCursor(in *input, err error) { s.complain("cursor "+in.Shape.Input, err) }

// reportBackgroundErrors logs errors that the journals met in the background, such as a failing
// fsync.
func (s *Shipper) reportBackgroundErrors() {
	for _, in := range s.inputs.all {
		if in.done {
			continue
		}
		if err := in.Journal.BackgroundError(); err != nil {
			s.complain("journal "+in.Shape.Input, err)
		}
	}
}

// complain logs an error of this machine, at most once a minute for each kind.
func (s *Shipper) complain(kind string, err error) {
	if s.said.Allow(kind, time.Now()) {
		s.log.Error(err.Error(), logfield.Of(err)...)
	}
}
