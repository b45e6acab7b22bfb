package main

import (
	"context"
	"fmt"
	"time"

	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/terminal"
)

// progress is a client that shows on a terminal how much it has read.
type progress struct {
	*cloudwatch.Client
	line   *terminal.Line // nil to show nothing
	began  time.Time
	due    time.Time // of the next line
	bytes  int64
	events int64
}

// showEvery is the time from one line to the next. What takes less time than that shows none.
const showEvery = 250 * time.Millisecond

// newProgress returns a progress of the client that shows nothing if the line is not on a terminal.
func newProgress(client *cloudwatch.Client, line *terminal.Line) *progress {
	now := time.Now()
	p := &progress{Client: client, line: line, began: now, due: now.Add(showEvery)}
	if !terminal.Is(line.File) {
		p.line = nil
	}
	return p
}

// EventsPage reads a page as the client does, and counts it.
func (p *progress) EventsPage(ctx context.Context, stream string, of cloudwatch.Selection, token string) ([]cloudwatch.Event, string, bool, error) {
	events, next, end, err := p.Client.EventsPage(ctx, stream, of, token)
	p.count(events)
	return events, next, end, err
}

// FilterPage reads a page as the client does, and counts it.
func (p *progress) FilterPage(ctx context.Context, pattern, streamPrefix string, of cloudwatch.Selection, token string) ([]cloudwatch.Event, string, error) {
	events, next, err := p.Client.FilterPage(ctx, pattern, streamPrefix, of, token)
	p.count(events)
	return events, next, err
}

func (p *progress) count(events []cloudwatch.Event) {
	p.events += int64(len(events))
	for i := range events {
		p.bytes += int64(len(events[i].Message))
	}
	now := time.Now()
	if p.line == nil || now.Before(p.due) {
		return
	}
	p.due = now.Add(showEvery)
	mb := float64(p.bytes) / 1e6
	p.line.Show(fmt.Sprintf("%d events, %.1f MB read, %.1f MB/s", p.events, mb, mb/now.Sub(p.began).Seconds()))
}
