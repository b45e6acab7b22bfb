package journal

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
)

// Pipe is an input that this process writes, into segments that are deleted when they are acked.
type Pipe struct {
	*Journal
	pipe  *pipe // src
	named bool  // the FIFO is in the folder
}

// pipe is the source of a Pipe. Three parties use it: the goroutine that writes (pipe_write.go),
// any number of readers (pipe_read.go), and whoever gives acked segments back, which is an Ack, a
// Hold or the writer itself. What changes when the disk fails is in pipe_degraded.go.
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
	fifo     *os.File // what a child writes to; nil: none

	pipeWriter
	pipeSizes
	segmentList
	pipeReclaim
	diskFailure
}

// pipeWriter belongs to the goroutine that writes.
//
// The writer alone moves bytes, and writes into the file before it does: a reader that has seen the
// new size finds what was written. writing guards that against Close, which may come while a writer
// that was stuck in its input wakes up: a write to a closed descriptor could reach another file.
// Nobody else takes it, so it costs the writer nothing.
type pipeWriter struct {
	writing      sync.Mutex
	active       *segment // nil of an input that was recovered
	place        store    // where the next segment is made, which is pipe.st until that fails
	segmentBytes int64
}

// pipeSizes change without a lock: the writer adds to them, and giving back subtracts.
type pipeSizes struct {
	bytes  atomic.Int64 // offset after the last byte
	total  atomic.Int64 // sum of the segments' sizes
	memory atomic.Int64 // sum of those in memory
	over   atomic.Bool  // no more bytes will come
}

// segmentList is shared: the writer appends at a roll, giving back removes what is acked, and any
// reader looks its offset up. mu guards it and is held for these few instructions, never while
// bytes are read or written. An atomic list would do for the look-up, but not for two that change
// it.
type segmentList struct {
	mu     sync.Mutex
	segs   []*segment // ascending; the active one last
	reads  uint64
	opened int // segments with an open file
	closed bool
}

// pipeReclaim serialises the giving back of segments, which deletes files and makes holes: under mu
// the writer would have to wait for that.
type pipeReclaim struct {
	freeMu sync.Mutex
	freed  chan struct{} // cap 1: acks gave space back, or let the writer give some back
}

// diskFailure says whether the disk works.
type diskFailure struct {
	failure     atomic.Pointer[MemoryError] // the disk has failed: set once, by the writer
	lastFreeErr atomic.Pointer[error]       // why acked bytes could not be given back the last time; nil: they could, or the disk was full
}

// segment is one file of a pipe: the bytes from first on.
type segment struct {
	first int64
	name  string
	in    store // where the file is: not all segments are in the same when the disk has failed

	// guarded by pipe.mu
	end  int64 // offset after its last byte; of the active one see pipe.bytes
	f    *os.File
	fd   int    // of f, while this is the active segment: it is not closed then
	used uint64 // when it was read last, in reads, to close the file unused longest

	synced  int64 // offset up to which it was forced to the medium; owned by the goroutine that syncs
	punched int64 // offset up to which its blocks were given back; guarded by pipe.freeMu
}

// NewPipe makes an input that this process writes. about is the caller's snapshot, for whoever
// recovers it.
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

func (j *Pipe) newSource() *pipe {
	p := &pipe{id: j.id, st: j.st, arr: j.arr, bell: &j.bell, off: &j.offsets, maxBytes: j.header.MaxBytes}
	p.place, p.segmentBytes = j.st, segmentSize(j.header.options())
	p.freed = make(chan struct{}, 1)
	j.src, j.pipe = p, p
	return p
}

// segmentSize is the size that was asked for, or less where the limit is small.
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
		f, err := d.s.in.open(d.s.name, true) // its own descriptor: the shared one may be closed meanwhile
		if errors.Is(err, os.ErrNotExist) {
			continue // given back
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
	if err := p.st.syncDir(); !errors.Is(err, os.ErrNotExist) { // a folder that is gone keeps nothing
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
