package shipper

import "time"

// Drain says how a drain gets on: nothing can come any more that the process lives for, and what is
// left is only to be delivered.
type Drain struct {
	Since time.Time // when it began
	Left  int64     // bytes that are not acknowledged
	Rate  float64   // bytes a second that were acknowledged since it began
	Cause string    // what went wrong last, for a person; "" while nothing does
}

// drainReport is what the loop remembers of a drain between two reports.
type drainReport struct {
	since time.Time // of the drain at hand; zero: there is none
	first int64     // bytes that were left when it began
	due   time.Time
}

// reportDrain tells whoever wants to know how the drain gets on, if there is one.
func (s *Shipper) reportDrain(now time.Time) {
	if s.o.Drain == nil || !s.life.isQuiet() {
		s.drain = drainReport{}
		return
	}
	if now.Before(s.drain.due) {
		return
	}
	var left int64
	for _, in := range s.inputs.all {
		if !in.done {
			left += max(0, in.Journal.Size()-in.ack.offset)
		}
	}
	if s.drain.since.IsZero() {
		s.drain = drainReport{since: now, first: left}
	}
	s.drain.due = now.Add(s.patience.drainEvery)
	d := Drain{Since: s.drain.since, Left: left, Cause: s.deliverer.Trouble.Cause()}
	if took := now.Sub(d.Since).Seconds(); took > 0 {
		d.Rate = float64(s.drain.first-left) / took
	}
	s.o.Drain(d)
}
