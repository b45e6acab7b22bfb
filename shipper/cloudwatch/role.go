package cloudwatch

// This file assumes a role, such as one of a central logging account, with the credentials at hand.

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

// roleError is an error of assuming a role with credentials that were found.
type roleError struct {
	arn     string
	refused bool // STS was reached and refused
	err     error
}

func (e *roleError) Error() string { return "role " + e.arn + ": " + e.err.Error() }
func (e *roleError) Unwrap() error { return e.err }

// role provides the keys of an assumed role.
type role struct {
	arn  string
	base aws.CredentialsProvider
	sts  *stscreds.AssumeRoleProvider
}

// newRole returns a provider that assumes the role through the Region's STS. The session is named
// after this host, and CloudTrail in the logging account shows that name.
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

// sessionName returns a name of at most 64 characters that STS accepts.
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
	// If the base credentials are missing, report those and not the role.
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

// diagnose returns what went wrong and what to do.
func (e *roleError) diagnose() (cause, remedy string) {
	if !e.refused {
		return fmt.Sprintf("the role %s (--role-arn) cannot be assumed, because STS cannot be reached (%s)", e.arn, oneLine(e.err.Error(), 200)),
			"check security groups and routes: a private subnet needs a NAT or a VPC endpoint for sts"
	}
	return fmt.Sprintf("the role %s (--role-arn) cannot be assumed (%s)", e.arn, Reason(e.err)),
		"allow the task's role to call sts:AssumeRole on it (deploy/iam-policy-assume.json), and name the task's role and --external-id in its trust policy"
}
