package cwlocal

// This file reads request bodies: whole, decompressed and bounded.

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"sync"

	"perstack-shipper/batch"
)

// maxBody bounds a body, both compressed and decompressed. The largest legal bodies are a batch of
// control characters, of six bytes each (\u0001), and one of 10,000 short events. Both are under 8
// MiB, and clients may indent them.
const maxBody = 16 * batch.MaxBatchBytes

// bodies and gzips are pools of buffers and decompressors.
var (
	bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}
	gzips  = sync.Pool{New: func() any { return new(gzip.Reader) }}
)

// readBody reads the whole body. The bytes belong to the caller until it calls release. With
// Options.Intercept a test may keep them, so their memory is not reused. An error that is not an
// apiError means that the connection broke.
func (s *Server) readBody(r *http.Request) (body []byte, release func(), err error) {
	if r.ContentLength > maxBody {
		return nil, nil, tooLarge()
	}
	raw := newBuffer()
	if r.ContentLength > 0 {
		// Without MinRead, ReadFrom would double the buffer at the end.
		raw.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	switch n, err := raw.ReadFrom(io.LimitReader(r.Body, maxBody+1)); {
	case err != nil:
		return nil, nil, fmt.Errorf("reading the body: %w", err)
	case n > maxBody:
		return nil, nil, tooLarge()
	}
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		// The transport has checked a given length against the body.
		if r.ContentLength < 0 {
			return nil, nil, &apiError{http.StatusLengthRequired, "MissingContentLength", "a compressed body needs a Content-Length"}
		}
		plain := newBuffer()
		if err := gunzip(plain, raw); err != nil {
			return nil, nil, err
		}
		bodies.Put(raw)
		raw = plain
	default:
		return nil, nil, serialization("Content-Encoding %q is not supported; use gzip", encoding)
	}
	if s.opt.Intercept != nil {
		return raw.Bytes(), func() {}, nil
	}
	return raw.Bytes(), func() { bodies.Put(raw) }, nil
}

func newBuffer() *bytes.Buffer {
	b := bodies.Get().(*bytes.Buffer)
	b.Reset()
	return b
}

// gunzip decompresses from into to.
func gunzip(to, from *bytes.Buffer) error {
	z := gzips.Get().(*gzip.Reader)
	defer gzips.Put(z)
	if err := z.Reset(from); err != nil {
		return serialization("the body is not gzip: %v", err)
	}
	switch n, err := to.ReadFrom(io.LimitReader(z, maxBody+1)); {
	case err != nil:
		return serialization("the body is not complete gzip: %v", err)
	case n > maxBody:
		return tooLarge()
	}
	return nil
}

func tooLarge() *apiError {
	return &apiError{http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException",
		fmt.Sprintf("the body has more than %d bytes; put fewer events at once", maxBody)}
}
