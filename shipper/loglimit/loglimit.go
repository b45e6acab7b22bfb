// Package loglimit keeps lasting trouble from filling the log. It allows each kind of message at
// most once a minute.
package loglimit

import "time"

// interval is how long a kind of message is held back after it was logged.
const interval = time.Minute

// Limiter remembers when each kind of message was last logged. The zero value has logged nothing.
// It is not safe for concurrent use.
type Limiter map[string]time.Time

// Allow reports whether a message of this kind may be logged now, and if so records that it was.
func (l *Limiter) Allow(kind string, now time.Time) bool {
	if last, ok := (*l)[kind]; ok && now.Sub(last) < interval {
		return false
	}
	if *l == nil {
		*l = Limiter{}
	}
	(*l)[kind] = now
	return true
}
