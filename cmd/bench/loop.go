package main

// This file is what one would write in an afternoon instead of a shipper, and what perstack-shipper
// is compared with. It reads lines with bufio.Scanner, makes events with the current time (or, with
// "own", each line's own time), and puts them at 1 MiB, at 10,000 events or after a second, with
// the SDK and its retries. It keeps nothing on disk, numbers nothing and proves nothing. While a
// put is under way, its reader soon has to wait.

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

const (
	loopBatchBytes  = 1 << 20
	loopBatchEvents = 10_000
	loopEventExtra  = 26 // what CloudWatch adds to the size of each event
	loopMaxLine     = 1 << 20
	loopInterval    = time.Second
)

// loop collects the events of the next put.
type loop struct {
	client        *cloudwatchlogs.Client
	group, stream string
	events        []types.InputLogEvent
	bytes         int
}

// runLoop ships stdin to one log stream. Its arguments are the group, the stream and, to use each
// line's own time, "own".
func runLoop(args []string) error {
	if len(args) != 2 && (len(args) != 3 || args[2] != "own") {
		return errors.New("usage: loop GROUP STREAM [own]")
	}
	timeOf := func(string) int64 { return time.Now().UnixMilli() }
	if len(args) == 3 {
		timeOf = ownTime
	}
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	l := &loop{client: cloudwatchlogs.NewFromConfig(cfg), group: args[0], stream: args[1]}
	if _, err := l.client.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{
		LogGroupName: aws.String(l.group), LogStreamName: aws.String(l.stream),
	}); err != nil {
		var exists *types.ResourceAlreadyExistsException
		if !errors.As(err, &exists) {
			return err
		}
	}

	lines := make(chan string, 1024)
	scanned := make(chan error, 1)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(os.Stdin)
		scanner.Buffer(make([]byte, 64<<10), loopMaxLine)
		for scanner.Scan() {
			lines <- scanner.Text()
		}
		scanned <- scanner.Err()
	}()

	ticker := time.NewTicker(loopInterval)
	defer ticker.Stop()
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				if err := l.put(ctx); err != nil {
					return err
				}
				return <-scanned
			}
			if line == "" {
				continue
			}
			if len(l.events) == loopBatchEvents || l.bytes+len(line)+loopEventExtra > loopBatchBytes {
				if err := l.put(ctx); err != nil {
					return err
				}
			}
			l.events = append(l.events, types.InputLogEvent{
				Message: aws.String(line), Timestamp: aws.Int64(timeOf(line)),
			})
			l.bytes += len(line) + loopEventExtra
		case <-ticker.C:
			if err := l.put(ctx); err != nil {
				return err
			}
		}
	}
}

// put puts the collected events.
func (l *loop) put(ctx context.Context) error {
	if len(l.events) == 0 {
		return nil
	}
	sort.SliceStable(l.events, func(i, j int) bool { return *l.events[i].Timestamp < *l.events[j].Timestamp })
	out, err := l.client.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{
		LogGroupName: aws.String(l.group), LogStreamName: aws.String(l.stream), LogEvents: l.events,
	})
	if err != nil {
		return err
	}
	if out.RejectedLogEventsInfo != nil {
		return fmt.Errorf("events were rejected: %+v", out.RejectedLogEventsInfo)
	}
	l.events, l.bytes = l.events[:0], 0
	return nil
}

// ownTime returns the timestamp in a line, or the current time if it has none.
func ownTime(line string) int64 {
	var event struct {
		Timestamp int64 `json:"timestamp"`
	}
	if err := json.Unmarshal([]byte(line), &event); err != nil || event.Timestamp <= 0 {
		return time.Now().UnixMilli()
	}
	return event.Timestamp
}
