package main

import (
	"context"
	"errors"
	"fmt"

	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/readback"
)

// unread says why a reader came to no result, and returns the exit code for it. nothing is what to
// say where nothing was found.
func unread(client *cloudwatch.Client, err error, nothing string) int {
	call, ok := errors.AsType[*readback.CallError](err)
	if !ok && !errors.Is(err, readback.ErrNothing) {
		return fail(err)
	}
	// What a log group of another class answers is documented nowhere, so its class is looked up
	// whatever that was. Where that is not allowed, the answer itself has to do.
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
