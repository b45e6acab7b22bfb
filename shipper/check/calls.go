package check

import (
	"context"
	"fmt"
	"time"

	"perstack-shipper/shipper/cloudwatch"
)

// region says which Region is called, and who said so.
func (c *checker) region() {
	name, source := c.Client.Region()
	c.add("region", OK, fmt.Sprintf("%s, from %s", name, source), "")
}

// credentials fetches credentials, and reports whether there are any.
func (c *checker) credentials(ctx context.Context) bool {
	info, err := c.Client.Credentials(ctx)
	if err != nil {
		c.failed("credentials", Failed, err, "", "")
		c.refused = "there are no credentials"
		return false
	}
	if info.Expires.IsZero() {
		c.add("credentials", OK, info.Kind+", which do not say that they expire", "")
		return true
	}
	left := time.Until(info.Expires).Round(time.Second)
	at := info.Expires.UTC().Format(time.RFC3339)
	if left <= 0 {
		c.add("credentials", Failed, fmt.Sprintf("%s, which expired at %s", info.Kind, at), "renew them, and check the clock of this machine")
		c.refused = "the credentials have expired"
		return false
	}
	// The SDK renews those of a container or an instance some minutes before they expire, and gives
	// that time.
	c.add("credentials", OK, fmt.Sprintf("%s, for at least %s, until %s", info.Kind, left, at), "")
	return true
}

// identity says who the credentials are of. Shipping does not need STS, so it is no failure that it
// cannot be asked.
func (c *checker) identity(ctx context.Context) {
	var who cloudwatch.Identity
	err := try(ctx, func() (err error) { who, err = c.Client.Identity(ctx); return err })
	switch {
	case err == nil:
		c.add("identity", OK, fmt.Sprintf("%s of account %s", who.ARN, who.Account), "")
	case cloudwatch.Classify(err) == cloudwatch.Credentials:
		c.failed("identity", Failed, err, "GetCallerIdentity", "")
		c.refused = "the credentials are refused"
	default:
		c.add("identity", Warning, "not known: STS cannot be asked ("+cloudwatch.Reason(err)+")",
			"none is needed where only CloudWatch Logs can be reached: shipping does not use STS")
	}
}

// endpoint makes the first call, and reports whether CloudWatch Logs has answered it: where that
// is, how long it took, and what time it has.
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
		c.refused = "the credentials are refused"
		return false
	}
	return true
}

const (
	// refusedSkew is how far a clock may be off before AWS refuses the signature.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html
	refusedSkew = 5 * time.Minute
	// oddSkew is how far it may be off before somebody should know: the times of events come from
	// such clocks.
	oddSkew = 30 * time.Second
)

// clock compares this machine's clock with that of the answer.
func (c *checker) clock(call *cloudwatch.Trace) {
	ahead, known := call.Skew()
	if !known {
		c.add("clock", Warning, "not known: the answer has no Date", "")
		return
	}
	which, off := "behind", ahead
	if ahead < 0 {
		which, off = "ahead of", -ahead
	}
	message := fmt.Sprintf("this machine's is %s %s the endpoint's", off.Round(time.Second), which)
	switch {
	case off >= refusedSkew:
		c.add("clock", Failed, message, fmt.Sprintf("set it, by NTP for example: AWS refuses signatures that are %s off", refusedSkew))
	case off >= oddSkew:
		c.add("clock", Warning, message, "set it, by NTP for example: events have the times of such clocks")
	default:
		c.add("clock", OK, "this machine's and the endpoint's agree", "")
	}
}
