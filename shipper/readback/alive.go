package readback

import (
	"context"
	"errors"
	"time"

	"perstack-shipper/shipper/cloudwatch"
)

// errAlive stops reading pages at the first event.
var errAlive = errors.New("the stream has an event")

// Alive reports whether a stream has an event at or after since. It returns false for a stream that
// does not exist.
func Alive(ctx context.Context, src Source, stream string, since time.Time) (bool, error) {
	of := cloudwatch.Selection{From: since.UnixMilli(), Limit: 1}
	err := pages(ctx, src, CallError{Action: "GetLogEvents", Stream: stream},
		func(token string) ([]cloudwatch.Event, string, bool, error) {
			return src.EventsPage(ctx, stream, of, token)
		},
		func(cloudwatch.Event) error { return errAlive })
	call, ok := errors.AsType[*CallError](err)
	switch {
	case err == errAlive:
		return true, nil
	case ok && cloudwatch.Classify(call.Err) == cloudwatch.Missing:
		return false, nil
	}
	return false, err
}
