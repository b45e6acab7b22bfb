package batch

import "time"

// The limits of PutLogEvents, from the API model of CloudWatch Logs and its quota pages in 2026:
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html and
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html.
// They apply to the message in UTF-8, not to the HTTP body.
const (
	// MaxBatchBytes limits the sum of len(message)+EventOverhead over a batch.
	MaxBatchBytes = 1048576
	// EventOverhead is what each event adds to the sum beyond its message.
	EventOverhead = 26
	// MaxEventBytes is the size of the largest message that fits into a batch.
	MaxEventBytes = MaxBatchBytes - EventOverhead
	// MaxBatchEvents is the largest number of events in a batch.
	MaxBatchEvents = 10000
	// MaxBatchSpan is the longest time between the oldest and the newest event of a batch.
	MaxBatchSpan = 24 * time.Hour
	// MaxEventAge is the greatest age of an event. Older ones are refused (HTTP 200, with
	// rejectedLogEventsInfo).
	MaxEventAge = 14 * 24 * time.Hour
	// MaxEventAhead is how far in the future an event's time may be.
	MaxEventAhead = 2 * time.Hour
	// MaxStreamNameBytes limits the name of a log stream, which may contain neither ':' nor '*'.
	MaxStreamNameBytes = 512
)
