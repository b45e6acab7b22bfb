// Package readbacktest provides a log group in memory for tests of the readers. Tests change its
// events and read them back.
package readbacktest

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/smithy-go"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
)

// Held maps the streams of a log group to their events in reading order. It implements
// readback.Source.
type Held map[string][]cloudwatch.Event

// page is the number of events in a page.
const page = 50

// EventsPage implements readback.Source.
func (h Held) EventsPage(_ context.Context, stream string, _ cloudwatch.Selection, token string) (events []cloudwatch.Event, next string, end bool, err error) {
	all, ok := h[stream]
	if !ok {
		return nil, "", false, &smithy.GenericAPIError{Code: "ResourceNotFoundException", Message: "The specified log stream does not exist."}
	}
	at, _ := strconv.Atoi(token) // one of ours, or "" for the first page
	to := min(at+page, len(all))
	return all[at:to], strconv.Itoa(to), to == len(all), nil
}

// StreamsPage implements readback.Source.
func (h Held) StreamsPage(_ context.Context, prefix, _ string) (names []string, next string, err error) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names, "", nil
}

// FilterPage implements readback.Source. It treats every JSON pattern as the one that finds
// records, and any other pattern as a text to search for.
func (h Held) FilterPage(_ context.Context, pattern, streamPrefix string, _ cloudwatch.Selection, _ string) (events []cloudwatch.Event, next string, err error) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, e := range h[name] {
			matches := strings.Contains(e.Message, strings.Trim(pattern, `"`))
			if strings.HasPrefix(pattern, "{") {
				_, _, record := Place(e)
				matches = record != ""
			}
			if matches && strings.HasPrefix(name, streamPrefix) {
				events = append(events, e)
			}
		}
	}
	return events, "", nil
}

// Change returns a copy in which f has changed the events of a stream.
func (h Held) Change(stream string, f func([]cloudwatch.Event) []cloudwatch.Event) Held {
	changed := Held{}
	for name, events := range h {
		if changed[name] = slices.Clone(events); name == stream {
			changed[name] = f(changed[name])
		}
	}
	return changed
}

// Place returns the seq and part of an event, or the kind of a record. For an event that
// perstack-shipper did not write it returns zero values.
func Place(e cloudwatch.Event) (seq int64, part int, record string) {
	r, err := batch.Restore([]byte(e.Message))
	if err != nil {
		return 0, 0, ""
	}
	return r.Seq, r.Part, r.Record
}
