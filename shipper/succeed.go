package shipper

import (
	"errors"
	"fmt"

	"perstack-shipper/shipper/journal"
)

// succeed goes on with what the file of in holds now that it was truncated: as another input, which knows the job that this one knew.
func (s *Shipper) succeed(in *input) {
	if s.o.Successor == nil || in.Journal.Kind() != journal.Child {
		return
	}
	next, err := s.o.Successor(in.Input)
	if err == nil {
		if err = s.add(next, s.watching); err != nil {
			err = errors.Join(err, next.Journal.Close())
		}
	}
	if err != nil {
		s.lost(in, fmt.Errorf("what the truncated input %s holds now is not shipped: %w", in.Shape.Input, err))
		return
	}
	rest := s.byID[next.Shape.Input]
	rest.shaper.Succeed(in.shaper)
	in.succeeded = true
	// A start after a crash must give its first lines the same job.
	if err := rest.persist(rest.acked, rest.shaper.State()); err != nil {
		s.complain("cursor "+rest.Shape.Input, err)
	}
}
