package cloudwatch

// This file calls PutLogEvents with a request body that was encoded while the lines were read. The
// SDK does everything else: it resolves the endpoint, gets credentials, signs, sends, and types the
// errors. The prepared body replaces the SDK's own right after the SDK's serializer.

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Body is the complete JSON body of a PutLogEvents request:
// {"logEvents":[…],"logGroupName":…,"logStreamName":…}, with members in any order, plain or
// compressed. A Body that also implements io.WriterTo is hashed without a copy.
//
// Put reads it to send it and, if it must be hashed, before that for the signature. Each time it
// seeks to the start first. Read must not block.
type Body interface {
	io.Reader
	io.Seeker
	Len() int64     // bytes from start to end, whatever the position
	SHA256() []byte // of the whole body, if known already; nil: Put hashes it
	// Encoding is the Content-Encoding: "gzip", or "" for a plain body. Reader, Len and SHA256
	// concern the encoded bytes.
	Encoding() string
}

// Verdict says which events the service left out of a batch that it accepted. The indexes count the
// events of the batch, in its order; -1 stands for "none".
type Verdict struct {
	OldEnd     int // [0, OldEnd) are too old (14 days)
	ExpiredEnd int // [0, ExpiredEnd) are older than the group's retention
	NewStart   int // [NewStart, n) are too far in the future (2 hours)
}

// Clean reports whether every event was accepted.
func (v Verdict) Clean() bool { return v.OldEnd <= 0 && v.ExpiredEnd <= 0 && v.NewStart < 0 }

// errShort is the error for a status of 200 before the whole body was read: such a batch cannot
// have been stored.
var errShort = errors.New("accepted before all of the batch was sent")

// Put puts one batch in one attempt. stream must be the one that the body names; it is needed for
// messages and for the SDK. Once Put has returned, successfully or not, nothing reads body any
// more, and its memory may be reused at once.
//
// Classify, Ambiguous and Unreachable examine a returned error, and Explain describes it.
func (c *Client) Put(ctx context.Context, stream string, body Body) (Verdict, error) {
	none := Verdict{OldEnd: -1, ExpiredEnd: -1, NewStart: -1}
	src := &source{body: body, size: body.Len(), sum: body.SHA256(), encoding: body.Encoding()}
	defer src.detach()
	if _, err := src.Seek(0, io.SeekStart); err != nil {
		return none, fmt.Errorf("batch for log stream %q: %w", stream, err)
	}

	var out *cloudwatchlogs.PutLogEventsOutput
	err := c.call(ctx, "PutLogEvents", putAnswer, func(ctx context.Context) (err error) {
		out, err = c.api.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{
			LogGroupName:  &c.group,
			LogStreamName: &stream,
			LogEvents:     []types.InputLogEvent{}, // required by the SDK's validation; never sent
		}, cloudwatchlogs.WithAPIOptions(src.replaceBody))
		if err == nil && src.taken() != src.size {
			err = fmt.Errorf("%w: %d of %d bytes", errShort, src.taken(), src.size)
		}
		return err
	})
	if err != nil {
		return none, err
	}

	v := none
	if r := out.RejectedLogEventsInfo; r != nil {
		v.OldEnd = index(r.TooOldLogEventEndIndex)
		v.ExpiredEnd = index(r.ExpiredLogEventEndIndex)
		v.NewStart = index(r.TooNewLogEventStartIndex)
	}
	return v, nil
}

func index(i *int32) int {
	if i == nil {
		return -1
	}
	return int(*i)
}

// serializer is the name of the SDK's middleware that writes the request body. If the SDK ever
// drops it, every Put fails with an error that says so.
const serializer = "OperationSerializer"

// replaceBody replaces the body that the SDK's serializer made, before anything reads it.
func (s *source) replaceBody(stack *middleware.Stack) error {
	return stack.Serialize.Insert(middleware.SerializeMiddlewareFunc("BatchBody", func(
		ctx context.Context, in middleware.SerializeInput, next middleware.SerializeHandler,
	) (out middleware.SerializeOutput, md middleware.Metadata, err error) {
		req, ok := in.Request.(*smithyhttp.Request)
		if !ok {
			return out, md, fmt.Errorf("the SDK sends by %T, not by HTTP", in.Request)
		}
		if s.encoding != "" {
			req.Header.Set("Content-Encoding", s.encoding) // before the signature, which covers it
		}
		if in.Request, err = req.SetStream(s); err != nil {
			return out, md, fmt.Errorf("replacing the request body: %w", err)
		}
		if s.sum != nil {
			ctx = v4.SetPayloadHash(ctx, hex.EncodeToString(s.sum))
		}
		return next.HandleSerialize(ctx, in)
	}), serializer, middleware.After)
}

// source stands between a Body and the SDK's transport. net/http may still read a request's body
// after the call has returned: after an early answer, a reset or a cancellation. Put therefore
// detaches the body before it returns, and a late reader gets the end of file.
type source struct {
	size     int64
	sum      []byte // the body's SHA-256; nil: the signer computes it
	encoding string // Content-Encoding; "": none

	mu   sync.Mutex // the transport reads in its own goroutine; guards the fields below
	body Body       // nil once detached
	read int64      // bytes read since the last Seek
}

// Len returns the size of the body, which the SDK sends as Content-Length.
func (s *source) Len() int { return int(s.size) }

// Read reads the body, or returns io.EOF once it is detached.
func (s *source) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.body == nil {
		return 0, io.EOF
	}
	n, err := s.body.Read(p)
	s.read += int64(n)
	return n, err
}

// WriteTo serves the signature's hash, which is computed before the request is sent. The transport
// only calls Read.
func (s *source) WriteTo(w io.Writer) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.body == nil {
		return 0, nil
	}
	n, err := io.Copy(w, s.body)
	s.read += n
	return n, err
}

// Seek moves within the body, so that the SDK can send it again.
func (s *source) Seek(offset int64, whence int) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.body == nil {
		return 0, io.ErrClosedPipe
	}
	at, err := s.body.Seek(offset, whence)
	if err == nil {
		s.read = at
	}
	return at, err
}

// taken returns how many bytes the transport has read.
func (s *source) taken() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read
}

// detach waits for a Read under way, which only copies memory, and prevents any further one.
func (s *source) detach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body = nil
}
