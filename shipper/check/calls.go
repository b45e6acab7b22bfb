package check

import (
	"context"
	"fmt"
	"time"

	"perstack-shipper/shipper/cloudwatch"
)

// region reports the Region and where it was configured.
func (c *checker) region() {
	name, source := c.Client.Region()
	c.add("region", OK, fmt.Sprintf("%s, from %s", name, source), "")
}

// credentials fetches the credentials. It returns false if there are none.
func (c *checker) credentials(ctx context.Context) bool {
	info, err := c.Client.Credentials(ctx)
	if err != nil {
		c.failed("credentials", Failed, err, "", "")
		c.refused = "there are no credentials"
		return false
	}
	if info.Expires.IsZero() {
		c.add("credentials", OK, info.Kind+", without an expiry time", "")
		return true
	}
	left := time.Until(info.Expires).Round(time.Second)
	at := info.Expires.UTC().Format(time.RFC3339)
	if left <= 0 {
		c.add("credentials", Failed, fmt.Sprintf("%s, which expired at %s", info.Kind, at), "renew them, and check this machine's clock")
		c.refused = "the credentials have expired"
		return false
	}
	// For the credentials of a container or an instance, this is the time at which the SDK
	// renews them, some minutes before they expire.
	c.add("credentials", OK, fmt.Sprintf("%s, for at least %s, until %s", info.Kind, left, at), "")
	return true
}

// identity reports to whom the credentials belong. Shipping does not need STS, so a call to STS
// that fails is only a warning.
func (c *checker) identity(ctx context.Context) {
	var who cloudwatch.Identity
	err := c.try(ctx, func() (err error) { who, err = c.Client.Identity(ctx); return err })
	switch {
	case err == nil:
		c.add("identity", OK, fmt.Sprintf("%s of account %s", who.ARN, who.Account), "")
	case cloudwatch.Classify(err) == cloudwatch.Credentials:
		c.failed("identity", Failed, err, "GetCallerIdentity", "")
		c.refused = "AWS refuses the credentials"
	default:
		c.add("identity", Warning, "unknown: the call to STS failed ("+cloudwatch.Reason(err)+")",
			"nothing, if only CloudWatch Logs can be reached from here: shipping does not need STS")
	}
}

// endpoint makes the first call to CloudWatch Logs. It reports the endpoint's address, response
// time and clock, and returns false if there was no answer.
func (c *checker) endpoint(ctx context.Context) bool {
	var call cloudwatch.Trace
	c.look(cloudwatch.WithTrace(ctx, &call))
	at := call.Address
	if call.TLS != "" {
		at += ", " + call.TLS
	} else {
		at += ", without TLS"
	}
	class := cloudwatch.Classify(c.hidden)
	switch {
	case call.At.IsZero(), class == cloudwatch.Retry && cloudwatch.Unreachable(c.hidden):
		c.failed("endpoint", Failed, c.hidden, "DescribeLogGroups", "")
		c.refused = "CloudWatch Logs does not answer"
		return false
	case class == cloudwatch.Retry && c.hidden != nil:
		c.failed("endpoint", Failed, c.hidden, "DescribeLogGroups", "")
	default:
		c.add("endpoint", OK, fmt.Sprintf("%s (%s) answers in %s", c.Client.Endpoint(), at, call.Took.Round(time.Millisecond)), "")
	}
	c.clock(&call)
	if class == cloudwatch.Credentials {
		c.failed("credentials", Failed, c.hidden, "DescribeLogGroups", "")
		c.refused = "AWS refuses the credentials"
		return false
	}
	return true
}

const (
	// refusedSkew is how far a clock may be off before AWS refuses its signatures.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html
	refusedSkew = 5 * time.Minute
	// oddSkew is how far a clock may be off before check warns, because the times of events
	// come from such clocks.
	oddSkew = 30 * time.Second
)

// clock compares this machine's clock with the endpoint's.
func (c *checker) clock(call *cloudwatch.Trace) {
	ahead, known := call.Skew()
	if !known {
		c.add("clock", Warning, "unknown: the answer has no Date header", "")
		return
	}
	which, off := "behind", ahead
	if ahead < 0 {
		which, off = "ahead of", -ahead
	}
	message := fmt.Sprintf("this machine's clock is %s %s the endpoint's", off.Round(time.Second), which)
	switch {
	case off >= refusedSkew:
		c.add("clock", Failed, message, fmt.Sprintf("set it, for example with NTP: AWS refuses signatures that are %s off", refusedSkew))
	case off >= oddSkew:
		c.add("clock", Warning, message, "set it, for example with NTP: the times of events come from such clocks")
	default:
		c.add("clock", OK, "this machine's clock agrees with the endpoint's", "")
	}
}
