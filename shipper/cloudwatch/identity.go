package cloudwatch

// This file finds out who makes the calls, and from where. The check command shows it before it
// tries anything.

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go"
)

// Region returns the Region of every call, and where it was configured.
func (c *Client) Region() (name, source string) { return c.region, c.regionSource }

// regionSource returns where the configuration found its Region.
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
				return "profile " + source.Profile + " in the shared AWS configuration"
			}
		}
	}
	return "the AWS SDK"
}

// CredentialsInfo is what may be shown of credentials.
type CredentialsInfo struct {
	Kind    string    // a description of where they come from
	Expires time.Time // zero: never
}

// Credentials fetches credentials, if there are none yet, and describes them.
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

// credentialsKinds maps the SDK's names for sources of credentials to descriptions.
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

// Identity is whom the credentials belong to.
type Identity struct{ Account, ARN string }

// whoAmI is the request body of GetCallerIdentity, which needs no permission. It is sent by hand,
// so that it goes through this client's transport and errors.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
const whoAmI = "Action=GetCallerIdentity&Version=2011-06-15"

// Identity asks STS whom the credentials belong to.
func (c *Client) Identity(ctx context.Context) (who Identity, err error) {
	err = c.call(ctx, "GetCallerIdentity", expected{most: putAnswer.most, other: true}, func(ctx context.Context) (err error) {
		who, err = c.identity(ctx)
		return err
	})
	return who, err
}

func (c *Client) identity(ctx context.Context) (Identity, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.stsEndpoint(), strings.NewReader(whoAmI))
	if err != nil {
		return Identity{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	keys, err := c.credentials.Retrieve(ctx)
	if err != nil {
		return Identity{}, err
	}
	sum := sha256.Sum256([]byte(whoAmI))
	if err := v4.NewSigner().SignHTTP(ctx, keys, req, hex.EncodeToString(sum[:]), "sts", c.region, time.Now()); err != nil {
		return Identity{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return Identity{}, err
	}
	var answer struct {
		ARN     string `xml:"GetCallerIdentityResult>Arn"`
		Account string `xml:"GetCallerIdentityResult>Account"`
		Code    string `xml:"Error>Code"`
		Message string `xml:"Error>Message"`
	}
	err = xml.NewDecoder(resp.Body).Decode(&answer)
	switch {
	case err == nil && answer.Code != "":
		return Identity{}, &smithy.GenericAPIError{Code: answer.Code, Message: answer.Message}
	case err != nil || answer.ARN == "":
		return Identity{}, &foreignError{status: resp.StatusCode, why: "no STS answer"}
	}
	return Identity{Account: answer.Account, ARN: answer.ARN}, nil
}

// stsEndpoint returns the address of STS: the one that the SDK would use, or the endpoint of all
// other calls if that is not AWS's, because an endpoint for tests stands in for all of AWS.
func (c *Client) stsEndpoint() string {
	if own := cmp.Or(os.Getenv("AWS_ENDPOINT_URL_STS"), os.Getenv("AWS_ENDPOINT_URL")); own != "" {
		return own
	}
	if c.endpoint != "" && !ofAWS(c.endpoint) {
		return c.endpoint
	}
	domain := "amazonaws.com"
	if strings.HasPrefix(c.region, "cn-") {
		domain = "amazonaws.com.cn"
	}
	return fmt.Sprintf("https://sts.%s.%s/", c.region, domain)
}

// ofAWS reports whether an endpoint belongs to AWS.
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
