package check

import (
	"context"
	"fmt"
	"slices"
	"time"

	"perstack-shipper/shipper/cloudwatch"
)

// look describes the group.
func (c *checker) look(ctx context.Context) {
	c.hidden = c.try(ctx, func() (err error) { c.group, c.there, err = c.Client.DescribeGroup(ctx); return err })
}

// describe describes the group again if this check has created it.
func (c *checker) describe(ctx context.Context) {
	if c.created {
		c.look(ctx)
	}
}

// saysOfGroup reports the settings of the group.
func (c *checker) saysOfGroup(ctx context.Context) {
	name := fmt.Sprintf("%q", c.Client.Target().Group)
	switch {
	case c.hidden != nil:
		_, remedy := c.Client.Diagnose(c.hidden, "DescribeLogGroups", "")
		c.add("group", Warning, "its class, retention and key are unknown ("+cloudwatch.Reason(c.hidden)+")", remedy+"; shipping does not need it")
		return
	case !c.there && c.Create:
		c.add("group", Failed, name+" does not exist", "allow logs:CreateLogGroup, or create it")
		return
	case !c.there:
		c.add("group", Failed, name+" does not exist, and --no-create forbids creating it", "create it, or check --log-group and --region")
		return
	case c.created:
		c.add("group", OK, name+" has just been created", "")
	default:
		c.add("group", OK, name+" exists", "")
	}
	c.class()
	c.retention()
	c.key()
	c.age(ctx)
}

// class reports what is impossible with the group's class.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CloudWatch_Logs_Log_Classes.html
func (c *checker) class() {
	switch {
	case !c.group.CanBeRead():
		status := Warning
		if c.Read {
			status = Failed
		}
		message := c.group.Class + ": its events cannot be read back, filtered or alarmed on"
		if c.group.Class == "DELIVERY" {
			message += ", and are kept for one day"
		}
		c.add("class", status, message, "ship to a group of class STANDARD: the class of a group cannot be changed")
	case c.group.Class == "" || c.group.Class == "STANDARD":
		c.add("class", OK, "STANDARD", "")
	default:
		c.add("class", Warning, c.group.Class+", which has only some of the features of STANDARD", "try reading back with --read, and metric filters and alarms, before relying on them")
	}
}

// retention reports how long events are kept, and which setting decides that.
func (c *checker) retention() {
	kept := "forever"
	if c.group.RetentionDays > 0 {
		kept = fmt.Sprintf("for %d days", c.group.RetentionDays)
	}
	whose := "by the group's own setting"
	if c.group.RetentionPolicy != "" {
		whose = fmt.Sprintf("by the account's policy %q, which overrides the group's own setting", c.group.RetentionPolicy)
	}
	if want := c.Client.RetentionDays(); want != 0 && want != c.group.RetentionDays {
		c.add("retention", Warning, fmt.Sprintf("events are kept %s, %s, not for the %d days of --retention-days", kept, whose, want),
			"set it by hand if it is wrong: only a group that perstack-shipper creates gets that retention")
		return
	}
	c.add("retention", OK, fmt.Sprintf("events are kept %s, %s", kept, whose), "")
}

// key reports what encrypts the events. If the put succeeded, the caller may use the key.
func (c *checker) key() {
	switch {
	case c.group.KMSKeyID == "":
		c.add("key", OK, "the service's own encryption", "")
	case c.stored != nil:
		c.add("key", OK, c.group.KMSKeyID+", which the caller may use", "")
	default:
		c.add("key", Warning, c.group.KMSKeyID+", but it is unknown whether the caller may use it, because nothing was stored",
			"allow its use through CloudWatch Logs (UseTheKey in deploy/README.md)")
	}
}

// olderPages bounds the search for events that are older than the group.
const olderPages = 5

// age reports when the group was created, because Logs Insights never shows older events.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AnalyzingLogData.html
func (c *checker) age(ctx context.Context) {
	created := c.group.Created.UTC().Format(time.RFC3339)
	if !c.filters {
		c.add("created", OK, created+": Logs Insights shows no older event", "")
		return
	}
	before := cloudwatch.Selection{From: 1, To: c.group.Created.UnixMilli()}
	for page, token := 0, ""; page < olderPages; page++ {
		var events []cloudwatch.Event
		err := c.try(ctx, func() (err error) {
			events, token, err = c.Client.FilterPage(ctx, "", "", before, token)
			return err
		})
		older := slices.IndexFunc(events, func(e cloudwatch.Event) bool { return e.Time < c.group.Created.UnixMilli() })
		switch {
		case err != nil:
			c.failed("created", Warning, err, "FilterLogEvents", "")
			return
		case older >= 0:
			first := time.UnixMilli(events[older].Time).UTC().Format(time.RFC3339)
			c.add("created", Warning, fmt.Sprintf("%s, but some events are older, such as one of %s: Logs Insights never shows those", created, first),
				"read them with `logs`; create the group before the first agent runs")
			return
		case token == "":
			c.add("created", OK, created+", before its first event", "")
			return
		}
	}
	c.add("created", OK, created+": none of the first events is older", "")
}
