package shipper

import "perstack-shipper/batch"

// windowBytes is what is read from a journal at a time: a block. It stays in the processor's cache between the steps of shaping it.
const windowBytes = 256 << 10

// longestWindow holds the longest line that is understood as a whole, with room to see that it goes on.
const longestWindow = batch.MaxLineBytes + windowBytes

// window is the stretch of a journal that is being shaped. It grows while a line is longer than it, and shrinks again behind that.
type window struct {
	buf        []byte
	start, end int   // the bytes there are
	offset     int64 // in the journal, of buf[start]
	spare      *spare
}

// spare is memory of windowBytes that one window gave back and the next one takes: most inputs are read a little at a time, in turns.
type spare struct{ buf []byte }

func (w *window) bytes() []byte { return w.buf[w.start:w.end] }

// next is the offset in the journal behind the last byte there is.
func (w *window) next() int64 { return w.offset + int64(w.end-w.start) }

func (w *window) take(n int) {
	w.start += n
	w.offset += int64(n)
}

// jump goes on at an offset further on.
func (w *window) jump(offset int64) {
	w.start, w.end, w.offset = 0, 0, offset
}

// held is the memory that it takes.
func (w *window) held() int { return cap(w.buf) }

// cheap is how much of a line that has no end yet is read again rather than kept: inputs that wait hold no memory.
const cheap = 64 << 10

// drop gives the memory back while there is nothing to read. A long line that grows slowly stays.
func (w *window) drop() {
	if w.end-w.start < cheap {
		w.give()
	}
}

// give gives the memory back. What is there is read again.
func (w *window) give() {
	if len(w.buf) == windowBytes {
		w.spare.buf = w.buf
	}
	w.buf, w.start, w.end = nil, 0, 0
}

type readerAt interface {
	ReadAt(p []byte, off int64) (int, error)
}

// fill reads on. Call it when what is there holds no whole line. n = 0 says that there is no more now.
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
