package cloudwatch

// A role of another account, which is assumed with the credentials that there are: of a central
// logging account, say.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	smithy "github.com/aws/smithy-go"
)

// roleError is an error of assuming a role, after there were credentials to do it with.
type roleError struct {
	arn     string
	refused bool // by STS, which was reached
	err     error
}

func (e *roleError) Error() string { return "role " + e.arn + ": " + e.err.Error() }
func (e *roleError) Unwrap() error { return e.err }

// role gives the keys of an assumed role.
type role struct {
	arn  string
	base aws.CredentialsProvider
	sts  *stscreds.AssumeRoleProvider
}

// newRole assumes by the Region's own STS, with a session that is named after this host: CloudTrail
// of the logging account shows the name.
func newRole(cfg aws.Config, caller Caller) *role {
	return &role{arn: caller.RoleARN, base: cfg.Credentials, sts: stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), caller.RoleARN,
		func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = sessionName()
			if caller.ExternalID != "" {
				o.ExternalID = aws.String(caller.ExternalID)
			}
		})}
}

var notInSessionName = regexp.MustCompile(`[^\w+=,.@-]`)

// sessionName is at most 64 characters, of those that STS takes.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
func sessionName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	name := "perstack-shipper@" + notInSessionName.ReplaceAllString(host, "-")
	return name[:min(len(name), 64)]
}

// Retrieve implements aws.CredentialsProvider.
func (r *role) Retrieve(ctx context.Context) (aws.Credentials, error) {
	// Without credentials of one's own it is they that are missing, and not the role.
	if _, err := r.base.Retrieve(ctx); err != nil {
		return aws.Credentials{}, err
	}
	keys, err := r.sts.Retrieve(ctx)
	if err != nil {
		_, refused := errors.AsType[smithy.APIError](err)
		return aws.Credentials{}, &roleError{r.arn, refused, err}
	}
	return keys, nil
}

// diagnose says what went wrong and what to do.
func (e *roleError) diagnose() (cause, remedy string) {
	if !e.refused {
		return fmt.Sprintf("the role %s of --role-arn cannot be assumed, because STS cannot be reached (%s)", e.arn, oneLine(e.err.Error(), 200)),
			"check security groups and routes: a private subnet needs a NAT or a VPC endpoint for sts"
	}
	return fmt.Sprintf("the role %s of --role-arn cannot be assumed (%s)", e.arn, Reason(e.err)),
		"allow sts:AssumeRole on it to the task's role (deploy/iam-policy-assume.json), and let its trust policy name that role and --external-id"
}
