package shipper

// Events that CloudWatch refuses for good are kept in the folder of their input, with the reason.

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/deliver"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/logfield"
)

// pendingReject is a rejected event that is not yet in its input's folder. Its block counts one
// more pending event until it is, because the journal must not forget an event that is neither in
// CloudWatch nor kept.
type pendingReject struct {
	in    *input
	block *batch.Block
	seq   int64
	entry []byte
	why   error
	since time.Time // of the first attempt to keep it
}

// rejects are the rejected events that could not be kept yet.
type rejects struct {
	pending []pendingReject
	tried   time.Time // when the last attempt to keep them was made
}

// reject keeps an event that CloudWatch refuses while it accepts others.
func (s *Shipper) reject(st *stream, r deliver.Rejected) {
	block := r.Block()
	if block == nil || block == s.inputs.of(block).seal.block {
		s.log.Error(fmt.Sprintf("log stream %q refuses one of the shipper's own records: %v", st.Name, r.Reason), logfield.Stream(st.Name))
		return
	}
	in, message := s.inputs.of(block), r.Message()
	restored, err := batch.Restore(message) // batches do not keep the line's number
	if err != nil {
		s.log.Error(fmt.Sprintf("log stream %q refuses an event of input %s, and the event cannot be read back: %v; %v", st.Name, in.Shape.Input, r.Reason, err), logfield.Stream(st.Name), logfield.Input(in.Shape.Input))
		return
	}
	in.ack.account.Rejected.add(restored.Seq)
	in.seal.outdate()
	entry, err := json.Marshal(struct {
		Time    time.Time `json:"time"`
		Stream  string    `json:"stream"`
		Seq     int64     `json:"seq"`
		Part    int       `json:"part,omitempty"`
		Reason  string    `json:"reason"`
		Message string    `json:"message"`
	}{time.Now().UTC(), st.Name, restored.Seq, restored.Part, r.Reason.Error(), string(message)})
	if err != nil { // impossible: there are only strings, numbers and a time
		panic(err)
	}
	block.Pending++
	block.Accepted--
	s.rejects.pending = append(s.rejects.pending, pendingReject{in: in, block: block, seq: restored.Seq, entry: entry, why: r.Reason, since: time.Now()})
	s.keepRejects(time.Time{})
}

// keepRejects tries to write the rejected events that are not kept yet. It does nothing if the last
// attempt was less than patience.rejectRetry before now; a zero now means to try at once.
func (s *Shipper) keepRejects(now time.Time) {
	if len(s.rejects.pending) == 0 || !now.IsZero() && now.Sub(s.rejects.tried) < s.patience.rejectRetry {
		return
	}
	s.rejects.tried = time.Now()
	waiting := s.rejects.pending
	s.rejects.pending = nil
	for _, r := range waiting {
		err := r.in.Journal.Reject(r.entry)
		if err != nil && (errors.Is(err, journal.ErrFull) || s.rejects.tried.Sub(r.since) < s.patience.reject) {
			s.complain("reject "+r.in.Shape.Input, fmt.Errorf("line %d of input %s, which CloudWatch refuses, cannot be written to rejects.jsonl yet: %w", r.seq, r.in.Shape.Input, err))
			s.rejects.pending = append(s.rejects.pending, r)
			continue
		}
		kept := "kept in rejects.jsonl of " + r.in.Journal.Path()
		if r.in.Journal.Path() == "" {
			kept = "and lost, because the journal is in memory"
		}
		if err != nil {
			kept = fmt.Sprintf("and lost, because it cannot be written to rejects.jsonl (%v)", err)
		}
		s.log.Error(fmt.Sprintf("CloudWatch refuses line %d of input %s but accepts others; the line is not shipped, %s: %v", r.seq, r.in.Shape.Input, kept, r.why),
			logfield.Input(r.in.Shape.Input), zap.Int64("seq", r.seq), logfield.Folder(r.in.Journal.Path()))
		r.block.Pending--
		s.moveCursor(r.in)
	}
}
