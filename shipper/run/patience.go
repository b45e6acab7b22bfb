package run

import (
	"cmp"
	"time"

	"perstack-shipper/shipper/child"
	"perstack-shipper/shipper/feed"
	"perstack-shipper/shipper/follow"
	"perstack-shipper/shipper/guard"
)

// Patience is how long a run waits for what may never come. The zero value of a field means the
// usual value.
type Patience struct {
	// Orphans is how long processes that the command left behind may keep its output open after the
	// command has ended; 0: 1 s. npx ends before the agent that it started, and the agent's last
	// lines come about 30 ms later. Servers that the agent started may keep its stderr open
	// forever.
	Orphans time.Duration
	// Killed is how long killed processes may keep the output open: on a busy machine they end some
	// time after the signal was sent; 0: 300 ms.
	Killed time.Duration
	// Read is how long the end of a run waits for a read of stdin that cannot be interrupted; 0:
	// 1 s.
	Read time.Duration
	// Deliver is how long before the deadline that a signal sets the run stops reading its input,
	// so that there is time to deliver what was read; 0: 3 s, or half of Delivery.DrainTimeout if
	// that is shorter.
	Deliver time.Duration
	// DrainLog is how often a drain is logged if there is no terminal; 0: 10 s.
	DrainLog time.Duration

	Child  child.Patience
	Feed   feed.Patience
	Follow follow.Patience
	Guard  guard.Patience
}

func (p Patience) withDefaults() Patience {
	p.Orphans = cmp.Or(p.Orphans, time.Second)
	p.Killed = cmp.Or(p.Killed, 300*time.Millisecond)
	p.Read = cmp.Or(p.Read, time.Second)
	p.DrainLog = cmp.Or(p.DrainLog, 10*time.Second)
	return p
}
