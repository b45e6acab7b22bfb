package cloudwatch

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// Group describes a log group.
type Group struct {
	Created         time.Time
	RetentionDays   int    // the retention in effect; 0: forever
	RetentionPolicy string // the account's policy that sets it; "": the group's own
	Class           string // STANDARD, INFREQUENT_ACCESS, DELIVERY or ESSENTIALS
	KMSKeyID        string // ARN of the key; "": the service's own encryption
	Masked          bool   // a data protection policy masks some of its events
}

// CanBeRead reports whether the group's class supports the calls that read events back,
// GetLogEvents and FilterLogEvents.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CloudWatch_Logs_Log_Classes.html
func (g Group) CanBeRead() bool {
	return g.Class != string(types.LogGroupClassInfrequentAccess) && g.Class != string(types.LogGroupClassDelivery)
}

// DescribeGroup looks the log group up. found is false if it does not exist.
func (c *Client) DescribeGroup(ctx context.Context) (g Group, found bool, err error) {
	var token *string
	for {
		var out *cloudwatchlogs.DescribeLogGroupsOutput
		err := c.call(ctx, "DescribeLogGroups", pageAnswer, func(ctx context.Context) (err error) {
			out, err = c.api.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &c.group, NextToken: token})
			return err
		})
		if err != nil {
			return Group{}, false, err
		}
		for _, g := range out.LogGroups {
			if aws.ToString(g.LogGroupName) == c.group {
				return Group{
					Created:         time.UnixMilli(aws.ToInt64(g.CreationTime)),
					RetentionDays:   int(aws.ToInt32(g.RetentionInDays)),
					RetentionPolicy: aws.ToString(g.RetentionPolicyName),
					Class:           string(g.LogGroupClass),
					KMSKeyID:        aws.ToString(g.KmsKeyId),
					Masked: g.DataProtectionStatus == types.DataProtectionStatusActivated ||
						slices.Contains(g.InheritedProperties, types.InheritedPropertyAccountDataProtection),
				}, true, nil
			}
		}
		if token = out.NextToken; aws.ToString(token) == "" {
			return Group{}, false, nil
		}
	}
}
