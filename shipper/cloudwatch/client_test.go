package cloudwatch

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// Where things are taken from: options first, then the environment, then the shared configuration.
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
		{"slash at the end", nil, Options{Region: "eu-west-1", Endpoint: "http://127.0.0.1:4586/"}, Target{Region: "eu-west-1", Endpoint: "http://127.0.0.1:4586"}, nil, ""},
		{"AWS itself", map[string]string{"AWS_REGION": "us-east-1"}, Options{}, Target{Region: "us-east-1"}, nil, ""},
		{"AWS_DEFAULT_REGION", map[string]string{"AWS_DEFAULT_REGION": "us-east-2"}, Options{}, Target{Region: "us-east-2"}, nil, ""},
		{"shared configuration", map[string]string{"AWS_CONFIG_FILE": configFile}, Options{}, Target{Region: "eu-north-1"}, nil, ""},
		{"profile", map[string]string{"AWS_CONFIG_FILE": configFile}, Options{Profile: "p"}, Target{Region: "ca-central-1", Endpoint: "http://127.0.0.1:7"}, nil, ""},
		{"AWS_PROFILE", map[string]string{"AWS_CONFIG_FILE": configFile, "AWS_PROFILE": "p"}, Options{}, Target{Region: "ca-central-1", Endpoint: "http://127.0.0.1:7"}, nil, ""},
		{"AWS_ENDPOINT_URL", map[string]string{"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:8/base"}, Options{},
			Target{Region: "us-east-1", Endpoint: "http://127.0.0.1:8/base"}, nil, ""},
		{"endpoint of the service", map[string]string{"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:8", "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": "https://localhost:9"},
			Options{}, Target{Region: "us-east-1", Endpoint: "https://localhost:9"}, nil, ""},
		{"mode that asks the metadata service", map[string]string{"AWS_REGION": "us-east-1", "AWS_DEFAULTS_MODE": "auto"}, Options{}, Target{Region: "us-east-1"}, nil, ""},

		{"no Region", nil, Options{Endpoint: "http://127.0.0.1:4586"}, Target{}, ErrNoRegion, "--region"},
		{"no name of a Region", nil, Options{Region: "eu west"}, Target{}, ErrRegion, `"eu west"`},
		{"Region with a dot", nil, Options{Region: "eu-west-1.evil.example"}, Target{}, ErrRegion, "evil"},
		{"endpoint without scheme", nil, Options{Region: "eu-west-1", Endpoint: "localhost:4586"}, Target{}, ErrEndpoint, `"localhost:4586"`},
		{"endpoint of another scheme", nil, Options{Region: "eu-west-1", Endpoint: "ftp://h"}, Target{}, ErrEndpoint, `"ftp://h"`},
		{"endpoint without host", nil, Options{Region: "eu-west-1", Endpoint: "http://"}, Target{}, ErrEndpoint, `"http://"`},
		{"endpoint that does not parse", nil, Options{Region: "eu-west-1", Endpoint: "http://a b"}, Target{}, ErrEndpoint, `"http://a b"`},
		{"endpoint of the environment", map[string]string{"AWS_ENDPOINT_URL": "nonsense"}, Options{Region: "eu-west-1"}, Target{}, ErrEndpoint, `"nonsense"`},
		{"no such profile", nil, Options{Region: "eu-west-1", Profile: "nobody"}, Target{}, nil, "nobody"},
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

// New is on the way of every start, also of a run of a few lines.
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
