package batch

import "time"

// The limits of PutLogEvents, as the API model of CloudWatch Logs and its quota pages state them in 2026:
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html and
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html.
// They are counted on the message in UTF-8, not on the HTTP body.
const (
	// MaxBatchBytes bounds the sum of len(message)+EventOverhead over a batch.
	MaxBatchBytes = 1048576
	// EventOverhead is what each event costs of MaxBatchBytes beyond its message.
	EventOverhead = 26
	// MaxEventBytes is the largest message that fits any batch.
	MaxEventBytes = MaxBatchBytes - EventOverhead
	// MaxBatchEvents is the largest number of events in a batch.
	MaxBatchEvents = 10000
	// MaxBatchSpan is the longest time between the oldest and the newest event of a batch.
	MaxBatchSpan = 24 * time.Hour
	// MaxEventAge is how old an event may be; an older one is refused (HTTP 200, rejectedLogEventsInfo).
	MaxEventAge = 14 * 24 * time.Hour
	// MaxEventAhead is how far in the future an event may be.
	MaxEventAhead = 2 * time.Hour
	// MaxStreamNameBytes bounds the name of a log stream, which may hold neither ':' nor '*'.
	MaxStreamNameBytes = 512
)
