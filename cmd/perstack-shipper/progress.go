package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"perstack-shipper/shipper/cloudwatch"
)

// progress is a client that shows on a terminal how much it has read. Elsewhere it shows nothing.
type progress struct {
	*cloudwatch.Client
	terminal *os.File // nil: nothing is shown
	began    time.Time
	due      time.Time // of the next look
	showing  bool
	bytes    int64
	events   int64
}

// showEvery is how often what is shown is renewed. What takes less time than that shows nothing.
const showEvery = 250 * time.Millisecond

func newProgress(client *cloudwatch.Client, file *os.File) *progress {
	now := time.Now()
	p := &progress{Client: client, began: now, due: now.Add(showEvery)}
	if isTerminal(file) {
		p.terminal = file
	}
	return p
}

// EventsPage is that of the client.
func (p *progress) EventsPage(ctx context.Context, stream string, of cloudwatch.Selection, token string) ([]cloudwatch.Event, string, bool, error) {
	events, next, end, err := p.Client.EventsPage(ctx, stream, of, token)
	p.count(events)
	return events, next, end, err
}

// FilterPage is that of the client.
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
	if p.terminal == nil || now.Before(p.due) {
		return
	}
	p.due, p.showing = now.Add(showEvery), true
	mb := float64(p.bytes) / 1e6
	fmt.Fprintf(p.terminal, "\r\x1b[K%d events, %.1f MB read, %.1f MB/s", p.events, mb, mb/now.Sub(p.began).Seconds())
}

// clear takes away what is shown.
func (p *progress) clear() {
	if p.showing {
		p.showing = false
		fmt.Fprint(p.terminal, "\r\x1b[K")
	}
}
