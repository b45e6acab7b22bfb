package batch

import (
	"errors"
	"io"
)

// Body is the request body of a put: the events [from, to) of a batch in order of time, after the
// members that name the group and the stream. It copies nothing. It aliases the batch, which must
// not be released while the body is in use. It can be rewound and read again, which is necessary to
// resend it, and to sign it if it was not prepared. It is not safe for concurrent use.
type Body struct {
	pieces [][]byte
	size   int64
	piece  int   // where the next Read continues
	offset int   // in that piece
	at     int64 // the same position, counted from the start of the body
	sum    []byte

	encoding string // Content-Encoding; "" for none
}

// BodyHead returns the beginning of every request body for a stream, for the caller to keep and
// pass to Body.
func BodyHead(group, stream string) []byte {
	b := append([]byte(`{"logGroupName":`), quote(group)...)
	b = append(append(b, `,"logStreamName":`...), quote(stream)...)
	return append(b, `,"logEvents":[`...)
}

var bodyTail = []byte("]}")

// Body returns the request body for the events [from, to). The batch must be closed. head comes
// from BodyHead.
func (b *Batch) Body(head []byte, from, to int) *Body {
	pieces := [][]byte{head}
	for i := from; i < to; {
		// Adjacent events in the text form one run, including the commas between them.
		j := i + 1
		for j < to && b.follows(b.index[j-1].end, b.index[j].start) {
			j++
		}
		if i > from {
			pieces = append(pieces, comma)
		}
		pieces = b.text.between(pieces, b.index[i].start, b.index[j-1].end)
		i = j
	}
	body := &Body{pieces: append(pieces, bodyTail)}
	if from == 0 && to == b.Len() {
		body.sum = b.sum
	}
	for _, p := range body.pieces {
		body.size += int64(len(p))
	}
	return body
}

var comma = []byte{','}

// follows reports whether the event that starts at start was added directly after the one that ends
// at end.
func (b *Batch) follows(end, start place) bool {
	if end+1 == start {
		return true
	}
	// The next event began a new chunk: the comma is the last byte of the old one.
	return start.offset() == 0 && start.chunk() == end.chunk()+1 && end.offset()+1 == len(b.text.chunks[end.chunk()])
}

// SHA256 returns the SHA-256 of the body if Prepare made the body, and nil otherwise. The slice
// belongs to the batch.
func (b *Body) SHA256() []byte { return b.sum }

// Encoding returns the Content-Encoding of the body: "gzip", or "" for a plain one.
func (b *Body) Encoding() string { return b.encoding }

// Len returns the size of the whole body in bytes.
func (b *Body) Len() int64 { return b.size }

// Read implements io.Reader.
func (b *Body) Read(p []byte) (int, error) {
	if b.piece == len(b.pieces) {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && b.piece < len(b.pieces) {
		m := copy(p[n:], b.pieces[b.piece][b.offset:])
		n += m
		b.advance(m)
	}
	return n, nil
}

// WriteTo implements io.WriterTo.
func (b *Body) WriteTo(w io.Writer) (int64, error) {
	var n int64
	for b.piece < len(b.pieces) {
		m, err := w.Write(b.pieces[b.piece][b.offset:])
		n += int64(m)
		b.advance(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (b *Body) advance(n int) {
	b.offset += n
	b.at += int64(n)
	if b.offset == len(b.pieces[b.piece]) {
		b.piece++
		b.offset = 0
	}
}

// Seek implements io.Seeker.
func (b *Body) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += b.at
	case io.SeekEnd:
		offset += b.size
	default:
		return 0, errors.New("batch: Body.Seek: unknown whence")
	}
	if offset < 0 || offset > b.size {
		return 0, errors.New("batch: Body.Seek: outside the body")
	}
	b.piece, b.offset, b.at = 0, 0, offset
	for left := offset; b.piece < len(b.pieces); b.piece++ {
		if n := int64(len(b.pieces[b.piece])); left >= n {
			left -= n
			continue
		}
		b.offset = int(left)
		break
	}
	return offset, nil
}
