package main

import (
	"errors"

	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/readback"
)

// unread says why a reader came to no result, and returns the exit code for it. nothing is what to say where nothing was found.
func unread(client *cloudwatch.Client, err error, nothing string) int {
	if call, ok := errors.AsType[*readback.CallError](err); ok {
		return cannotTell(errors.New(client.Explain(call.Err, call.Action, call.Stream)))
	}
	if errors.Is(err, readback.ErrNothing) {
		return cannotTell(errors.New(nothing))
	}
	return fail(err)
}
