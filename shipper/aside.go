package shipper

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/journal"
)

// What CloudWatch refuses for good is set aside in the folder of its input, with the reason.

// aside is a rejected event that is to be kept in its input's folder. Until it is, a block of that input waits for it: the journal forgets nothing that is
// neither in CloudWatch nor set aside.
type aside struct {
	in    *input
	block *batch.Block // its events' count has one more for this
	seq   int64
	entry []byte
	why   error
	since time.Time // when it was to be kept
}

// asideAgain is how often a rejected event that could not be set aside is tried again.
const asideAgain = 200 * time.Millisecond

// asidePatience is how long one is tried again for another reason than that the disk is full. A folder that somebody has removed, or that is read-only, stays so,
// and what waits for it would keep the journal from giving back space, in the end from taking what the agent writes.
const asidePatience = 5 * time.Second

// reject sets an event aside that CloudWatch refuses while it takes others. spans are those that it came with.
func (s *Shipper) reject(st *stream, r refusal, spans []batch.Span) {
	message := r.message()
	restored, err := batch.Restore(message)
	in := s.inputs.byID[restored.Input]
	if err != nil || in == nil || restored.Record != "" {
		s.log.Error(fmt.Sprintf("log stream %q refuses a record of our own: %v", st.name, r.reason))
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
	}{time.Now().UTC(), st.name, restored.Seq, restored.Part, r.reason.Error(), string(message)})
	if err != nil { // strings and numbers
		panic(err)
	}
	a := aside{in: in, seq: restored.Seq, entry: entry, why: r.reason, since: time.Now()}
	for _, span := range spans {
		if span.Block.Input == in.index {
			a.block = span.Block
			a.block.Pending++
			break
		}
	}
	s.asides = append(s.asides, a)
	s.setAside(time.Time{})
}

// setAside writes the rejected events that are not kept yet, when that was not tried just before now.
func (s *Shipper) setAside(now time.Time) {
	if len(s.asides) == 0 || !now.IsZero() && now.Sub(s.asided) < asideAgain {
		return
	}
	s.asided = time.Now()
	waiting := s.asides
	s.asides = nil
	for _, a := range waiting {
		err := a.in.Journal.Reject(a.entry)
		if err != nil && (errors.Is(err, journal.ErrFull) || s.asided.Sub(a.since) < asidePatience) {
			s.complain("reject "+a.in.Shape.Input, fmt.Errorf("line %d of input %s, which CloudWatch refuses, cannot be set aside yet: %w", a.seq, a.in.Shape.Input, err))
			s.asides = append(s.asides, a)
			continue
		}
		kept := "kept in rejects.jsonl of " + a.in.Journal.Path()
		if a.in.Journal.Path() == "" {
			kept = "and lost, for the journal is in memory"
		}
		if err != nil {
			kept = fmt.Sprintf("and lost, for it cannot be set aside (%v)", err)
		}
		s.log.Error(fmt.Sprintf("CloudWatch refuses line %d of input %s while it takes others; it is not shipped, %s: %v", a.seq, a.in.Shape.Input, kept, a.why))
		if a.block != nil {
			a.block.Pending--
			s.advance(a.in)
		}
	}
}
