// Package cloudwatch is the CloudWatch Logs API as this program needs it: put a batch, create a
// stream and its group, read back, and say what each error means.
//
// Every call is one attempt with a deadline of its own: the SDK's retryer is off, because two retry
// layers multiply each other. Retrying is the caller's, who asks Classify what an error means and
// Explain how to say it.
//
//	client.go                             Client: its options, and how it is made
//	transport.go, trace.go, proxy.go      HTTP: one attempt, what is learnt from its answer, proxies
//	credentials.go, role.go, identity.go  who calls
//	put.go                                PutLogEvents
//	create.go, group.go                   streams and groups
//	read.go, pace.go                      reading back, within the quotas
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

// DefaultAttemptTimeout is the deadline of an attempt: 1 MB in 15 s is 70 KB/s, less than any link
// that an agent runs on.
const DefaultAttemptTimeout = 15 * time.Second

// DefaultParallel is the number of connections kept for reuse.
const DefaultParallel = 8

// Errors of New that the caller tells apart, to name the option that is wrong.
var (
	ErrNoRegion = errors.New("no AWS Region: give --region or set AWS_REGION")
	ErrRegion   = errors.New("not the name of an AWS Region")
	ErrEndpoint = errors.New("not an http or https URL")
	ErrProfile  = errors.New("no such profile")
)

// Use is what a Client is for. Explain's remedies depend on it: they must be ones that its user
// has.
type Use int

const (
	Writing Use = iota // ships, and creates what is missing
	Filling            // ships to what somebody else has created
	Reading            // reads back
)

// Options say what a Client talks to and how.
type Options struct {
	Use   Use
	Group string // the log group of every call

	// Empty: what the SDK finds in AWS_REGION, AWS_ENDPOINT_URL_CLOUDWATCH_LOGS, AWS_ENDPOINT_URL,
	// AWS_PROFILE and the shared configuration.
	Region, Endpoint string
	Caller

	// What a group created by this client gets. A group that exists is never changed.
	RetentionDays int               // 0: kept for ever
	KMSKeyID      string            // ARN of the key; "": the service's own encryption
	Tags          map[string]string // the Client reads it, the caller leaves it alone

	// Transport sends the requests; nil: over TCP. It is for tests in simulated time, which a real
	// network would stop.
	Transport http.RoundTripper

	AttemptTimeout time.Duration // 0: DefaultAttemptTimeout
	Parallel       int           // connections kept for reuse; 0: DefaultParallel
	Logger         *zap.Logger   // nil: nothing is logged
}

// Caller says as whom the calls are made. What is empty is left to the SDK.
type Caller struct {
	Profile string `json:"profile,omitempty"` // of the shared configuration
	// RoleARN is the role that is assumed with the credentials that there are, and ExternalID what
	// the role's trust policy may ask for.
	RoleARN    string `json:"roleArn,omitempty"`
	ExternalID string `json:"externalId,omitempty"`
}

// Target is where the batches go, as far as it is known without a call. Journals of one target must
// not be shipped to another.
type Target struct {
	Group, Region string
	Endpoint      string // "": AWS's own for that Region
	Account       string // 12 digits; "" as long as the credentials have not said it
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

// A Region is a host label of the service's address.
var regionName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

// New resolves Region, endpoint and the source of credentials. It reads the environment and the
// shared configuration files, and makes no network call. The error wraps ErrNoRegion, ErrRegion,
// ErrEndpoint or ErrProfile where it is one of those.
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
	// After the configuration is loaded: AWS_CA_BUNDLE is put into the SDK's own kind of client
	// only.
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
		c.endpoint = strings.TrimRight(endpoint, "/") // a slash at the end makes no other Target
		c.loopback = isLoopback(endpoint)
	}
	return c, nil
}

func loadConfig(ctx context.Context, o Options, log logging.Logger) (aws.Config, error) {
	options := []func(*config.LoadOptions) error{
		config.WithLogger(log),
		// Also for the providers of credentials (metadata services, STS): the caller's retries are
		// the only ones.
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
		// AWS_DEFAULTS_MODE=auto would ask the metadata service right here; what the modes set
		// (timeouts, retries) is set by this package.
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

// checkBundle returns what is wrong with the file of AWS_CA_BUNDLE: the SDK names neither.
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
		return fmt.Errorf("AWS_CA_BUNDLE: %s has no certificate in PEM form", path)
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

// Target says where batches go. Account may become known only with the first call.
func (c *Client) Target() Target {
	return Target{Group: c.group, Region: c.region, Endpoint: c.endpoint, Account: c.credentials.account()}
}

// IsAWS reports whether calls go to an endpoint of AWS's own: one that the SDK resolves from the
// Region, or one that was given by a name of AWS, as a VPC endpoint is.
func (c *Client) IsAWS() bool {
	if c.endpoint == "" {
		return true
	}
	u, err := url.Parse(c.endpoint)
	if err != nil { // New has looked at it
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

// domains are those under which AWS's partitions have their services, VPC endpoints included.
// https://docs.aws.amazon.com/general/latest/gr/cwl_region.html
var domains = []string{".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".api.amazonwebservices.com.cn"}

// InvalidateCredentials has the next call fetch credentials anew: for after an error of class
// Credentials.
func (c *Client) InvalidateCredentials() { c.credentials.invalidate() }

// Close closes the connections that wait to be used again. Calls under way are left alone.
func (c *Client) Close() { c.http.closeIdle() }
