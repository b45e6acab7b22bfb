package cloudwatch

// This file reads events back. A page is one attempt. The caller retries, and asks for pages until
// there is no next one.

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// Event is a stored event.
type Event struct {
	Stream   string
	Time     int64 // as it was put, ms since 1970
	Ingested int64 // ms since 1970
	Message  string
}

// Selection says which events a page may hold, and how.
type Selection struct {
	// From and To bound the events' times to [From, To), in ms since 1970. 0 means no bound.
	From, To int64
	// Unmask asks for the original text where a data protection policy masks it. This requires
	// logs:Unmask.
	Unmask bool
	// Limit is the maximum number of events on a page. 0 means as many as the service returns.
	Limit int32
}

func (s Selection) from() *int64 { return optionalTime(s.From) }
func (s Selection) to() *int64   { return optionalTime(s.To) }

func (s Selection) limit() *int32 {
	if s.Limit == 0 {
		return nil
	}
	return &s.Limit
}

func optionalTime(ms int64) *int64 {
	if ms == 0 {
		return nil
	}
	return &ms
}

// EventsPage reads a page of a stream's events, oldest first. An empty token starts at the
// beginning; the next of one page is the token of the page after it. A page may be empty without
// being the last. end reports that there was nothing more when the page was read; the next of such
// a page can be used again later.
func (c *Client) EventsPage(ctx context.Context, stream string, of Selection, token string) (events []Event, next string, end bool, err error) {
	if err := c.pace(ctx, &c.gets, getQuota); err != nil {
		return nil, "", false, err
	}
	var out *cloudwatchlogs.GetLogEventsOutput
	err = c.call(ctx, "GetLogEvents", pageAnswer, func(ctx context.Context) (err error) {
		out, err = c.api.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{
			LogGroupName:  &c.group,
			LogStreamName: &stream,
			NextToken:     optional(token),
			StartFromHead: aws.Bool(true),
			StartTime:     of.from(),
			EndTime:       of.to(),
			Unmask:        of.Unmask,
			Limit:         of.limit(),
		})
		return err
	})
	if err != nil {
		return nil, "", false, err
	}
	events = make([]Event, len(out.Events))
	for i, e := range out.Events {
		events[i] = Event{stream, aws.ToInt64(e.Timestamp), aws.ToInt64(e.IngestionTime), aws.ToString(e.Message)}
	}
	next = aws.ToString(out.NextForwardToken)
	return events, next, next == token || next == "", nil
}

// StreamsPage lists, in order, the names of the group's streams that begin with prefix. An empty
// prefix matches all. An empty next means that this was the last page.
func (c *Client) StreamsPage(ctx context.Context, prefix, token string) (names []string, next string, err error) {
	var out *cloudwatchlogs.DescribeLogStreamsOutput
	err = c.call(ctx, "DescribeLogStreams", pageAnswer, func(ctx context.Context) (err error) {
		out, err = c.api.DescribeLogStreams(ctx, &cloudwatchlogs.DescribeLogStreamsInput{
			LogGroupName:        &c.group,
			LogStreamNamePrefix: optional(prefix),
			OrderBy:             types.OrderByLogStreamName,
			NextToken:           optional(token),
		})
		return err
	})
	if err != nil {
		return nil, "", err
	}
	names = make([]string, len(out.LogStreams))
	for i, s := range out.LogStreams {
		names[i] = aws.ToString(s.LogStreamName)
	}
	return names, aws.ToString(out.NextToken), nil
}

// FilterPage reads a page of the group's events that match a CloudWatch Logs filter pattern and
// whose stream's name begins with streamPrefix. An empty pattern or prefix matches all. A page may
// be empty without being the last; an empty next means that this was the last page.
func (c *Client) FilterPage(ctx context.Context, pattern, streamPrefix string, of Selection, token string) (events []Event, next string, err error) {
	if err := c.pace(ctx, &c.filters, filterQuota); err != nil {
		return nil, "", err
	}
	var out *cloudwatchlogs.FilterLogEventsOutput
	err = c.call(ctx, "FilterLogEvents", pageAnswer, func(ctx context.Context) (err error) {
		out, err = c.api.FilterLogEvents(ctx, &cloudwatchlogs.FilterLogEventsInput{
			LogGroupName:        &c.group,
			FilterPattern:       optional(pattern),
			LogStreamNamePrefix: optional(streamPrefix),
			NextToken:           optional(token),
			StartTime:           of.from(),
			EndTime:             of.to(),
			Unmask:              of.Unmask,
			Limit:               of.limit(),
		})
		return err
	})
	if err != nil {
		return nil, "", err
	}
	events = make([]Event, len(out.Events))
	for i, e := range out.Events {
		events[i] = Event{aws.ToString(e.LogStreamName), aws.ToInt64(e.Timestamp), aws.ToInt64(e.IngestionTime), aws.ToString(e.Message)}
	}
	return events, aws.ToString(out.NextToken), nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
