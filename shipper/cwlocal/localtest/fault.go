// Package localtest holds what several packages' tests use beside package cwlocal: the faults that
// they share, and how a call should be signed.
package localtest

import (
	"net/http"

	"perstack-shipper/shipper/cwlocal"
)

// Throttle is the fault of a quota that is used up.
func Throttle() cwlocal.Fault {
	return cwlocal.Fault{Code: "ThrottlingException", Message: "Rate exceeded"}
}

// Unavailable is the fault of a service that is down for the moment.
func Unavailable() cwlocal.Fault {
	return cwlocal.Fault{
		Status:  http.StatusServiceUnavailable,
		Code:    "ServiceUnavailableException",
		Message: "The service cannot complete the request.",
	}
}
