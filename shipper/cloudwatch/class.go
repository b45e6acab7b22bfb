package cloudwatch

// This file says what an error means to the caller. The class comes from the service's error code,
// else from the HTTP status, else from how far the request got. Nothing here looks at the text of a
// message.

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	smithy "github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Class says what to do about an error.
type Class int

const (
	Retry       Class = iota // try again after a pause, forever: it may pass, or is unknown
	Throttled                // try again, and less often
	Credentials              // InvalidateCredentials, then try again
	Denied                   // try again slowly: permission changes take time to arrive
	Missing                  // the group or the stream does not exist: create it, then try again
	Refused                  // the service will never accept this request: halve the batch
	Accepted                 // success: the service has the batch
	Again                    // try again at once: neither the batch nor the service is at fault
	Stopped                  // the caller's own context ended
)

func (c Class) String() string {
	return [...]string{"retry", "throttled", "credentials", "denied", "missing", "refused", "accepted", "again", "stopped"}[c]
}

// classes maps error codes to classes. The codes lack the suffix "Exception", which some endpoints
// omit. A code that is not listed is classified by its HTTP status, and is Retry otherwise.
var classes = map[string]Class{
	"Throttling":             Throttled,
	"Throttled":              Throttled,
	"RequestThrottled":       Throttled,
	"TooManyRequests":        Throttled,
	"RequestLimitExceeded":   Throttled,
	"BandwidthLimitExceeded": Throttled,
	"SlowDown":               Throttled,

	"ServiceUnavailable":  Retry,
	"LimitExceeded":       Retry,
	"InternalFailure":     Retry,
	"InternalServerError": Retry,
	"OperationAborted":    Retry,
	"RequestTimeout":      Retry,

	"ExpiredToken":               Credentials,
	"UnrecognizedClient":         Credentials,
	"InvalidSignature":           Credentials,
	"RequestExpired":             Credentials,
	"InvalidClientTokenId":       Credentials,
	"SignatureDoesNotMatch":      Credentials,
	"IncompleteSignature":        Credentials,
	"MissingAuthenticationToken": Credentials,
	"RequestTimeTooSkewed":       Credentials,

	"AccessDenied":          Denied,
	"NotAuthorized":         Denied,
	"UnauthorizedOperation": Denied,
	"OptInRequired":         Denied,

	"ResourceNotFound": Missing,

	"InvalidParameter":      Refused,
	"Serialization":         Refused,
	"Validation":            Refused,
	"ValidationError":       Refused,
	"RequestEntityTooLarge": Refused,

	"DataAlreadyAccepted":  Accepted,
	"InvalidSequenceToken": Again,
}

// callError is the error of one attempt and records how far the attempt got.
type callError struct {
	err       error
	action    string        // of the API, without "logs:"
	transport error         // the transport's, which the SDK hides after the deadline
	timeout   time.Duration // the attempt's deadline, if it ended the attempt
	stopped   bool          // the caller's context ended
	reached   bool          // there was a connection
	whole     bool          // the whole request was written to the connection
	answered  bool          // an HTTP answer was read
}

func (e *callError) Error() string { return e.err.Error() }
func (e *callError) Unwrap() error { return e.err }

// Classify returns the class of an error that a call of this package returned. A nil error is
// Accepted.
func Classify(err error) Class {
	if err == nil {
		return Accepted
	}
	call, ok := errors.AsType[*callError](err)
	switch {
	case ok && call.stopped, !ok && errors.Is(err, context.Canceled):
		return Stopped
	}
	if NoCredentials(err) {
		return Credentials
	}
	if code := errorCode(err); code != "" {
		if class, ok := classes[code]; ok {
			return class
		}
	}
	switch status := httpStatus(err); status {
	case http.StatusTooManyRequests:
		return Throttled
	case http.StatusRequestEntityTooLarge:
		return Refused
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return Denied
	}
	return Retry
}

// Ambiguous reports whether the batch may have been stored although the call failed: the whole
// request was sent, and the answer, if any, does not rule it out. CloudWatch may hold the batch
// twice if it is sent again.
func Ambiguous(err error) bool {
	call, ok := errors.AsType[*callError](err)
	if !ok || !call.whole {
		return false
	}
	if !call.answered {
		return true
	}
	switch httpStatus(err) {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	}
	// A success status that did not come from the service: whatever answered may have passed the
	// batch on.
	return httpStatus(err)/100 == 2
}

// BodyRefused reports whether the service, or something answering in its place, did not understand
// the request body. If the body was compressed, a plain one may be accepted.
func BodyRefused(err error) bool {
	switch status := httpStatus(err); status {
	case http.StatusUnsupportedMediaType:
		return true
	case http.StatusBadRequest:
		code := errorCode(err)
		return code == "" || code == "Serialization" || code == "InvalidParameter"
	}
	return false
}

// Unexplained reports whether a server failed with an answer that is not the service's own. The
// body may be the cause, as with stand-ins that fail on a compressed one, or anything else.
func Unexplained(err error) bool {
	return httpStatus(err) >= 500 && errorCode(err) == ""
}

// NoCredentials reports whether the call failed because there were no credentials to make it with.
func NoCredentials(err error) bool {
	_, ok := errors.AsType[*credentialsError](err)
	return ok
}

// Unreachable reports whether the credentials, the permissions or the address are wrong. These
// seldom fix themselves, so a run that has never had a batch accepted may give up early.
func Unreachable(err error) bool {
	switch Classify(err) {
	case Credentials, Denied:
		return true
	case Retry:
		call, ok := errors.AsType[*callError](err)
		return ok && (!call.reached || foreign(err))
	}
	return false
}

// foreign reports whether something other than CloudWatch Logs answered: a page where JSON was due,
// or a path that does not exist. Statuses from 500 do not count, because front ends of the real
// service send those without JSON.
func foreign(err error) bool {
	status := httpStatus(err)
	return status != 0 && status < 500 && status != http.StatusRequestTimeout && errorCode(err) == ""
}

// errorCode returns the service's error code without its suffix, or "" if there was none.
func errorCode(err error) string {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || api.ErrorCode() == unknownCode {
		return ""
	}
	return strings.TrimSuffix(api.ErrorCode(), "Exception")
}

// unknownCode is the code that the SDK fills in when the answer has none.
const unknownCode = "UnknownError"

// httpStatus returns the status of the answer, or 0 if there was none.
func httpStatus(err error) int {
	if resp, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		return resp.HTTPStatusCode()
	}
	if f, ok := errors.AsType[*foreignError](err); ok {
		return f.status
	}
	return 0
}
