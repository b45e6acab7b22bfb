package shipper

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

// What CloudWatch refuses for good is kept in the folder of its input, with the reason.

// pendingReject is a rejected event that is not in its input's folder yet. Until it is, its block
// waits for it: the journal forgets nothing that is neither in CloudWatch nor kept.
type pendingReject struct {
	in    *input
	block *batch.Block // its events' count has one more for this
	seq   int64
	entry []byte
	why   error
	since time.Time // when it was to be kept
}

// rejects are the events that could not be kept yet.
type rejects struct {
	pending []pendingReject
	tried   time.Time // when that was tried last
}

// reject keeps an event that CloudWatch refuses while it takes others.
func (s *Shipper) reject(st *stream, r deliver.Rejected) {
	block := r.Block()
	if block == nil || block == s.inputs.of(block).seal.block {
		s.log.Error(fmt.Sprintf("log stream %q refuses a record of the shipper's own: %v", st.Name, r.Reason), logfield.Stream(st.Name))
		return
	}
	in, message := s.inputs.of(block), r.Message()
	restored, err := batch.Restore(message) // for the number of the line, which no batch knows
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
	if err != nil { // strings and numbers
		panic(err)
	}
	block.Pending++
	s.rejects.pending = append(s.rejects.pending, pendingReject{in: in, block: block, seq: restored.Seq, entry: entry, why: r.Reason, since: time.Now()})
	s.keepRejects(time.Time{})
}

// keepRejects writes the rejected events that are not kept yet, unless that was tried just before
// now; a zero now means at once.
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
			s.complain("reject "+r.in.Shape.Input, fmt.Errorf("line %d of input %s, which CloudWatch refuses, cannot be set aside yet: %w", r.seq, r.in.Shape.Input, err))
			s.rejects.pending = append(s.rejects.pending, r)
			continue
		}
		kept := "kept in rejects.jsonl of " + r.in.Journal.Path()
		if r.in.Journal.Path() == "" {
			kept = "and lost, because the journal is in memory"
		}
		if err != nil {
			kept = fmt.Sprintf("and lost, because it cannot be set aside (%v)", err)
		}
		s.log.Error(fmt.Sprintf("CloudWatch refuses line %d of input %s but accepts others; the line is not shipped, %s: %v", r.seq, r.in.Shape.Input, kept, r.why),
			logfield.Input(r.in.Shape.Input), zap.Int64("seq", r.seq), logfield.Folder(r.in.Journal.Path()))
		r.block.Pending--
		s.moveCursor(r.in)
	}
}
