package follow

import (
	"cmp"
	"time"
)

// Patience is how long a [Set] waits, and how long files must stand still. The zero value of a
// field means the usual value.
type Patience struct {
	// HalfLine is how long a file whose first line has no newline yet must not grow before it is
	// followed anyway; 0: 30 s, as long as the shipper waits for the end of a last line.
	HalfLine time.Duration
	// LastLine is how long an incomplete line at the end of a file must not grow, when the Set
	// stops, before the Set takes it as it is; 0: 300 ms.
	LastLine time.Duration

	// Copy is how long a file that may be a copy must not grow before it is taken for an original,
	// because nobody has cut the other file, or because it is shorter than that was; 0: 5 s.
	Copy time.Duration
	// Digest bounds the wait until the shipper has shaped everything that was read of a file that
	// was cut: only then is the file's digest known; 0: 30 s.
	Digest time.Duration

	// Gone is how long a file that is gone must not grow before it has ended, if nobody has it open
	// for writing; 0: 1 s. GoneUnsure is the same if nobody can tell who has it open; 0: 30 s.
	Gone, GoneUnsure time.Duration

	// Run is the least time for which a run under way may write nothing before it is taken for
	// dead; 0: 10 minutes.
	Run time.Duration

	// Park is how long a file must not grow before it is parked if there are many; 0: 10 s.
	// ParkSoon is the same if another file waits for its place; 0: 200 ms.
	Park, ParkSoon time.Duration
}

func (p Patience) withDefaults() Patience {
	p.HalfLine = cmp.Or(p.HalfLine, 30*time.Second)
	p.LastLine = cmp.Or(p.LastLine, 300*time.Millisecond)
	p.Copy = cmp.Or(p.Copy, 5*time.Second)
	p.Digest = cmp.Or(p.Digest, 30*time.Second)
	p.Gone = cmp.Or(p.Gone, time.Second)
	p.GoneUnsure = cmp.Or(p.GoneUnsure, 30*time.Second)
	p.Run = cmp.Or(p.Run, 10*time.Minute)
	p.Park = cmp.Or(p.Park, 10*time.Second)
	p.ParkSoon = cmp.Or(p.ParkSoon, 200*time.Millisecond)
	return p
}
