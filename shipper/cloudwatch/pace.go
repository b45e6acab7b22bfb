package cloudwatch

import (
	"context"
	"net"
	"net/url"
	"sync"
	"time"
)

// Quotas of reading are small, fixed, and shared by everyone who reads in the account and Region. A
// reader that goes through a gigabyte keeps under them by itself, so that neither it nor a
// dashboard beside it is throttled.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html

// Calls a second, by Region. A Region that is not named has the lowest quota that is known.
var (
	getQuota    = quota{lowest: 10, regions: map[string]int{"us-east-1": 25, "eu-west-3": 30}}
	filterQuota = quota{lowest: 5, regions: map[string]int{"us-east-1": 25}}
)

type quota struct {
	lowest  int
	regions map[string]int
}

// saved is how much time without a call is made up for: a small job is read without waiting, and a
// second never has more calls than the quota, for the pace is four fifths of it.
const saved = time.Second / 4

// paced is when the next call of a kind is due.
type paced struct {
	mu   sync.Mutex
	next time.Time
}

// pace waits until a call of the kind may be made. An endpoint on this machine has no quotas.
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
