package cloudwatch

// PutLogEvents, with a request body that was encoded while the lines were read. The SDK does
// everything else: it resolves the endpoint, gets credentials, signs, sends, and types the errors.
// The body takes the place of the SDK's own right behind its serializer.

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

// Body is the whole JSON body of a PutLogEvents request:
// {"logEvents":[…],"logGroupName":…,"logStreamName":…}, in any order of members, or what that is
// when it is compressed. One that implements io.WriterTo as well is hashed without a copy.
//
// Put reads it for the wire and, where it must be hashed, before that for the signature, each time
// from its start (Seek(0, io.SeekStart)) wherever it stands. Read must not block.
type Body interface {
	io.Reader
	io.Seeker
	Len() int64     // bytes from start to end, wherever it stands
	SHA256() []byte // of all of it, where that is known already; nil: Put hashes it
	// Encoding is the Content-Encoding: "gzip", or "" for a plain body. Reader, Len and SHA256 are
	// of the encoded bytes.
	Encoding() string
}

// Verdict is what the service says of an accepted batch: the events that it took the batch without.
// The indexes count the events of the batch, in its order; -1 stands for "none".
type Verdict struct {
	OldEnd     int // [0, OldEnd) are too old (14 days)
	ExpiredEnd int // [0, ExpiredEnd) are older than the group's retention
	NewStart   int // [NewStart, n) are too far in the future (2 hours)
}

// Clean says that every event was taken.
func (v Verdict) Clean() bool { return v.OldEnd <= 0 && v.ExpiredEnd <= 0 && v.NewStart < 0 }

// errShort is for an answer of 200 to a body that was not read to its end: such a batch cannot be
// stored.
var errShort = errors.New("accepted before all of the batch was sent")

// Put puts one batch, in one attempt. Its stream must be the one that the body names; the argument
// is for messages and for the SDK. When Put returns, nothing reads body any more, however the call
// ended: its memory may be used again at once.
//
// An error may be asked about with Classify, Ambiguous and Unreachable, and said with Explain.
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
			LogEvents:     []types.InputLogEvent{}, // present, as the SDK's validation wants it; never sent
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

// serializer is the name of the SDK's middleware that writes the request body. If it ever goes,
// every Put fails, and says so.
const serializer = "OperationSerializer"

// replaceBody puts src in the place of what the SDK's serializer has made, before anything looks at
// it.
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

// source stands between a Body and the SDK with its transport. net/http may still read a request's
// body after the call returned (an answer that came early, a reset, a cancellation); so Put cuts
// the connection before it returns, and a late reader finds the end.
type source struct {
	size     int64
	sum      []byte // the body's SHA-256; nil: the signer makes it
	encoding string // Content-Encoding; "": none

	mu   sync.Mutex // the transport reads in a goroutine of its own; guards what follows
	body Body       // nil when detached
	read int64      // bytes read since the last Seek
}

// Len is what the SDK takes for Content-Length.
func (s *source) Len() int { return int(s.size) }

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

// WriteTo is for the signature's hash, which is computed before the request is sent: the transport
// only ever reads.
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

// taken is the number of bytes that the transport has taken.
func (s *source) taken() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read
}

// detach waits for a Read under way, which only copies memory, and lets no other begin.
func (s *source) detach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body = nil
}
