package follow

import (
	"crypto/sha256"
	"sync/atomic"
)

// Progress is how far the shipper has got with an input: what tells whether a job is under way when
// nothing comes, and whether another file is a copy of this one. The shipper's goroutine writes it
// and that of the Set reads it.
type Progress struct {
	latest atomic.Pointer[Shaped]
}

// Shaped is what was made of an input so far.
type Shaped struct {
	// Offset is how many bytes of the input were made into events. They end with a whole line.
	Offset int64
	// Sum is the SHA-256 of these bytes, as they were read.
	Sum [sha256.Size]byte
	// Job is the job of which a run has begun and none has ended the job; "" when there is none.
	Job string
}

// Shaped keeps what was made so far of the input.
func (p *Progress) Shaped(offset int64, sum [sha256.Size]byte, job string) {
	p.latest.Store(&Shaped{Offset: offset, Sum: sum, Job: job})
}

// get returns the latest, which is the zero value before there is any.
func (p *Progress) get() Shaped {
	if latest := p.latest.Load(); latest != nil {
		return *latest
	}
	return Shaped{}
}
