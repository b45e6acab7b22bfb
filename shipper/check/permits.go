package check

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/journal"
)

// mayWrite tries the calls that shipping makes. The service answers that a group or stream already
// exists only if the caller may create it.
func (c *checker) mayWrite(ctx context.Context) {
	if c.Create {
		c.mayCreate(ctx)
	}
	message, err := c.record()
	if err != nil {
		c.add("logs:PutLogEvents", Failed, err.Error(), "")
		return
	}
	now := time.Now()
	var verdict cloudwatch.Verdict
	err = c.try(ctx, func() (err error) {
		verdict, err = c.Client.Put(ctx, Stream, bodyOf(c.Client.Target().Group, message, now))
		return err
	})
	switch class := cloudwatch.Classify(err); {
	case err == nil && !verdict.Clean():
		c.add("logs:PutLogEvents", Failed, "CloudWatch accepted the call but refused the record for its time, which is now", "check this machine's clock")
	case class == cloudwatch.Accepted:
		c.stored, c.storedAt = message, now
		c.add("logs:PutLogEvents", OK, fmt.Sprintf("allowed: stream %s has a record of this check, which readers skip", Stream), "")
	case class == cloudwatch.Missing && c.Create:
		c.add("logs:PutLogEvents", Skipped, fmt.Sprintf("not tried, because stream %s does not exist", Stream), "")
	case class == cloudwatch.Missing:
		c.add("logs:PutLogEvents", OK, fmt.Sprintf("apparently allowed: stream %s does not exist, and --no-create forbids creating it", Stream), "")
	default:
		c.failed("logs:PutLogEvents", Failed, err, "PutLogEvents", Stream)
	}
}

// mayCreate tries to create the group and the stream.
func (c *checker) mayCreate(ctx context.Context) {
	createStream := func() error { return c.try(ctx, func() error { return c.Client.CreateStream(ctx, Stream) }) }
	createGroup := func() error {
		return c.try(ctx, func() (err error) { c.created, err = c.Client.CreateGroup(ctx); return err })
	}
	stream := createStream()
	if cloudwatch.Classify(stream) == cloudwatch.Missing {
		if err := createGroup(); err != nil {
			c.failed("logs:CreateLogGroup", Failed, err, "CreateLogGroup", "")
			c.add("logs:CreateLogStream", OK, "apparently allowed: the group does not exist", "")
			return
		}
		c.add("logs:CreateLogGroup", OK, "allowed: the group did not exist and has been created", "")
		if c.created && c.Client.RetentionDays() > 0 {
			if err := c.try(ctx, func() error { return c.Client.SetRetention(ctx) }); err != nil {
				c.failed("logs:PutRetentionPolicy", Failed, err, "PutRetentionPolicy", "")
			} else {
				c.add("logs:PutRetentionPolicy", OK, "allowed: the group has the requested retention", "")
			}
		}
		stream = createStream()
	} else if err := createGroup(); err == nil {
		c.add("logs:CreateLogGroup", OK, "allowed", "")
	} else {
		_, remedy := c.Client.Diagnose(err, "CreateLogGroup", "")
		c.add("logs:CreateLogGroup", Warning, "refused ("+cloudwatch.Reason(err)+"), which matters only if the group is deleted", remedy)
	}
	if stream != nil {
		c.failed("logs:CreateLogStream", Failed, stream, "CreateLogStream", Stream)
		return
	}
	c.add("logs:CreateLogStream", OK, "allowed", "")
}

// mayRead tries the calls that reading back makes.
func (c *checker) mayRead(ctx context.Context) {
	if !c.Read {
		return
	}
	if c.there && !c.group.CanBeRead() {
		c.add("reading back", Skipped, "not tried, because a group of class "+c.group.Class+" cannot be read", "")
		return
	}
	c.mayGet(ctx)
	allowed := func(action string, call func() error) bool {
		err := c.try(ctx, call)
		if err != nil && cloudwatch.Classify(err) != cloudwatch.Missing {
			c.failed("logs:"+action, Failed, err, action, "")
			return false
		}
		c.add("logs:"+action, OK, "allowed", "")
		return true
	}
	allowed("DescribeLogStreams", func() error { _, _, err := c.Client.StreamsPage(ctx, Stream, ""); return err })
	c.filters = allowed("FilterLogEvents", func() error {
		_, _, err := c.Client.FilterPage(ctx, "", Stream, cloudwatch.Selection{From: time.Now().UnixMilli()}, "")
		return err
	})
}

// mayGet reads the record back.
func (c *checker) mayGet(ctx context.Context) {
	const name = "logs:GetLogEvents"
	for began := time.Now(); ; {
		var found bool
		err := c.try(ctx, func() (err error) { found, err = c.find(ctx); return err })
		took := time.Since(began).Round(100 * time.Millisecond)
		switch {
		case cloudwatch.Classify(err) == cloudwatch.Missing && c.stored == nil:
			c.add(name, OK, fmt.Sprintf("apparently allowed: stream %s does not exist", Stream), "")
		case err != nil:
			c.failed(name, Failed, err, "GetLogEvents", Stream)
		case found:
			c.add(name, OK, fmt.Sprintf("allowed: the record came back after %s", took), "")
		case c.stored == nil:
			c.add(name, OK, "allowed", "")
		case took >= c.Settle:
			c.add(name, Failed, fmt.Sprintf("allowed, but the record did not come back within %s", c.Settle), "check again; new events may take a while to become readable")
		default:
			if wait(ctx, c.Pause) == nil {
				continue
			}
			c.add(name, Skipped, "stopped before the record came back", "")
		}
		return
	}
}

// find looks for the record among the events since it was put.
func (c *checker) find(ctx context.Context) (found bool, err error) {
	since := cloudwatch.Selection{From: c.storedAt.UnixMilli()}
	if c.stored == nil {
		since.From = time.Now().UnixMilli()
	}
	for token, end := "", false; !end; {
		var events []cloudwatch.Event
		if events, token, end, err = c.Client.EventsPage(ctx, Stream, since, token); err != nil {
			return false, err
		}
		for _, e := range events {
			found = found || c.stored != nil && bytes.Equal([]byte(e.Message), c.stored)
		}
	}
	return found, nil
}

// record returns the record to put. Its record member tells readers that it is not an agent's line.
func (c *checker) record() ([]byte, error) {
	type head struct {
		Record string `json:"record"`
		Input  string `json:"input"`
	}
	message, err := json.Marshal(struct {
		Shipper   head   `json:"shipper"`
		Type      string `json:"type"`
		Timestamp int64  `json:"timestamp"`
		Version   string `json:"version"`
		Hostname  string `json:"hostname"`
	}{head{"check", journal.NewID()}, "shipper.check", time.Now().UnixMilli(), c.Version, c.Hostname})
	if err != nil {
		return nil, fmt.Errorf("the record of this check: %w", err)
	}
	return message, nil
}

// bodyOf returns a request body with one record.
func bodyOf(group string, message []byte, at time.Time) cloudwatch.Body {
	var pool batch.Pool
	var ev batch.Event
	batch.Record(&ev, message, at.UnixMilli(), 0)
	b := batch.New(&pool)
	b.Add(&ev, nil)
	return b.Body(batch.BodyHead(group, Stream), 0, 1)
}
