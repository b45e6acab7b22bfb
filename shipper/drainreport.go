package shipper

import "time"

// Drain is the progress of a drain: the phase in which no more input can come that the process
// lives for, and the rest is being delivered.
type Drain struct {
	Since time.Time // when it began
	Left  int64     // bytes not yet acknowledged
	Rate  float64   // bytes acknowledged per second since it began
	Cause string    // the latest problem, for a person; "" if there is none
}

// drainReport is what the loop remembers between two reports of a drain.
type drainReport struct {
	since time.Time // when the drain began; zero: none is in progress
	first int64     // bytes left when it began
	due   time.Time // when to report next
}

// reportDrain calls Options.Drain if a drain is in progress and a report is due.
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
