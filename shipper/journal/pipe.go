package journal

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
)

// Pipe is an input that this process writes, into segments that are deleted when they are acked.
type Pipe struct {
	*Journal
	pipe  *pipe // src
	named bool  // its FIFO is in the folder and has a name there
}

// pipe is the source of a Pipe. Its users are the goroutine that writes (pipe_write.go), any number
// of readers (pipe_read.go), and whoever frees acked segments: Ack, Retain or the writer itself.
// pipe_degraded.go has what changes when the disk fails.
//
// Lock order: writing, then freeMu, then mu.
type pipe struct {
	// immutable once set
	id       string
	st       store
	arr      *arrivals
	bell     *bell
	off      *offsets
	maxBytes int64
	fifo     *os.File // reading end of the FIFO that a command writes; nil if there is none

	pipeWriter
	pipeSizes
	segmentList
	pipeReclaim
	diskFailure
}

// pipeWriter belongs to the goroutine that writes.
//
// Only the writer changes pipe.bytes, and it writes to the file first, so a reader that sees the
// new size finds the bytes. writing guards against Close, which may come while a writer that was
// blocked in its input wakes up: its write to a closed descriptor could reach another file. Nothing
// else locks writing, so it costs the writer nothing.
type pipeWriter struct {
	writing      sync.Mutex
	active       *segment // nil if the input was recovered
	place        store    // where the next segment is made: pipe.st until that fails
	segmentBytes int64
}

// pipeSizes change without a lock: the writer adds to them, and free subtracts.
type pipeSizes struct {
	bytes  atomic.Int64 // offset after the last byte
	total  atomic.Int64 // sum of the segments' sizes
	memory atomic.Int64 // sum of the sizes of segments in memory
	over   atomic.Bool  // no more bytes will come
}

// segmentList is shared: the writer appends to it in roll, free removes acked segments, and readers
// look up offsets. mu guards it and is held for these few instructions, never while bytes are read
// or written. An atomic pointer to the list would do for looking up, but not for two goroutines
// that change it.
type segmentList struct {
	mu     sync.Mutex
	segs   []*segment // ascending, the active one last
	reads  uint64
	opened int // number of segments with an open file
	closed bool
}

// pipeReclaim serialises freeing segments, which deletes files and punches holes. Under mu the
// writer would have to wait for that.
type pipeReclaim struct {
	freeMu sync.Mutex
	freed  chan struct{} // cap 1: acks freed space, or allow the writer to free some
}

// diskFailure says whether the disk works.
type diskFailure struct {
	failure atomic.Pointer[MemoryError] // set once, by the writer, when the disk has failed
	// lastFreeErr is why the latest attempt to free acked bytes failed. It is nil if that worked,
	// or if the disk was full.
	lastFreeErr atomic.Pointer[error]
}

// segment is one file of a pipe: the bytes from first on.
type segment struct {
	first int64
	name  string
	in    store // where the file is; segments are in different stores after the disk has failed

	// guarded by pipe.mu
	end  int64 // offset after its last byte; for the active segment see pipe.bytes
	f    *os.File
	fd   int    // of f while this is the active segment, whose file is not closed
	used uint64 // value of reads when it was last read, to close the file that is unused longest

	synced  int64 // offset up to which it was fsynced; owned by the goroutine that syncs
	punched int64 // offset up to which its blocks were freed; guarded by pipe.freeMu
}

// NewPipe makes an input that this process writes. about is the caller's snapshot, for the process
// that recovers the input.
func (f *Folder) NewPipe(id string, about []byte, o Options) (*Pipe, error) {
	base, err := f.begin(id, KindPipe, about, o)
	if err != nil {
		return nil, err
	}
	j := &Pipe{Journal: base}
	p := j.newSource()
	if p.active, err = newSegment(j.st, 0); err != nil {
		return nil, j.abandon(err)
	}
	p.segs, p.opened = []*segment{p.active}, 1
	if err := j.commit(); err != nil {
		return nil, err
	}
	j.run()
	return j, nil
}

// attach opens the segments of a recovered Pipe, and its FIFO.
func (j *Pipe) attach() error {
	p := j.newSource()
	p.over.Store(true)
	acked := j.found.Offset
	if j.fallback != "" {
		acked = unknownOffset
	}
	if err := p.findSegments(acked, j.arr.latest(), j.damage); err != nil {
		return fmt.Errorf("its segments in %s: %w", j.st.dir(), err)
	}
	if j.fallback == "" {
		j.checkCursor(p)
	} else if len(p.segs) > 0 { // no cursor: everything found is shipped, maybe again
		j.found.Offset = p.segs[0].first
		j.fallback += fmt.Sprintf("; starting at offset %d, the first in the journal: earlier bytes were acked or are missing, and later ones that were acked are repeated", j.found.Offset)
	}
	if err := j.attachFIFO(p); err != nil {
		return fmt.Errorf("its FIFO in %s: %w", j.st.dir(), asFull(err))
	}
	return nil
}

func (j *Pipe) newSource() *pipe {
	p := &pipe{id: j.id, st: j.st, arr: j.arr, bell: &j.bell, off: &j.offsets, maxBytes: j.header.MaxBytes}
	p.place, p.segmentBytes = j.st, segmentSize(j.header.options())
	p.freed = make(chan struct{}, 1)
	j.src, j.pipe = p, p
	return p
}

// segmentSize returns the size that o asks for, or less if the limit is small.
func segmentSize(o Options) int64 {
	size := o.SegmentBytes
	if size == 0 {
		size = defaultSegmentBytes
	}
	if o.MaxBytes > 0 {
		size = min(size, max(o.MaxBytes/segmentsPerLimit, minSegmentBytes))
	}
	return size
}

func newSegment(st store, first int64) (*segment, error) {
	name := offsetName(first, segmentSuffix)
	f, err := st.create(name)
	if err != nil {
		return nil, err
	}
	return &segment{first: first, name: name, in: st, end: first, f: f, fd: int(f.Fd()), synced: first}, nil
}

func (p *pipe) sync() error {
	type dirty struct {
		s   *segment
		end int64
	}
	var all []dirty
	p.mu.Lock()
	for i, s := range p.segs {
		end := s.end
		if i == len(p.segs)-1 {
			end = p.bytes.Load()
		}
		if end > s.synced && !s.inMemory() {
			all = append(all, dirty{s, end})
		}
	}
	p.mu.Unlock()
	for _, d := range all {
		// Sync through another descriptor, because the shared one may be closed meanwhile.
		f, err := d.s.in.open(d.s.name, true)
		if errors.Is(err, os.ErrNotExist) {
			continue // freed
		}
		if err != nil {
			return err
		}
		err = f.Sync()
		f.Close()
		if err != nil {
			return err
		}
		d.s.synced = d.end
	}
	if len(all) == 0 {
		return nil
	}
	// If the folder is gone, there is nothing to sync.
	if err := p.st.syncDir(); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (p *pipe) close() error {
	p.writing.Lock()
	defer p.writing.Unlock()
	if p.active != nil {
		p.end()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, s := range p.segs {
		if s.f != nil {
			errs = append(errs, s.f.Close())
			s.f = nil
		}
	}
	if p.place != nil && p.place != p.st {
		errs = append(errs, p.place.drop())
	}
	if p.fifo != nil {
		errs = append(errs, p.fifo.Close())
	}
	p.segs = nil
	p.closed = true
	return errors.Join(errs...)
}

func (p *pipe) size() int64 { return p.bytes.Load() }

func (p *pipe) ended() bool { return p.over.Load() }

func (p *pipe) allocated() int64 { return p.total.Load() }

func (p *pipe) unacked(acked int64) int64 { return p.bytes.Load() - acked }

func (p *pipe) mark(int64) uint32 { return 0 } // nobody else changes segments

func (p *pipe) overtaken(int64) *CutError { return nil }
