package batch

// A rope is a byte string in chunks of one size. Batches are written into ropes so that their
// memory comes from one pool, is counted and reused, and is never copied in order to grow.

import (
	"encoding/binary"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
)

// ChunkBytes is the size of a chunk. A stream with one waiting event costs this much memory. It is
// about as much as a socket accepts at once.
const ChunkBytes = 64 << 10

// Pool hands out chunks and compressors and takes them back. Any goroutine may use it, because
// batches are prepared in other goroutines than the one that fills them.
type Pool struct {
	// held counts the bytes of the chunks handed out, and of the indexes of the batches that hold
	// them.
	held atomic.Int64

	mu      sync.Mutex // guards the fields below, which hold what is free to be reused
	free    [][]byte
	packers []*gzip.Writer // each is about a megabyte
}

// Held returns the number of bytes in use.
func (p *Pool) Held() int { return int(p.held.Load()) }

// Trim gives unused memory back to the garbage collector, down to keep bytes and one compressor.
func (p *Pool) Trim(keep int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.free)*ChunkBytes > keep {
		p.free[len(p.free)-1] = nil
		p.free = p.free[:len(p.free)-1]
	}
	for len(p.packers) > 1 {
		p.packers[len(p.packers)-1] = nil
		p.packers = p.packers[:len(p.packers)-1]
	}
}

func (p *Pool) get() []byte {
	p.held.Add(ChunkBytes)
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		c := p.free[n-1]
		p.free = p.free[:n-1]
		return c[:0]
	}
	return make([]byte, 0, ChunkBytes)
}

func (p *Pool) put(chunks [][]byte) {
	p.held.Add(int64(-ChunkBytes * len(chunks)))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, chunks...)
}

func (p *Pool) getPacker() *gzip.Writer {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.packers); n > 0 {
		z := p.packers[n-1]
		p.packers = p.packers[:n-1]
		return z
	}
	z, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil { // impossible: the level is valid
		panic(err)
	}
	return z
}

func (p *Pool) putPacker(z *gzip.Writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.packers = append(p.packers, z)
}

// place is a position in a rope: the index of the chunk in the high bits, and the offset in the
// chunk in the low 17 bits, because an offset may equal ChunkBytes. That addresses 2 GiB. A batch
// with the largest message, each byte escaped to six, needs 6 MiB.
type place uint32

func placeAt(chunk, offset int) place { return place(chunk)<<17 | place(offset) }

func (p place) chunk() int  { return int(p >> 17) }
func (p place) offset() int { return int(p & (1<<17 - 1)) }

type rope struct {
	pool   *Pool
	chunks [][]byte
}

func (r *rope) release() {
	r.pool.put(r.chunks)
	clear(r.chunks)
	r.chunks = r.chunks[:0]
}

// end returns the place after the last byte.
func (r *rope) end() place {
	if len(r.chunks) == 0 {
		return 0
	}
	last := len(r.chunks) - 1
	return placeAt(last, len(r.chunks[last]))
}

// room returns the last chunk with at least n bytes free. n must be small.
func (r *rope) room(n int) *[]byte {
	last := len(r.chunks) - 1
	if last < 0 || ChunkBytes-len(r.chunks[last]) < n {
		r.chunks = append(r.chunks, r.pool.get())
		last++
	}
	return &r.chunks[last]
}

// Write implements io.Writer.
func (r *rope) Write(p []byte) (int, error) {
	r.write(p)
	return len(p), nil
}

// write appends p as it is.
func (r *rope) write(p []byte) {
	if last := len(r.chunks) - 1; last >= 0 && ChunkBytes-len(r.chunks[last]) >= len(p) {
		r.chunks[last] = append(r.chunks[last], p...)
		return
	}
	for len(p) > 0 {
		c := r.room(1)
		n := copy((*c)[len(*c):ChunkBytes], p)
		*c = (*c)[:len(*c)+n]
		p = p[n:]
	}
}

// escapeRoom is the free space that one step of escaping needs: eight bytes copied unconditionally,
// followed by one escape of six.
const escapeRoom = 16

// writeEscaped appends p as JSON string content. p must be valid UTF-8.
func (r *rope) writeEscaped(p []byte) {
	for len(p) > 0 {
		c := r.room(escapeRoom)
		used := len(*c)
		wrote, took := escape((*c)[used:ChunkBytes], p)
		*c = (*c)[:used+wrote]
		p = p[took:]
	}
}

// escape writes as much of src as fits into dst as JSON string content, eight bytes at a time
// between the bytes that need an escape. It stops at the end of src, or when fewer than escapeRoom
// bytes of dst are left. It returns how much it wrote and how much it read.
func escape(dst, src []byte) (wrote, took int) {
	d, s := 0, 0
	for d+escapeRoom <= len(dst) && s+8 <= len(src) {
		w := binary.LittleEndian.Uint64(src[s:])
		binary.LittleEndian.PutUint64(dst[d:], w)
		m := special(w)
		if m == 0 {
			s += 8
			d += 8
			continue
		}
		n := bits.TrailingZeros64(m) >> 3
		s += n
		d += n
		c := src[s]
		s++
		if c >= 0x20 {
			dst[d] = '\\'
			dst[d+1] = c
			d += 2
			continue
		}
		d = len(appendEscape(dst[:d], c))
	}
	if s+8 <= len(src) {
		return d, s
	}
	for d+escapeRoom <= len(dst) && s < len(src) {
		c := src[s]
		s++
		if c >= 0x20 && c != '"' && c != '\\' {
			dst[d] = c
			d++
			continue
		}
		d = len(appendEscape(dst[:d], c))
	}
	return d, s
}

// between appends the chunks of the rope in [from, to) to pieces. They alias the rope.
func (r *rope) between(pieces [][]byte, from, to place) [][]byte {
	for c := from.chunk(); c <= to.chunk() && c < len(r.chunks); c++ {
		lo, hi := 0, len(r.chunks[c])
		if c == from.chunk() {
			lo = from.offset()
		}
		if c == to.chunk() {
			hi = to.offset()
		}
		if lo < hi {
			pieces = append(pieces, r.chunks[c][lo:hi])
		}
	}
	return pieces
}
