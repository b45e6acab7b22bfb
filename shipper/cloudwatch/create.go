package cloudwatch

// Creating what is missing. Both calls succeed when another has created it first.

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// CreateStream creates a log stream. One that exists is success; a missing group is an error of
// class Missing.
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

// CreateGroup creates the log group and reports whether it did: one that exists is success, and is
// left as it is.
//
// The KMS key goes with the creation, and where the key is refused so is the group: data must not
// silently lie unencrypted. Tags go with it too, for an organisation may demand them there; where
// they are refused the group is created without. Tags that could not be set are logged, with what
// to do, and are no error.
func (c *Client) CreateGroup(ctx context.Context) (created bool, err error) {
	err = c.createGroup(ctx, c.tags)
	if len(c.tags) > 0 {
		if class := Classify(err); err != nil && (class == Denied || class == Refused) {
			// The key or the name may be what is refused; then this one fails as well, and says
			// why.
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

// RetentionDays is the retention of a group created by this client; 0: none is set.
func (c *Client) RetentionDays() int { return int(c.retentionDays) }

// SetRetention sets the retention of a group that CreateGroup has created.
func (c *Client) SetRetention(ctx context.Context) error {
	return c.call(ctx, "PutRetentionPolicy", createAnswer, func(ctx context.Context) error {
		_, err := c.api.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{
			LogGroupName: &c.group, RetentionInDays: aws.Int32(c.retentionDays),
		})
		return err
	})
}

// WarnOfRetention logs that the retention could not be set, and how to do it by hand.
func (c *Client) WarnOfRetention(err error) {
	c.log.Warn("the log group was created, but its retention could not be set, so it keeps events for ever; set it with: "+
		fmt.Sprintf("aws logs put-retention-policy --region %s --log-group-name %s --retention-in-days %d", c.region, c.group, c.retentionDays)+
		" ("+Reason(err)+")", c.LogFields(err, "PutRetentionPolicy", "")...)
}
