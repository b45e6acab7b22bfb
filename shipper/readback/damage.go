package readback

import "fmt"

// maxFaults bounds how many faults a DamageError lists.
const maxFaults = 100

// DamageError lists lines that are missing from CloudWatch or altered. New events may take seconds
// to become readable, so a missing line may be there when the job is read again.
type DamageError struct {
	Faults []Fault // the first 100
	Total  int64
}

// Fault is something wrong with a line:
//
//	Part 0               lines [Seq, Last] are missing, though the input's seal counts them
//	Part n               part n of a line is missing, and the line was not handed over
//	Part 0 with Differs  the line is stored twice with different bytes; the first was handed over
//	Part n with Differs  the same for a part
type Fault struct {
	Input     string
	Seq, Last int64 // equal, unless Part is 0 and Differs is false
	Part      int
	Differs   bool
}

func (f Fault) String() string {
	what := fmt.Sprintf("input %s, line %d", f.Input, f.Seq)
	switch {
	case f.Differs && f.Part == 0:
		return what + " is stored twice with different bytes"
	case f.Differs:
		return fmt.Sprintf("%s: part %d is stored twice with different bytes", what, f.Part)
	case f.Part > 0:
		return fmt.Sprintf("%s: part %d is missing", what, f.Part)
	case f.Last > f.Seq:
		return fmt.Sprintf("input %s: lines %d to %d are missing", f.Input, f.Seq, f.Last)
	}
	return what + " is missing"
}

func (e *DamageError) Error() string {
	f, more, after := e.Faults[0], "", "; new events may take seconds to become readable, so try again"
	if e.Total > 1 {
		more = fmt.Sprintf(" (and %d more)", e.Total-1)
	}
	switch {
	case f.Differs:
		after = "; the first was printed"
	case f.Part > 0:
		after = "; the line was left out" + after
	}
	return f.String() + more + after
}
