package cloudwatch

// Who calls, from where: what a check says before it tries anything.

import (
	"context"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Region is the Region of every call, and where it was found.
func (c *Client) Region() (name, source string) { return c.region, c.regionSource }

// regionSource says where the configuration found its Region.
func regionSource(cfg aws.Config) string {
	for _, source := range cfg.ConfigSources {
		switch source := source.(type) {
		case config.LoadOptions:
			if source.Region != "" {
				return "--region"
			}
		case config.EnvConfig:
			if source.Region == "" {
				continue
			}
			if os.Getenv("AWS_REGION") != "" {
				return "AWS_REGION"
			}
			return "AWS_DEFAULT_REGION"
		case config.SharedConfig:
			if source.Region != "" {
				return "profile " + source.Profile + " of the shared AWS configuration"
			}
		}
	}
	return "the AWS SDK"
}

// CredentialsInfo is what may be told of credentials.
type CredentialsInfo struct {
	Kind    string    // where they come from, for a person
	Expires time.Time // zero: they do not
}

// Credentials fetches credentials, if there are none yet, and says what they are.
func (c *Client) Credentials(ctx context.Context) (CredentialsInfo, error) {
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	keys, err := c.credentials.Retrieve(limited)
	if err != nil {
		return CredentialsInfo{}, err
	}
	info := CredentialsInfo{Kind: credentialsKind(keys.Source)}
	if keys.CanExpire {
		info.Expires = keys.Expires
	}
	return info, nil
}

// credentialsKinds are the SDK's names of the places where credentials come from, and what they are.
var credentialsKinds = []struct{ source, kind string }{
	{"EnvConfigCredentials", "environment variables"},
	{"SharedConfigCredentials", "keys in the shared AWS configuration"},
	{"CredentialsEndpointProvider", "the container's role"},
	{"EC2RoleProvider", "the instance's role"},
	{"AssumeRoleProvider", "a role that the profile assumes"},
	{"WebIdentityCredentials", "a role for a web identity token"},
	{"SSOProvider", "a single sign-on session"},
	{"ProcessProvider", "a credential process"},
}

func credentialsKind(source string) string {
	for _, k := range credentialsKinds {
		if strings.HasPrefix(source, k.source) {
			return k.kind
		}
	}
	return source
}

// Identity is who the credentials are of.
type Identity struct{ Account, ARN string }

// Identity asks STS who the credentials are of, which takes no permission.
func (c *Client) Identity(ctx context.Context) (Identity, error) {
	api := sts.NewFromConfig(c.config, func(o *sts.Options) {
		if o.BaseEndpoint == nil && c.endpoint != "" && !ofAWS(c.endpoint) {
			o.BaseEndpoint = &c.endpoint // one for trying out, which is all of AWS
		}
	})
	var out *sts.GetCallerIdentityOutput
	err := c.call(ctx, "GetCallerIdentity", expected{most: putAnswer.most, other: true}, func(ctx context.Context) (err error) {
		out, err = api.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		return err
	})
	if err != nil {
		return Identity{}, err
	}
	return Identity{Account: aws.ToString(out.Account), ARN: aws.ToString(out.Arn)}, nil
}

// ofAWS reports whether an endpoint is one of AWS's own.
func ofAWS(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	host := u.Hostname()
	for _, domain := range []string{"amazonaws.com", "amazonaws.com.cn", "api.aws"} {
		if strings.HasSuffix(host, "."+domain) {
			return true
		}
	}
	return false
}
