package cloudwatch

// Reading back. A page is one attempt; the caller retries, and asks for the next page until there
// is none.

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// Event is a stored event.
type Event struct {
	Stream   string
	Time     int64 // ms since 1970, as it was put
	Ingested int64 // ms since 1970
	Message  string
}

// Selection says which of the events a page may hold, and how.
type Selection struct {
	// From and To bound the events' times, ms since 1970: From ≤ time < To. 0: no bound.
	From, To int64
	// Unmask asks for the originals where a data protection policy masks them. It takes
	// logs:Unmask.
	Unmask bool
	// Limit is the most events of a page; 0: as many as the service puts on one.
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

// EventsPage reads a page of a stream's events, oldest first, from its start (token "") or from
// where the page before it ended (its next). A page may be empty and not be the last: end says that
// there was nothing more when it was read. The next of an end may be asked again later.
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

// StreamsPage lists names of the group's streams that begin with prefix ("": all), in order. An
// empty next is the end.
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

// FilterPage reads a page of the group's events that match a filter pattern of CloudWatch Logs ("":
// all), of the streams whose names begin with streamPrefix ("": all). A page may be empty and not
// be the last; an empty next is the end.
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
