package cloudwatch

// The quotas for reading are small, fixed, and shared by all readers in the account and Region.
// Even a reader of a gigabyte stays below them, so that neither it nor a dashboard beside it is
// throttled.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html

import (
	"context"
	"net"
	"net/url"
	"sync"
	"time"
)

// Calls per second by Region. A Region that is not listed has the lowest known quota.
var (
	getQuota    = quota{lowest: 10, regions: map[string]int{"us-east-1": 25, "eu-west-3": 30}}
	filterQuota = quota{lowest: 5, regions: map[string]int{"us-east-1": 25}}
)

type quota struct {
	lowest  int
	regions map[string]int
}

// saved is how much idle time later calls may make up for, so that a small job is read without
// waiting. No second has more calls than the quota even so, because the pace is four fifths of it.
const saved = time.Second / 4

// paced holds when the next call of a kind is due.
type paced struct {
	mu   sync.Mutex
	next time.Time
}

// pace waits until a call of this kind is due. An endpoint on this machine has no quotas.
func (c *Client) pace(ctx context.Context, kind *paced, q quota) error {
	if c.loopback {
		return nil
	}
	rate := q.lowest
	if known, ok := q.regions[c.region]; ok {
		rate = known
	}
	return kind.wait(ctx, time.Second*5/4/time.Duration(rate))
}

func (p *paced) wait(ctx context.Context, every time.Duration) error {
	p.mu.Lock()
	now := time.Now()
	if earliest := now.Add(-saved); p.next.Before(earliest) {
		p.next = earliest
	}
	p.next = p.next.Add(every)
	due := p.next
	p.mu.Unlock()

	t := time.NewTimer(due.Sub(now))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// isLoopback reports whether an endpoint is on this machine.
func isLoopback(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
