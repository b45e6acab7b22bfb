package cwlocal

// What a test can make go wrong with a call: decided by Options.Intercept, struck before or after the operation.

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// Call is one call of the API, as Options.Intercept sees it.
type Call struct {
	// Action is the operation, such as "PutLogEvents".
	Action string
	// Group and Stream are those that the body names; "" when it names none or cannot be read.
	Group, Stream string
	// N counts the calls of this Action, from 1.
	N int64
	// Events is the number of events in a PutLogEvents.
	Events int
	// Body is the request's body, decompressed. It may be kept, but not changed.
	Body []byte
}

// Fault says what goes wrong with a call. The zero value is nothing. Where several are given they strike in the
// order of the fields; those that end a call end it.
type Fault struct {
	// Delay passes before the operation is carried out.
	Delay time.Duration
	// ResetBefore closes the connection with RST instead of carrying out the operation.
	ResetBefore bool

	// Hang never answers, until the client goes away or the Server is closed.
	Hang bool
	// Status, Code and Message are the error answered. Status 0 with a Code is 400, or 500 for the codes that
	// are the service's own fault; Code "" with a Status is one that goes with it.
	Status  int
	Code    string
	Message string
	// After lets Hang and the error strike after the operation was carried out, whatever its outcome.
	After bool

	// DelayAfter passes after the operation was carried out, before the answer.
	DelayAfter time.Duration
	// ResetAfter closes the connection with RST when the operation has been carried out.
	ResetAfter bool

	// Rejected makes PutLogEvents answer 200 with these indexes and drop those events.
	Rejected *Rejected

	// Header is added to the answer.
	Header http.Header
	// Body replaces the error's JSON: what a proxy between would say.
	Body []byte
	// CutAnswer closes the connection in the middle of the answer's body.
	CutAnswer bool
}

// Rejected are the indexes of rejectedLogEventsInfo. An end is exclusive, the start inclusive; nil is not given.
type Rejected struct {
	TooOldEnd, ExpiredEnd, TooNewStart *int
}

// spoils says whether f answers an error of its own.
func (f Fault) spoils() bool { return f.Status != 0 || f.Code != "" }

// answer is the error that f asks for.
func (f Fault) answer() *answer {
	e := &apiError{f.Status, f.Code, f.Message}
	if e.status == 0 {
		switch e.code {
		case "ServiceUnavailableException", "InternalFailure", "InternalServerError":
			e.status = http.StatusInternalServerError
		default:
			e.status = http.StatusBadRequest
		}
	}
	if e.code == "" {
		switch {
		case e.status == http.StatusTooManyRequests:
			e.code = "ThrottlingException"
		case e.status == http.StatusServiceUnavailable:
			e.code = "ServiceUnavailableException"
		case e.status == http.StatusRequestEntityTooLarge:
			e.code = "RequestEntityTooLargeException"
		case e.status >= 500:
			e.code = "InternalFailure"
		default:
			e.code = "InvalidParameterException"
		}
	}
	return &answer{err: e}
}

// carryOut runs operation with the fault around it. nil says that the connection is gone.
func (s *Server) carryOut(ctx context.Context, w http.ResponseWriter, f Fault, operation func() answer) *answer {
	s.sleep(ctx, f.Delay)
	if f.ResetBefore {
		reset(w)
		return nil
	}
	if !f.After {
		if f.Hang {
			s.hang(ctx)
		}
		if f.spoils() {
			return f.answer()
		}
	}
	a := operation()
	if f.After {
		if f.Hang {
			s.hang(ctx)
		}
		if f.spoils() {
			a = *f.answer()
		}
	}
	s.sleep(ctx, f.DelayAfter)
	if f.ResetAfter {
		reset(w)
		return nil
	}
	return &a
}

// hang never returns: it aborts the connection when the client has gone or the server is closed.
func (s *Server) hang(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-s.done:
	}
	panic(http.ErrAbortHandler)
}

// reset closes the connection with RST, where it is one that can be.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2, or no connection at all: the next best
	}
	raw := net.Conn(conn)
	if t, ok := conn.(*tls.Conn); ok {
		raw = t.NetConn()
	}
	if t, ok := raw.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // what close then sends is RST; an error means that it is closed already
	}
	_ = raw.Close()
}
