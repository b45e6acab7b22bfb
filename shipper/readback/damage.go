package readback

import "fmt"

// maxFaults bounds how many of the faults are named.
const maxFaults = 100

// DamageError says which lines CloudWatch does not hold as they were. New events may take seconds
// to become readable, so what is missing may be there when the job is read again.
type DamageError struct {
	Faults []Fault // the first 100
	Total  int64
}

// Fault is what is wrong with a line:
//
//	Part 0               lines Seq to Last are missing, though the input's seal counts them
//	Part n               part n of a line is missing; the line was not handed over
//	Part 0 with Differs  the line is stored twice with different bytes; the one that was read first was handed over
//	Part n with Differs  the same of a part
type Fault struct {
	Input     string
	Seq, Last int64 // the same, but where lines are missing
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
	f, more := e.Faults[0], ""
	if e.Total > 1 {
		more = fmt.Sprintf(" (and %d more)", e.Total-1)
	}
	switch {
	case f.Differs:
		return f.String() + more + "; the first was printed"
	case f.Part > 0:
		return f.String() + more + "; the line was left out; new events may take seconds to become readable, so read again"
	}
	return f.String() + more + "; new events may take seconds to become readable, so read again"
}
