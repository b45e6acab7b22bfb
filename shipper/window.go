package shipper

import "perstack-shipper/batch"

// windowBytes is how much of a journal is read at a time, as one block. It is small enough to stay
// in the processor's cache from one step of shaping to the next.
const windowBytes = 256 << 10

// longestWindow holds the longest line that is shaped as a whole, with room to see whether the line
// is even longer.
const longestWindow = batch.MaxLineBytes + windowBytes

// window is the part of a journal that is being shaped. It grows for a line that is longer than the
// window, and shrinks again after that line.
type window struct {
	buf        []byte
	start, end int   // the window's bytes are buf[start:end]
	offset     int64 // of buf[start] in the journal
	spare      *spareWindow
}

// spareWindow holds a buffer of windowBytes that one window gave back for the next one to take.
// Inputs are mostly read in turn, a little at a time.
type spareWindow struct{ buf []byte }

func (w *window) bytes() []byte { return w.buf[w.start:w.end] }

// next returns the journal's offset after the window's last byte.
func (w *window) next() int64 { return w.offset + int64(w.end-w.start) }

// take drops the first n bytes.
func (w *window) take(n int) {
	w.start += n
	w.offset += int64(n)
}

// jump drops all bytes and continues at a later offset.
func (w *window) jump(offset int64) {
	w.start, w.end, w.offset = 0, 0, offset
}

// held returns the memory, in bytes, that the window uses.
func (w *window) held() int { return cap(w.buf) }

// rereadBelow is the size below which the beginning of a line is read again instead of kept, so
// that inputs with nothing to read hold no memory.
const rereadBelow = 64 << 10

// drop gives the memory back while there is nothing to read, but keeps a long line that grows
// slowly.
func (w *window) drop() {
	if w.end-w.start < rereadBelow {
		w.give()
	}
}

// give gives the memory back. The window's bytes will be read again.
func (w *window) give() {
	if len(w.buf) == windowBytes {
		w.spare.buf = w.buf
	}
	w.buf, w.start, w.end = nil, 0, 0
}

type readerAt interface {
	ReadAt(p []byte, off int64) (int, error)
}

// fill reads more bytes after those of the window, which hold no whole line. n is 0 if no more have
// arrived.
func (w *window) fill(r readerAt) (n int, err error) {
	left := w.end - w.start
	switch size := len(w.buf); {
	case left == 0 && size != windowBytes, left < windowBytes/2 && size > 2*windowBytes:
		w.move(windowBytes)
	case left == size && size < longestWindow:
		w.move(min(4*size, longestWindow))
	case w.start > 0:
		w.end = copy(w.buf, w.bytes())
		w.start = 0
	}
	n, err = r.ReadAt(w.buf[w.end:], w.next())
	w.end += n
	return n, err
}

// move moves the bytes to a buffer of another size.
func (w *window) move(size int) {
	var buf []byte
	if size == windowBytes && w.spare.buf != nil {
		buf, w.spare.buf = w.spare.buf, nil
	} else {
		buf = make([]byte, size)
	}
	w.end = copy(buf, w.bytes())
	w.start, w.buf = 0, buf
}
