package cloudwatch

import (
	"testing"
	"time"
)

// TestDescribeGroup finds the group among those whose names merely begin with its name, and applies
// the account's policies to it.
func TestDescribeGroup(t *testing.T) {
	var asked []map[string]any
	c := newClient(t, pages(t, "DescribeLogGroups", &asked,
		`{"logGroups":[{"logGroupName":"/perstack/test-2","logGroupClass":"STANDARD"}],"nextToken":"n"}`,
		`{"logGroups":[{"logGroupName":"/perstack/test","logGroupClass":"INFREQUENT_ACCESS","creationTime":5,"retentionInDays":30,
			"retentionPolicyName":"p","inheritedProperties":["ACCOUNT_DATA_PROTECTION"],"kmsKeyId":"k"}]}`,
		`{"logGroups":[]}`))
	got, found, err := c.DescribeGroup(t.Context())
	want := Group{Class: "INFREQUENT_ACCESS", Created: time.UnixMilli(5), RetentionDays: 30, RetentionPolicy: "p", Masked: true, KMSKeyID: "k"}
	if err != nil || !found || got != want || got.CanBeRead() {
		t.Errorf("%+v, %v, %v; want %+v", got, found, err, want)
	}
	if asked[1]["nextToken"] != "n" || asked[0]["logGroupNamePrefix"] != "/perstack/test" {
		t.Errorf("asked %v", asked)
	}
	if got, found, err := c.DescribeGroup(t.Context()); found || err != nil {
		t.Errorf("found a group that does not exist: %+v, %v", got, err)
	}
}
