package main

import (
	"context"
	"errors"
	"fmt"

	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/readback"
)

// unread prints why a reader has no result, and returns the exit code for it. nothing is the
// message for a reader that found nothing.
func unread(client *cloudwatch.Client, err error, nothing string) int {
	call, ok := errors.AsType[*readback.CallError](err)
	if !ok && !errors.Is(err, readback.ErrNothing) {
		return fail(err)
	}
	// What a log group of another class answers is documented nowhere, so look up the class
	// whatever the answer was. If that is not allowed, report the answer.
	if group, found, err := client.DescribeGroup(context.Background()); err == nil && found && !group.CanBeRead() {
		target := client.Target()
		return cannotTell(fmt.Errorf("log group %q in %s is of class %s, which GetLogEvents and FilterLogEvents cannot read: "+
			"look at it with Logs Insights; the class of a log group cannot be changed", target.Group, target.Region, group.Class))
	}
	if ok {
		return cannotTell(errors.New(client.Explain(call.Err, call.Action, call.Stream)))
	}
	return cannotTell(errors.New(nothing))
}
