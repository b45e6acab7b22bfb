package cloudwatch

// This file creates streams and groups. Both calls succeed if the stream or group exists by then.

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// CreateStream creates a log stream. It succeeds if the stream exists. A missing group is an error
// of class Missing.
func (c *Client) CreateStream(ctx context.Context, stream string) error {
	return exists(c.call(ctx, "CreateLogStream", createAnswer, func(ctx context.Context) error {
		_, err := c.api.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &c.group, LogStreamName: &stream})
		return err
	}))
}

func exists(err error) error {
	if _, ok := errors.AsType[*types.ResourceAlreadyExistsException](err); ok {
		return nil
	}
	return err
}

// CreateGroup creates the log group and reports whether it did. It succeeds if the group exists,
// and leaves such a group as it is.
//
// The KMS key is part of the creation, so the group is not created if the key is refused: data must
// not be stored unencrypted by accident. Tags are part of it too, because an organisation may
// require them there. If the tags are refused, the group is created without them, and a warning
// says how to add them.
func (c *Client) CreateGroup(ctx context.Context) (created bool, err error) {
	err = c.createGroup(ctx, c.tags)
	if len(c.tags) > 0 {
		if class := Classify(err); err != nil && (class == Denied || class == Refused) {
			// If the key or the name was refused, this call fails as well and says why.
			refused := err
			if err = c.createGroup(ctx, nil); err == nil {
				c.log.Warn("the log group was created without its tags; allow logs:TagResource (deploy/iam-policy.json) and tag it by hand: "+
					Reason(refused), c.LogFields(refused, "CreateLogGroup", "")...)
			}
		}
	}
	if _, ok := errors.AsType[*types.ResourceAlreadyExistsException](err); ok {
		return false, nil
	}
	return err == nil, err
}

func (c *Client) createGroup(ctx context.Context, tags map[string]string) error {
	return c.call(ctx, "CreateLogGroup", createAnswer, func(ctx context.Context) error {
		in := &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &c.group}
		if len(tags) > 0 { // an empty map would be sent, and refused
			in.Tags = tags
		}
		if c.kmsKeyID != "" {
			in.KmsKeyId = &c.kmsKeyID
		}
		_, err := c.api.CreateLogGroup(ctx, in)
		return err
	})
}

// RetentionDays returns the retention of groups that this client creates; 0 means that none is set.
func (c *Client) RetentionDays() int { return int(c.retentionDays) }

// SetRetention sets the retention of a group that CreateGroup created.
func (c *Client) SetRetention(ctx context.Context) error {
	return c.call(ctx, "PutRetentionPolicy", createAnswer, func(ctx context.Context) error {
		_, err := c.api.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{
			LogGroupName: &c.group, RetentionInDays: aws.Int32(c.retentionDays),
		})
		return err
	})
}

// WarnOfRetention logs that setting the retention failed, and how to set it by hand.
func (c *Client) WarnOfRetention(err error) {
	c.log.Warn("the log group was created, but its retention could not be set, so it keeps events forever; set it with: "+
		fmt.Sprintf("aws logs put-retention-policy --region %s --log-group-name %s --retention-in-days %d", c.region, c.group, c.retentionDays)+
		" ("+Reason(err)+")", c.LogFields(err, "PutRetentionPolicy", "")...)
}
