package cwlocal

// This file keeps the service's quotas of calls per second, for Options.Quotas.

import (
	"sync"
	"time"
)

// perSecond holds the quotas per account and Region that AWS publishes in 2026:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html. If they
// differ by Region, the lowest is used.
var perSecond = map[string]float64{
	"PutLogEvents":          5000,
	"CreateLogStream":       50,
	"CreateLogGroup":        10,
	"DescribeLogStreams":    25,
	"DescribeLogGroups":     10,
	"PutRetentionPolicy":    5,
	"DeleteRetentionPolicy": 5,
	"TagResource":           5,
	"ListTagsForResource":   5,
	"GetLogEvents":          10,
	"FilterLogEvents":       5,
	"TestMetricFilter":      5,
	"DeleteLogGroup":        10,
	"DeleteLogStream":       15,
}

// quotas has a token bucket for each operation, which refills at the quota's rate and holds one
// second's worth. Any goroutine may take from it, so mu guards it.
type quotas struct {
	mu      sync.Mutex
	buckets map[string]*bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

func newQuotas() *quotas { return &quotas{buckets: map[string]*bucket{}} }

// take reports whether another call of action is within its quota now, in real time.
func (q *quotas) take(action string) bool {
	rate := perSecond[action]
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	b := q.buckets[action]
	if b == nil {
		b = &bucket{tokens: rate, at: now}
		q.buckets[action] = b
	}
	b.tokens = min(rate, b.tokens+rate*now.Sub(b.at).Seconds())
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
