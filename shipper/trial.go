package shipper

import (
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/logfield"
)

// trial holds the batches of a stream that CloudWatch refused as a whole while it accepted no other
// put to the stream. The next put shows whether their events or the target are at fault.
type trial struct {
	batches []*batch.Batch
	since   time.Time // when the latest batch was added
}

// trialStalled reports whether batches are on trial and no waiting put will decide about them.
func (st *stream) trialStalled() bool {
	return len(st.trial.batches) > 0 && !st.busy && st.open == nil && len(st.closed) == 0
}

// try puts a batch of a stream on trial.
func (s *Shipper) try(st *stream, b *batch.Batch) {
	st.trial = trial{batches: append(st.trial.batches, b), since: time.Now()}
	s.countOnTrial(b, 1)
}

// endTrial acknowledges the batches of a stream that were on trial. By now their events are
// accepted or rejected.
func (s *Shipper) endTrial(st *stream) {
	for _, b := range st.trial.batches {
		s.countOnTrial(b, -1)
		s.acknowledge(b)
	}
	st.trial = trial{}
}

// countOnTrial adds n times the events of a batch to the counts of events on trial.
func (s *Shipper) countOnTrial(b *batch.Batch, n int) {
	for _, span := range b.Spans {
		s.inputs.of(span.Block).ack.onTrial += n * span.Events
	}
}

// probe puts the open record again to a stream whose batches are on trial. If it is accepted, their
// events are at fault, otherwise the target is.
func (s *Shipper) probe(st *stream, now time.Time) {
	spans := st.trial.batches[0].Spans
	if len(spans) == 0 {
		return // only records of the shipper's own, which no journal waits for
	}
	message, err := s.inputs.of(spans[0].Block).openMessage(&s.o.Origin, st.Name, "", now.UnixMilli())
	if err != nil {
		s.log.Error(err.Error(), logfield.Stream(st.Name))
		return
	}
	var ev batch.Event
	batch.Record(&ev, message, now.UnixMilli(), 0)
	s.addToBatch(st, &ev, nil, now)
	st.closeOpen()
}
