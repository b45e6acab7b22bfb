package cloudwatch

// This file says where the keys come from: the SDK's own chain and cache, with three additions.
// Errors in the chain are marked, so that a refusal by a credentials service is not taken for one
// by CloudWatch. The account is remembered. Invalidating also rereads the shared files, which the
// SDK reads only once, so that keys renewed or added there later are found.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	smithy "github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	"go.uber.org/zap"

	"perstack-shipper/shipper/loglimit"
)

// credentialsError marks an error of getting credentials, before any call was made with them.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return "AWS credentials: " + e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// reason returns the SDK's error in one line. For an answer without an error code, such as a
// proxy's, the SDK says only ": ", so reason adds the status.
func (e *credentialsError) reason() string {
	text := oneLine(e.err.Error(), 300)
	if answer, ok := errors.AsType[interface {
		error
		ErrorCode() string
		HTTPStatusCode() int
	}](e.err); ok && answer.ErrorCode() == "" {
		text = strings.TrimRight(text, ":, ") + fmt.Sprintf(": HTTP %d", answer.HTTPStatusCode())
	}
	return text
}

// remedy returns what to do, which depends on where the SDK looked.
func (e *credentialsError) remedy() string {
	const use = "use a task role, --profile, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
	if _, ok := errors.AsType[*processcreds.ProviderError](e.err); ok {
		return "run the profile's credential_process by hand to see what it prints"
	}
	if operation, ok := errors.AsType[*smithy.OperationError](e.err); ok {
		switch {
		case operation.Service() == "ec2imds":
			return use + "; in a container on EC2, the metadata service needs a hop limit of 2"
		case operation.Operation() == "AssumeRoleWithWebIdentity":
			return "check AWS_ROLE_ARN, and that its trust policy names the issuer of the token in AWS_WEB_IDENTITY_TOKEN_FILE"
		}
	}
	switch {
	case os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != "":
		return "check that the file in AWS_WEB_IDENTITY_TOKEN_FILE exists and can be read"
	case os.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != "" && cmp.Or(os.Getenv("HTTP_PROXY"), os.Getenv("http_proxy")) != "":
		return "check that the task has a task role, and add 169.254.170.2 to NO_PROXY: HTTP_PROXY sends the request for its credentials to a proxy"
	case os.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != "" || os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI") != "":
		return "check that the task has a task role, or the pod an identity, and that the container may read its token file"
	}
	return use
}

type credentials struct {
	load        func(context.Context) (aws.Config, error)
	lastAccount atomic.Pointer[string]

	mu    sync.Mutex // puts to several streams run in parallel; guards the fields below
	cache *aws.CredentialsCache
	stale bool // the configuration must be read again before the next call
}

func newCredentials(ctx context.Context, cfg aws.Config, load func(context.Context) (aws.Config, error)) *credentials {
	c := &credentials{load: load, cache: cacheOf(cfg)}
	if fixed(c.cache) {
		// Fixed keys are available without a call and may name their account.
		if keys, err := c.cache.Retrieve(ctx); err == nil {
			c.remember(keys)
		}
	}
	return c
}

func cacheOf(cfg aws.Config) *aws.CredentialsCache {
	if cache, ok := cfg.Credentials.(*aws.CredentialsCache); ok {
		return cache
	}
	return aws.NewCredentialsCache(cfg.Credentials)
}

// fixed reports whether the keys were in the environment or the shared files when the configuration
// was read.
func fixed(cache *aws.CredentialsCache) bool {
	return aws.IsCredentialsProvider(cache, awscredentials.StaticCredentialsProvider{})
}

// Retrieve implements aws.CredentialsProvider.
func (c *credentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	keys, err := c.current(ctx).Retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, &credentialsError{err}
	}
	if !keys.HasKeys() {
		return aws.Credentials{}, &credentialsError{fmt.Errorf("%s gave no keys", keys.Source)}
	}
	c.remember(keys)
	return keys, nil
}

func (c *credentials) current(ctx context.Context) *aws.CredentialsCache {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stale {
		c.stale = false
		// A file that is being written may not parse, or may have no keys yet. The old keys stay in
		// that case, and the service judges them.
		if cfg, err := c.load(ctx); err == nil {
			if cache := cacheOf(cfg); fixed(cache) || !fixed(c.cache) {
				c.cache = cache
			}
		}
	}
	return c.cache
}

func (c *credentials) invalidate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cache.Invalidate()
	c.stale = true
}

func (c *credentials) remember(keys aws.Credentials) {
	if keys.AccountID != "" {
		c.lastAccount.Store(&keys.AccountID)
	}
}

func (c *credentials) account() string {
	if a := c.lastAccount.Load(); a != nil {
		return *a
	}
	return ""
}

// ProviderSources implements aws.CredentialProviderSource, which the SDK uses for its User-Agent.
func (c *credentials) ProviderSources() []aws.CredentialSource {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cache.ProviderSources()
}

// IsCredentialsProvider tells the SDK what kind of provider this one wraps.
func (c *credentials) IsCredentialsProvider(target aws.CredentialsProvider) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return aws.IsCredentialsProvider(c.cache, target)
}

// sdkLogger passes the SDK's messages to the program's log; by default the SDK writes them to
// stderr. Each kind of warning is logged at most once a minute, because every call without
// credentials repeats the same ones.
type sdkLogger struct {
	log *zap.Logger

	mu      sync.Mutex // calls run in parallel; guards limiter
	limiter loglimit.Limiter
}

// Logf logs what the SDK reports: warnings at most as often as limiter allows, the rest as debug.
func (l *sdkLogger) Logf(class logging.Classification, format string, values ...any) {
	say := l.log.Debug
	if class == logging.Warn && l.may(format) {
		say = l.log.Warn
	}
	say("AWS SDK: " + fmt.Sprintf(format, values...))
}

// may reports whether a kind of warning may be logged now, and if so, records that it was.
func (l *sdkLogger) may(kind string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limiter.Allow(kind, time.Now())
}
