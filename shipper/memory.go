package shipper

import "perstack-shipper/batch"

// This file bounds what is held in windows, open batches and bodies.

const (
	// ready is how many closed batches wait while all is well, or nothing at all gets through: the
	// next body is there before the answer. When streams are in trouble, memory is the bound, so
	// that one stream's trouble does not keep the others waiting.
	ready = 3
	// idleMemory is what is kept of the memory of batches when nothing waits: what a quiet input
	// needs each second.
	idleMemory = 1 << 20
)

// memory is what holds events, and what is kept for reuse.
type memory struct {
	pool    batch.Pool
	windows spare
	batches []*batch.Batch
	short   bool // it has run out
}

// trimIdle gives back most of the memory of batches when no event is held.
func (m *memory) trimIdle() {
	if m.pool.Held() == 0 {
		m.pool.Trim(idleMemory)
	}
}

// newBatch returns an empty batch.
func (m *memory) newBatch() *batch.Batch {
	if n := len(m.batches); n > 0 {
		b := m.batches[n-1]
		m.batches = m.batches[:n-1]
		return b
	}
	return batch.New(&m.pool)
}

// release takes a batch back.
func (m *memory) release(b *batch.Batch) {
	b.Release()
	if len(m.batches) < parallel {
		m.batches = append(m.batches, b)
	}
}

// makeRoom frees memory before it runs out, and sets s.memory.short if it has run out. Inputs give
// up what they keep only for reuse, and the largest open batches are put early, as many at once as
// a link takes. So a great many inputs and streams lead to smaller puts and not to a standstill.
func (s *Shipper) makeRoom() {
	s.memory.short = false
	most := s.o.MemoryMax / 4 * 3
	held, shaping := s.memory.pool.Held(), s.shapingMemory()
	if held+shaping > most {
		for _, in := range s.inputs.all {
			in.trimScratch()
		}
		shaping = s.shapingMemory()
	}
	if held == 0 {
		return // nothing waits to be put, so waiting would not help
	}
	puts := s.underway
	for _, st := range s.streams {
		if !st.busy && len(st.closed) > 0 {
			puts++
		}
	}
	for ; held+shaping > most && puts < parallel; puts++ {
		if !s.closeLargest() {
			break
		}
	}
	s.memory.short = held+shaping >= s.o.MemoryMax
}

// enoughWaits reports whether enough closed batches wait to keep the puts going. The batches of a
// stream in trouble do not count, unless nothing at all gets through.
func (s *Shipper) enoughWaits() bool {
	waiting, total := 0, s.deliverer.Trouble.Total()
	for _, st := range s.streams {
		if n := len(st.closed); n > 0 && (total || !s.deliverer.Trouble.Failing(st.Name)) {
			waiting += n
		}
	}
	return waiting >= ready
}

// shapingMemory returns the memory that reading and shaping take, in bytes, beside what waits to be
// put.
func (s *Shipper) shapingMemory() int {
	held := 0
	for _, in := range s.inputs.all {
		if !in.done {
			held += in.held()
		}
	}
	return held
}

// closeLargest closes the largest open batch of the streams that could put it now.
func (s *Shipper) closeLargest() bool {
	var largest *stream
	for _, st := range s.streams {
		if st.open != nil && !st.busy && (largest == nil || st.open.Held() > largest.open.Held()) {
			largest = st
		}
	}
	if largest == nil {
		return false
	}
	largest.closeOpen()
	return true
}
