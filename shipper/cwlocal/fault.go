package cwlocal

// This file holds the faults that a test injects into a call, before or after the operation.
// Options.Intercept chooses them.

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// Call is an API call, as passed to Options.Intercept.
type Call struct {
	// Action is the operation, such as "PutLogEvents".
	Action string
	// Group and Stream are the names in the body; "" if there are none or the body cannot be
	// decoded.
	Group, Stream string
	// N numbers the calls of this Action, from 1.
	N int64
	// Events is the number of events of a PutLogEvents call.
	Events int
	// Compressed says whether the body was sent compressed.
	Compressed bool
	// Body is the request's body, decompressed. It may be kept but not changed.
	Body []byte
}

// Fault is what goes wrong with a call. The zero value is no fault. If several fields are set, they
// take effect in the order of their declaration, until one ends the call.
type Fault struct {
	// Delay is how long to wait before the operation.
	Delay time.Duration
	// ResetBefore closes the connection with RST instead of carrying out the operation.
	ResetBefore bool

	// Hang leaves the call unanswered until the client goes away or the Server is closed.
	Hang bool
	// Status, Code and Message describe the error to answer. A Code without a Status has status
	// 400, or 500 for the codes of the service's own faults. A Status without a Code has a matching
	// code.
	Status  int
	Code    string
	Message string
	// After makes Hang and the error take effect after the operation, whatever its result.
	After bool

	// DelayAfter is how long to wait between the operation and the answer.
	DelayAfter time.Duration
	// ResetAfter closes the connection with RST after the operation.
	ResetAfter bool

	// Rejected makes PutLogEvents answer 200 with these indexes and drop the events in question.
	Rejected *Rejected

	// Header is added to the answer.
	Header http.Header
	// Body replaces the error's JSON, like a proxy's page.
	Body []byte
	// CutAnswer closes the connection in the middle of the answer's body.
	CutAnswer bool
}

// Rejected holds the indexes of rejectedLogEventsInfo: [0, TooOldEnd) and [0, ExpiredEnd) are too
// old, and events from TooNewStart on are too new. nil leaves an index out.
type Rejected struct {
	TooOldEnd, ExpiredEnd, TooNewStart *int
}

// spoils reports whether f replaces the answer with an error.
func (f Fault) spoils() bool { return f.Status != 0 || f.Code != "" }

// answer returns the error that f asks for.
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

// carryOut runs operation with the fault f. It returns nil if it has reset the connection.
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

// hang never returns. It aborts the connection once the client has gone or the server is closed.
func (s *Server) hang(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-s.done:
	}
	panic(http.ErrAbortHandler)
}

// reset closes the connection with RST, if it is a TCP connection.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2 or no connection; aborting is the next best thing
	}
	raw := net.Conn(conn)
	if t, ok := conn.(*tls.Conn); ok {
		raw = t.NetConn()
	}
	if t, ok := raw.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // makes Close send RST; fails only if already closed
	}
	_ = raw.Close()
}
