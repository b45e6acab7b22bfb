package check

import (
	"context"
	"fmt"
	"slices"
	"time"

	"perstack-shipper/shipper/cloudwatch"
)

// look looks at the group.
func (c *checker) look(ctx context.Context) {
	c.hidden = try(ctx, func() (err error) { c.group, c.there, err = c.Client.DescribeGroup(ctx); return err })
}

// describe looks at the group again if this check has created it.
func (c *checker) describe(ctx context.Context) {
	if c.created {
		c.look(ctx)
	}
}

// saysOfGroup says what the group is like.
func (c *checker) saysOfGroup(ctx context.Context) {
	name := fmt.Sprintf("%q", c.Client.Target().Group)
	switch {
	case c.hidden != nil:
		_, remedy := c.Client.Diagnose(c.hidden, "DescribeLogGroups", "")
		c.add("group", Warning, "its class, retention and key are not known ("+cloudwatch.Reason(c.hidden)+")", remedy+"; shipping does not need it")
		return
	case !c.there && c.Create:
		c.add("group", Failed, name+" is not there", "allow logs:CreateLogGroup, or create it")
		return
	case !c.there:
		c.add("group", Failed, name+" does not exist, and --no-create forbids creating it", "create it, or check --log-group and --region")
		return
	case c.created:
		c.add("group", OK, name+" has just been created", "")
	default:
		c.add("group", OK, name+" is there", "")
	}
	c.class()
	c.retention()
	c.key()
	c.age(ctx)
}

// class says what the group's class cannot do.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CloudWatch_Logs_Log_Classes.html
func (c *checker) class() {
	switch {
	case !c.group.CanBeRead():
		status := Warning
		if c.Read {
			status = Failed
		}
		message := c.group.Class + ": what is in it cannot be read back, filtered or alarmed on"
		if c.group.Class == "DELIVERY" {
			message += ", and is kept for a day"
		}
		c.add("class", status, message, "ship to a group of class STANDARD: a class cannot be changed")
	case c.group.Class == "" || c.group.Class == "STANDARD":
		c.add("class", OK, "STANDARD", "")
	default:
		c.add("class", Warning, c.group.Class+", which has only some of the features of STANDARD", "try reading back with --read, and metric filters and alarms, before relying on them")
	}
}

// retention says how long events are kept, and by whose will.
func (c *checker) retention() {
	kept := "for ever"
	if c.group.RetentionDays > 0 {
		kept = fmt.Sprintf("%d days", c.group.RetentionDays)
	}
	whose := "by the group's own setting"
	if c.group.RetentionPolicy != "" {
		whose = fmt.Sprintf("by the account's policy %q, which overrules the group's own setting", c.group.RetentionPolicy)
	}
	if want := c.Client.RetentionDays(); want != 0 && want != c.group.RetentionDays {
		c.add("retention", Warning, fmt.Sprintf("events are kept %s, %s, and not the %d days of --retention-days", kept, whose, want),
			"set it by hand if it is wrong: only a group that is created here gets that retention")
		return
	}
	c.add("retention", OK, fmt.Sprintf("events are kept %s, %s", kept, whose), "")
}

// key says what encrypts the events. That the caller may use a key of one's own, the put has shown.
func (c *checker) key() {
	switch {
	case c.group.KMSKeyID == "":
		c.add("key", OK, "the service's own encryption", "")
	case c.stored != nil:
		c.add("key", OK, c.group.KMSKeyID+", which the caller may use", "")
	default:
		c.add("key", Warning, c.group.KMSKeyID+", and whether the caller may use it is not known, because nothing was stored",
			"allow its use by way of CloudWatch Logs (UseTheKey in deploy/README.md)")
	}
}

// olderPages bounds the search for events that are older than the group.
const olderPages = 5

// age says since when the group is there: Logs Insights shows no event from before.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AnalyzingLogData.html
func (c *checker) age(ctx context.Context) {
	created := c.group.Created.UTC().Format(time.RFC3339)
	if !c.filters {
		c.add("created", OK, created+": Logs Insights shows no event from before", "")
		return
	}
	before := cloudwatch.Selection{From: 1, To: c.group.Created.UnixMilli()}
	for page, token := 0, ""; page < olderPages; page++ {
		var events []cloudwatch.Event
		err := try(ctx, func() (err error) {
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
			c.add("created", Warning, fmt.Sprintf("%s, and it has events from before, such as of %s: Logs Insights never shows those", created, first),
				"read them with `logs`; create the group before the first agent runs")
			return
		case token == "":
			c.add("created", OK, created+", before its first event", "")
			return
		}
	}
	c.add("created", OK, created+": no event from before is among the first that were looked at", "")
}
