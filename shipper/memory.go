package shipper

// This file bounds the memory of windows, open batches and bodies.

import "perstack-shipper/batch"

const (
	// ready is how many closed batches may wait while all is well, or while no put is accepted at
	// all: enough for the next body to be ready before the answer to the previous one. If only some
	// streams are in trouble, memory is the bound, so that they do not hold up the others.
	ready = 3
	// idleMemory is how much of the batches' memory to keep when no event is held: as much as a
	// quiet input needs each second.
	idleMemory = 1 << 20
)

// memory holds events, and buffers for reuse.
type memory struct {
	pool    batch.Pool
	windows spareWindow
	batches []*batch.Batch // empty, for reuse
	short   bool           // memory has run out
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

// release empties a batch and keeps it for reuse.
func (m *memory) release(b *batch.Batch) {
	b.Release()
	if len(m.batches) < parallel {
		m.batches = append(m.batches, b)
	}
}

// makeRoom frees memory before it runs out, and sets s.memory.short if it has run out. Inputs give
// up what they keep only for reuse. The largest open batches are put early, up to parallel at a
// time. So a great many inputs and streams lead to smaller puts and not to a standstill.
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
		return // no put is due that would free memory, so there is no point in waiting
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
// stream in trouble count only if no put is accepted at all.
func (s *Shipper) enoughWaits() bool {
	waiting, total := 0, s.deliverer.Trouble.Total()
	for _, st := range s.streams {
		if n := len(st.closed); n > 0 && (total || !s.deliverer.Trouble.Failing(st.Name)) {
			waiting += n
		}
	}
	return waiting >= ready
}

// shapingMemory returns the memory, in bytes, that reading and shaping use. It does not include the
// events that wait to be put.
func (s *Shipper) shapingMemory() int {
	held := 0
	for _, in := range s.inputs.all {
		if !in.done {
			held += in.held()
		}
	}
	return held
}

// closeLargest closes the largest open batch among the streams that could put it now. It reports
// whether there is one.
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
