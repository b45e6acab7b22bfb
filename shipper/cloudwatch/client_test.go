package cloudwatch

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestNewResolves checks the precedence: options first, then the environment, then the shared
// configuration.
func TestNewResolves(t *testing.T) {
	configFile := writeFile(t, "config", "[default]\nregion=eu-north-1\n[profile p]\nregion=ca-central-1\nendpoint_url=http://127.0.0.1:7\n")
	for _, tc := range []struct {
		name    string
		env     map[string]string
		options Options
		want    Target
		err     error
		says    string
	}{
		{"options", map[string]string{"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
			Options{Region: "eu-west-1", Endpoint: "http://127.0.0.1:4586"}, Target{Region: "eu-west-1", Endpoint: "http://127.0.0.1:4586"}, nil, ""},
		{"trailing slash", nil, Options{Region: "eu-west-1", Endpoint: "http://127.0.0.1:4586/"}, Target{Region: "eu-west-1", Endpoint: "http://127.0.0.1:4586"}, nil, ""},
		{"AWS itself", map[string]string{"AWS_REGION": "us-east-1"}, Options{}, Target{Region: "us-east-1"}, nil, ""},
		{"AWS_DEFAULT_REGION", map[string]string{"AWS_DEFAULT_REGION": "us-east-2"}, Options{}, Target{Region: "us-east-2"}, nil, ""},
		{"shared configuration", map[string]string{"AWS_CONFIG_FILE": configFile}, Options{}, Target{Region: "eu-north-1"}, nil, ""},
		{"profile", map[string]string{"AWS_CONFIG_FILE": configFile}, Options{Caller: Caller{Profile: "p"}}, Target{Region: "ca-central-1", Endpoint: "http://127.0.0.1:7"}, nil, ""},
		{"AWS_PROFILE", map[string]string{"AWS_CONFIG_FILE": configFile, "AWS_PROFILE": "p"}, Options{}, Target{Region: "ca-central-1", Endpoint: "http://127.0.0.1:7"}, nil, ""},
		{"AWS_ENDPOINT_URL", map[string]string{"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:8/base"}, Options{},
			Target{Region: "us-east-1", Endpoint: "http://127.0.0.1:8/base"}, nil, ""},
		{"endpoint of the service", map[string]string{"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:8", "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": "https://localhost:9"},
			Options{}, Target{Region: "us-east-1", Endpoint: "https://localhost:9"}, nil, ""},
		{"mode that asks the metadata service", map[string]string{"AWS_REGION": "us-east-1", "AWS_DEFAULTS_MODE": "auto"}, Options{}, Target{Region: "us-east-1"}, nil, ""},

		{"no Region", nil, Options{Endpoint: "http://127.0.0.1:4586"}, Target{}, ErrNoRegion, "--region"},
		{"not the name of a Region", nil, Options{Region: "eu west"}, Target{}, ErrRegion, `"eu west"`},
		{"Region with a dot", nil, Options{Region: "eu-west-1.evil.example"}, Target{}, ErrRegion, "evil"},
		{"endpoint without scheme", nil, Options{Region: "eu-west-1", Endpoint: "localhost:4586"}, Target{}, ErrEndpoint, `"localhost:4586"`},
		{"endpoint with another scheme", nil, Options{Region: "eu-west-1", Endpoint: "ftp://h"}, Target{}, ErrEndpoint, `"ftp://h"`},
		{"endpoint without host", nil, Options{Region: "eu-west-1", Endpoint: "http://"}, Target{}, ErrEndpoint, `"http://"`},
		{"endpoint that does not parse", nil, Options{Region: "eu-west-1", Endpoint: "http://a b"}, Target{}, ErrEndpoint, `"http://a b"`},
		{"endpoint in the environment", map[string]string{"AWS_ENDPOINT_URL": "nonsense"}, Options{Region: "eu-west-1"}, Target{}, ErrEndpoint, `"nonsense"`},
		{"no such profile", nil, Options{Region: "eu-west-1", Caller: Caller{Profile: "nobody"}}, Target{}, nil, "nobody"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			withKeys(t)
			for k, v := range tc.env {
				t.Setenv(k, v)
			}
			tc.options.Group, tc.want.Group = "g", "g"
			c, err := New(context.Background(), tc.options)
			if tc.says != "" {
				if err == nil || !strings.Contains(err.Error(), tc.says) || tc.err != nil && !errors.Is(err, tc.err) {
					t.Fatalf("error %v, want %v saying %s", err, tc.err, tc.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if got := c.Target(); got != tc.want {
				t.Errorf("%+v, want %+v", got, tc.want)
			}
		})
	}
}

// TestIsAWS distinguishes AWS's own endpoints from stand-ins.
func TestIsAWS(t *testing.T) {
	for endpoint, want := range map[string]bool{
		"":                                     true,
		"https://logs.eu-west-1.amazonaws.com": true,
		"https://logs-fips.us-gov-west-1.amazonaws.com:443/":                        true,
		"https://logs.cn-north-1.amazonaws.com.cn":                                  true,
		"https://logs.eu-west-1.api.aws":                                            true,
		"https://vpce-0123456789abcdef0-abcdefgh.logs.eu-west-1.vpce.amazonaws.com": true,
		"https://LOGS.EU-WEST-1.AMAZONAWS.COM":                                      true,
		"http://127.0.0.1:4586":                                                     false,
		"https://localhost.localstack.cloud:4566":                                   false,
		"https://logs.eu-west-1.amazonaws.com.example":                              false,
		"https://example.com/logs.eu-west-1.amazonaws.com":                          false,
		"https://notamazonaws.com":                                                  false,
	} {
		withKeys(t)
		c, err := New(context.Background(), Options{Group: "g", Region: "eu-west-1", Endpoint: endpoint})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.IsAWS(); got != want {
			t.Errorf("%q: %t", endpoint, got)
		}
		c.Close()
	}
}

// TestNewIsFast bounds the time of New, which every start pays, even a run of a few lines.
func TestNewIsFast(t *testing.T) {
	withKeys(t)
	best := time.Hour
	for range 5 {
		start := time.Now()
		c, err := New(context.Background(), Options{Region: "eu-west-1"})
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		best = min(best, time.Since(start))
	}
	if best > 20*time.Millisecond {
		t.Errorf("New took %v", best)
	}
}

// TestSTSEndpoint checks that STS is called where the SDK would call it, or at the endpoint for
// tests that serves everything else.
func TestSTSEndpoint(t *testing.T) {
	for _, tc := range []struct{ region, endpoint, own, want string }{
		{"eu-west-1", "", "", "https://sts.eu-west-1.amazonaws.com/"},
		{"cn-north-1", "", "", "https://sts.cn-north-1.amazonaws.com.cn/"},
		{"eu-west-1", "http://127.0.0.1:4586", "", "http://127.0.0.1:4586"},
		{"eu-west-1", "https://vpce-1.logs.eu-west-1.vpce.amazonaws.com", "", "https://sts.eu-west-1.amazonaws.com/"},
		{"eu-west-1", "http://127.0.0.1:4586", "http://127.0.0.1:1", "http://127.0.0.1:1"},
	} {
		t.Setenv("AWS_ENDPOINT_URL_STS", tc.own)
		c := newClient(t, tc.endpoint, func(o *Options) { o.Region = tc.region })
		if got := c.stsEndpoint(); got != tc.want {
			t.Errorf("%+v: %s", tc, got)
		}
	}
}

// TestIdentity checks that the request is signed for STS, and that an answer from something else is
// not taken for a refusal.
func TestIdentity(t *testing.T) {
	answer := `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>` +
		`<Arn>arn:aws:sts::111122223333:assumed-role/task/0123</Arn><UserId>A:0123</UserId><Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`
	status := 200
	s := serve(t, func(w http.ResponseWriter, r request) {
		sum := sha256.Sum256(r.body)
		if !strings.Contains(r.Header.Get("Authorization"), "/eu-west-1/sts/aws4_request") || string(r.body) != whoAmI || signatureOf(t, r, sum[:]) == "" {
			t.Errorf("%s %s", r.Header, r.body)
		}
		w.WriteHeader(status)
		io.WriteString(w, answer)
	})
	c := newClient(t, s.URL)
	who, err := c.Identity(context.Background())
	if err != nil || who != (Identity{"111122223333", "arn:aws:sts::111122223333:assumed-role/task/0123"}) {
		t.Errorf("%+v %v", who, err)
	}
	status, answer = 403, `<ErrorResponse><Error><Code>InvalidClientTokenId</Code><Message>no such token</Message></Error></ErrorResponse>`
	if _, err = c.Identity(context.Background()); Classify(err) != Credentials || Reason(err) != "InvalidClientTokenId: no such token" {
		t.Errorf("%v: %v", Classify(err), err)
	}
	status, answer = 200, `<html><body>Sign in</body></html>`
	if _, err = c.Identity(context.Background()); Classify(err) != Retry || Reason(err) != "HTTP 200 with no STS answer" {
		t.Errorf("%v: %v", Classify(err), err)
	}
}
