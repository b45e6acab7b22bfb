package cwlocal

// What a test can make go wrong with a call. Options.Intercept decides; it happens before or after
// the operation.

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
	// Group and Stream are those named in the body; "" if it names none or cannot be decoded.
	Group, Stream string
	// N is the number of this call among those of its Action, from 1.
	N int64
	// Events is the number of events in a PutLogEvents.
	Events int
	// Compressed says that the body came compressed.
	Compressed bool
	// Body is the request's body, decompressed. It may be kept, but not changed.
	Body []byte
}

// Fault is what goes wrong with a call. In the zero value nothing does. Where several fields are
// set, they take effect in their order, up to the first that ends the call.
type Fault struct {
	// Delay passes before the operation is carried out.
	Delay time.Duration
	// ResetBefore closes the connection with RST instead of carrying out the operation.
	ResetBefore bool

	// Hang leaves the call without an answer until the client goes away or the Server is closed.
	Hang bool
	// Status, Code and Message are the error to answer. Status 0 with a Code is 400, or 500 for the
	// codes of the service's own faults; Code "" with a Status is one that goes with it.
	Status  int
	Code    string
	Message string
	// After has Hang and the error take effect after the operation was carried out, whatever came
	// of it.
	After bool

	// DelayAfter passes after the operation was carried out, before the answer.
	DelayAfter time.Duration
	// ResetAfter closes the connection with RST when the operation has been carried out.
	ResetAfter bool

	// Rejected makes PutLogEvents answer 200 with these indexes and drop those events.
	Rejected *Rejected

	// Header is added to the answer.
	Header http.Header
	// Body replaces the error's JSON, as a proxy's page would.
	Body []byte
	// CutAnswer closes the connection in the middle of the answer's body.
	CutAnswer bool
}

// Rejected are the indexes of rejectedLogEventsInfo: [0, TooOldEnd), [0, ExpiredEnd) and from
// TooNewStart on; nil: not given.
type Rejected struct {
	TooOldEnd, ExpiredEnd, TooNewStart *int
}

// spoils reports whether f answers an error of its own.
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

// carryOut runs operation with the fault f. It returns nil if it reset the connection.
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

// hang never returns: it aborts the connection once the client has gone or the server is closed.
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
		panic(http.ErrAbortHandler) // HTTP/2, or no connection at all: this is the next best
	}
	raw := net.Conn(conn)
	if t, ok := conn.(*tls.Conn); ok {
		raw = t.NetConn()
	}
	if t, ok := raw.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // so that Close sends RST; an error means that it is closed already
	}
	_ = raw.Close()
}
