// Package localtest holds what tests of several packages need with package cwlocal: common faults,
// and the expected signature of a call.
package localtest

import (
	"net/http"

	"perstack-shipper/shipper/cwlocal"
)

// Throttle returns the fault of an exhausted quota.
func Throttle() cwlocal.Fault {
	return cwlocal.Fault{Code: "ThrottlingException", Message: "Rate exceeded"}
}

// Unavailable returns the fault of a service that is temporarily down.
func Unavailable() cwlocal.Fault {
	return cwlocal.Fault{
		Status:  http.StatusServiceUnavailable,
		Code:    "ServiceUnavailableException",
		Message: "The service cannot complete the request.",
	}
}
