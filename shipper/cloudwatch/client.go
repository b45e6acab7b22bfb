// Package cloudwatch wraps the parts of the CloudWatch Logs API that this program uses: it puts a
// batch, creates a stream and its group, reads events back, and explains errors.
//
// Every call is one attempt with its own deadline. The SDK's retryer is off, because two layers of
// retries multiply. The caller retries: [Classify] tells it what an error means, and
// [Client.Explain] puts the error into words.
//
//	client.go                             Client: its options, and how it is made
//	transport.go, trace.go, proxy.go      HTTP: one attempt, what its answer reveals, proxies
//	credentials.go, role.go, identity.go  who makes the calls
//	put.go                                PutLogEvents
//	create.go, group.go                   streams and groups
//	read.go, pace.go                      reads events back, within the quotas
//	class.go, explain.go                  what an error means, and what to do about it
package cloudwatch

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/smithy-go/logging"
	"go.uber.org/zap"
)

// DefaultAttemptTimeout is the deadline of an attempt. 1 MB in 15 s is 70 KB/s, slower than any
// link an agent runs on.
const DefaultAttemptTimeout = 15 * time.Second

// DefaultParallel is the number of connections kept for reuse.
const DefaultParallel = 8

// Errors of [New] that the caller distinguishes, to name the option that is wrong.
var (
	ErrNoRegion = errors.New("no AWS Region: set --region or AWS_REGION")
	ErrRegion   = errors.New("not the name of an AWS Region")
	ErrEndpoint = errors.New("not an http or https URL")
	ErrProfile  = errors.New("no such profile")
)

// Use says what a Client is for. The remedies in [Client.Explain] depend on it, because the user
// must be able to carry them out.
type Use int

const (
	Writing Use = iota // ships, and creates missing streams and groups
	Filling            // ships to streams and groups that others create
	Reading            // reads events back
)

// Options configure a [Client].
type Options struct {
	Use   Use
	Group string // the log group of every call

	// If empty, the SDK takes these from AWS_REGION, AWS_ENDPOINT_URL_CLOUDWATCH_LOGS,
	// AWS_ENDPOINT_URL, AWS_PROFILE and the shared configuration.
	Region, Endpoint string
	Caller

	// Settings of a group that this client creates. An existing group is never changed.
	RetentionDays int // 0: forever
	KMSKeyID      string
	Tags          map[string]string // must not be modified after New

	// Transport sends the requests; nil means over TCP. Tests in simulated time set it, because
	// real network I/O would stop their clock.
	Transport http.RoundTripper

	AttemptTimeout time.Duration // 0: DefaultAttemptTimeout
	Parallel       int           // connections kept for reuse; 0: DefaultParallel
	Logger         *zap.Logger   // nil: no logging
}

// Caller says whose credentials sign the calls. The SDK chooses where a field is empty.
type Caller struct {
	Profile string `json:"profile,omitempty"` // in the shared configuration
	// RoleARN is a role to assume with the credentials at hand. ExternalID is the value that the
	// role's trust policy may ask for.
	RoleARN    string `json:"roleArn,omitempty"`
	ExternalID string `json:"externalId,omitempty"`
}

// Target is the destination of the batches, as far as it is known without a call. A journal made
// for one target must not be shipped to another.
type Target struct {
	Group, Region string
	Endpoint      string // "": AWS's own in that Region
	Account       string // 12 digits; "" until the credentials reveal it
}

// Client makes the calls. It is safe for concurrent use.
type Client struct {
	api         *cloudwatchlogs.Client
	credentials *credentials
	http        *httpClient
	log         *zap.Logger
	timeout     time.Duration
	use         Use

	regionSource            string
	group, region, endpoint string
	retentionDays           int32
	kmsKeyID                string
	tags                    map[string]string

	loopback      bool // the endpoint is on this machine
	gets, filters paced
}

// regionName matches a host label, because the Region is one in the service's address.
var regionName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

// New resolves the Region, the endpoint and the source of credentials. It reads the environment and
// the shared configuration files but makes no network call. Its error wraps ErrNoRegion, ErrRegion,
// ErrEndpoint or ErrProfile where one of them applies.
func New(ctx context.Context, o Options) (*Client, error) {
	if o.AttemptTimeout <= 0 {
		o.AttemptTimeout = DefaultAttemptTimeout
	}
	if o.Parallel <= 0 {
		o.Parallel = DefaultParallel
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}

	sdkLog := &sdkLogger{log: o.Logger}
	load := func(ctx context.Context) (aws.Config, error) { return loadConfig(ctx, o, sdkLog) }
	cfg, err := load(ctx)
	if missing, ok := errors.AsType[config.SharedConfigProfileNotExistError](err); ok {
		return nil, fmt.Errorf("%w: %q in %s or %s", ErrProfile, missing.Profile,
			cmp.Or(os.Getenv("AWS_CONFIG_FILE"), config.DefaultSharedConfigFilename()),
			cmp.Or(os.Getenv("AWS_SHARED_CREDENTIALS_FILE"), config.DefaultSharedCredentialsFilename()))
	}
	if err != nil {
		return nil, fmt.Errorf("AWS configuration: %w", cmp.Or(checkBundle(), err))
	}
	if cfg.Region == "" {
		return nil, ErrNoRegion
	}
	if !regionName.MatchString(cfg.Region) {
		return nil, fmt.Errorf("%q is %w: give one like eu-west-1", cfg.Region, ErrRegion)
	}

	c := &Client{
		credentials:   newCredentials(ctx, cfg, load),
		http:          newHTTPClient(cfg.HTTPClient, o.Transport, o.Parallel),
		log:           o.Logger,
		timeout:       o.AttemptTimeout,
		use:           o.Use,
		regionSource:  regionSource(cfg),
		group:         o.Group,
		region:        cfg.Region,
		retentionDays: int32(o.RetentionDays),
		kmsKeyID:      o.KMSKeyID,
		tags:          o.Tags,
	}
	// This must follow loading the configuration: the SDK applies AWS_CA_BUNDLE only to its own
	// kind of client.
	cfg.HTTPClient = c.http
	cfg.Credentials = c.credentials
	c.api = cloudwatchlogs.NewFromConfig(cfg, func(so *cloudwatchlogs.Options) {
		if o.Endpoint != "" {
			so.BaseEndpoint = aws.String(o.Endpoint)
		}
	})
	if endpoint := aws.ToString(c.api.Options().BaseEndpoint); endpoint != "" {
		if err := checkEndpoint(endpoint); err != nil {
			return nil, err
		}
		// A trailing slash does not make the endpoint another Target.
		c.endpoint = strings.TrimRight(endpoint, "/")
		c.loopback = isLoopback(endpoint)
	}
	return c, nil
}

func loadConfig(ctx context.Context, o Options, log logging.Logger) (aws.Config, error) {
	options := []func(*config.LoadOptions) error{
		config.WithLogger(log),
		// This covers the credential providers (metadata services, STS) too: only the caller
		// retries.
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
		// AWS_DEFAULTS_MODE=auto would query the metadata service here. This package sets what the
		// modes set (timeouts, retries).
		config.WithDefaultsMode(aws.DefaultsModeLegacy),
	}
	if o.Region != "" {
		options = append(options, config.WithRegion(o.Region))
	}
	if o.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(o.Profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err == nil && o.RoleARN != "" {
		cfg.Credentials = aws.NewCredentialsCache(newRole(cfg, o.Caller))
	}
	return cfg, err
}

// checkBundle returns what is wrong with the file in AWS_CA_BUNDLE, because the SDK names neither
// the variable nor the file.
func checkBundle() error {
	path := os.Getenv("AWS_CA_BUNDLE")
	if path == "" {
		return nil
	}
	bundle, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("AWS_CA_BUNDLE: %w", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(bundle) {
		return fmt.Errorf("AWS_CA_BUNDLE: %s has no PEM certificate", path)
	}
	return nil
}

func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("endpoint %q is %w: give one like http://127.0.0.1:4586", endpoint, ErrEndpoint)
	}
	return nil
}

// Target returns where batches go. Its Account may stay empty until the first call.
func (c *Client) Target() Target {
	return Target{Group: c.group, Region: c.region, Endpoint: c.endpoint, Account: c.credentials.account()}
}

// IsAWS reports whether calls go to AWS: to an endpoint that the SDK resolves from the Region, or
// to one with a name of AWS, such as a VPC endpoint.
func (c *Client) IsAWS() bool {
	if c.endpoint == "" {
		return true
	}
	u, err := url.Parse(c.endpoint)
	if err != nil { // cannot happen: New has parsed it
		return false
	}
	host := strings.ToLower(u.Hostname())
	for _, domain := range domains {
		if strings.HasSuffix(host, domain) {
			return true
		}
	}
	return false
}

// domains are the suffixes under which AWS's partitions have their services, including VPC
// endpoints.
// https://docs.aws.amazon.com/general/latest/gr/cwl_region.html
var domains = []string{".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".api.amazonwebservices.com.cn"}

// InvalidateCredentials makes the next call fetch credentials again. Call it after an error of
// class Credentials.
func (c *Client) InvalidateCredentials() { c.credentials.invalidate() }

// Close closes idle connections. Calls under way are not affected.
func (c *Client) Close() { c.http.closeIdle() }
