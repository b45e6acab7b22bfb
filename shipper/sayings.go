package shipper

import "time"

// sayAgain is how often one kind of trouble is said while it lasts.
const sayAgain = time.Minute

// sayings remembers what was said when.
type sayings map[string]time.Time

// may reports whether a kind of trouble may be said now, and takes it for said.
func (s *sayings) may(kind string, now time.Time) bool {
	if last, ok := (*s)[kind]; ok && now.Sub(last) < sayAgain {
		return false
	}
	if *s == nil {
		*s = sayings{}
	}
	(*s)[kind] = now
	return true
}
