package cloudwatch

// What an error means for who made the call. The table is decided by the service's error code, else
// by the HTTP status, else by how far the request got; nothing here looks at the text of a message.

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	smithy "github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Class is what to do about an error.
type Class int

const (
	Retry       Class = iota // try again, for ever: what may pass, and every error not known here
	Throttled                // try again, and less often
	Credentials              // InvalidateCredentials, then try again
	Denied                   // try again slowly: changes of permissions take time to arrive
	Missing                  // the group or the stream is not there: create it, then try again
	Refused                  // this very request will never be taken: halve the batch
	Accepted                 // the service has it: success
	Again                    // try again at once
	Stopped                  // the caller's own context ended
)

func (c Class) String() string {
	return [...]string{"retry", "throttled", "credentials", "denied", "missing", "refused", "accepted", "again", "stopped"}[c]
}

// classes has the codes without "Exception", which some endpoints leave away. Codes that are not
// here are Retry, or by HTTP status.
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

// callError is the error of one attempt, with how far it got.
type callError struct {
	err       error
	action    string        // of the API, without "logs:"
	transport error         // what the transport said, which the SDK hides when the deadline has passed
	timeout   time.Duration // the attempt's deadline, if that is what ended it
	stopped   bool          // the caller's context ended
	reached   bool          // there was a connection
	whole     bool          // all of the request was written to the connection
	answered  bool          // an HTTP answer was read
}

func (e *callError) Error() string { return e.err.Error() }
func (e *callError) Unwrap() error { return e.err }

// Classify says what an error of this package's calls means. No error is Accepted.
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

// Ambiguous says that the batch may have been stored although the call failed: all of it was sent,
// and what came back, if anything, does not say that it was refused. If it is sent again,
// CloudWatch may hold it twice.
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
	// A success that is not the service's: what answered may have handed the batch on.
	return httpStatus(err)/100 == 2
}

// BodyRefused says that the service, or what answered in its place, did not understand the body of
// the request. If that was compressed, a plain one may be taken.
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

// Unexplained says that a server failed and nothing in its answer is the service's own: it may have
// failed at the body, as some stand-ins do at a compressed one, or at anything else.
func Unexplained(err error) bool {
	return httpStatus(err) >= 500 && errorCode(err) == ""
}

// NoCredentials says that there were none to make the call with.
func NoCredentials(err error) bool {
	_, ok := errors.AsType[*credentialsError](err)
	return ok
}

// Unreachable says that credentials, permission or the address are what is wrong: things that
// seldom mend themselves, so that a run that has never had a batch accepted may give up early.
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

// foreign says that what answered is not CloudWatch Logs: a page where JSON was due, or a path that
// is not there. Statuses from 500 are left out, since front ends of the real service answer those
// without JSON.
func foreign(err error) bool {
	status := httpStatus(err)
	return status != 0 && status < 500 && status != http.StatusRequestTimeout && errorCode(err) == ""
}

// errorCode is the service's code without its suffix, "" where there was none.
func errorCode(err error) string {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || api.ErrorCode() == unknownCode {
		return ""
	}
	return strings.TrimSuffix(api.ErrorCode(), "Exception")
}

// unknownCode is what the SDK puts where the answer had no code.
const unknownCode = "UnknownError"

// httpStatus is the status of the answer, 0 where there was none.
func httpStatus(err error) int {
	if resp, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		return resp.HTTPStatusCode()
	}
	if f, ok := errors.AsType[*foreignError](err); ok {
		return f.status
	}
	return 0
}
