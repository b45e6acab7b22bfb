package main

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"

	"perstack-shipper/config"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/cwlocal/localtest"
)

var flagName = regexp.MustCompile(`--([a-z][a-z-]+)`)

// TestRemediesNameOptionsOfTheCommand shows that a remedy only names options of the command that
// prints it.
func TestRemediesNameOptionsOfTheCommand(t *testing.T) {
	var fault cwlocal.Fault
	url := newObservedWorld(t, cwlocal.Options{Intercept: func(*cwlocal.Call) cwlocal.Fault { return fault }}).URL
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	page := http.Header{"X-Amzn-Errortype": nil, "X-Amzn-Requestid": nil, "Content-Type": {"text/html"}}
	faults := map[string]cwlocal.Fault{
		"denied": {Code: "AccessDeniedException"}, "missing": {Code: "ResourceNotFoundException"}, "throttled": localtest.Throttle(),
		"refused": {Code: "InvalidParameterException"}, "expired": {Code: "ExpiredTokenException"}, "broken": localtest.Unavailable(),
		"a page": {Status: 200, Header: page, Body: []byte("<html>")}, "a proxy": {Status: 403, Header: page, Body: []byte("<html>")},
	}
	target := config.Target{LogGroup: "g", AWS: config.AWS{Region: "eu-west-1", EndpointURL: url}}
	nowhere := target
	nowhere.EndpointURL = "http://127.0.0.1:1"
	writes := map[string]func(*cloudwatch.Client) error{
		"CreateLogStream": func(c *cloudwatch.Client) error { return c.CreateStream(t.Context(), "s") },
		"CreateLogGroup":  func(c *cloudwatch.Client) error { _, err := c.CreateGroup(t.Context()); return err },
	}
	reads := map[string]func(*cloudwatch.Client) error{
		"GetLogEvents": func(c *cloudwatch.Client) error {
			_, _, _, err := c.EventsPage(t.Context(), "s", cloudwatch.Selection{}, "")
			return err
		},
		"DescribeLogStreams": func(c *cloudwatch.Client) error { _, _, err := c.StreamsPage(t.Context(), "", ""); return err },
		"FilterLogEvents": func(c *cloudwatch.Client) error {
			_, _, err := c.FilterPage(t.Context(), "", "", cloudwatch.Selection{}, "")
			return err
		},
	}
	creating := config.Creation{Create: true, KMSKeyID: "arn:aws:kms:eu-west-1:111122223333:key/1"}
	for _, c := range []struct {
		command string
		connect func(config.Target) (*cloudwatch.Client, error)
		calls   map[string]func(*cloudwatch.Client) error
	}{
		{"ship", func(to config.Target) (*cloudwatch.Client, error) {
			return connect(t.Context(), to, creating, zap.NewNop())
		}, writes},
		{"exec", func(to config.Target) (*cloudwatch.Client, error) {
			return connect(t.Context(), to, config.Creation{}, zap.NewNop())
		}, writes},
		{"resume", func(to config.Target) (*cloudwatch.Client, error) {
			return connect(t.Context(), to, creating, zap.NewNop())
		}, writes},
		{"logs", func(to config.Target) (*cloudwatch.Client, error) {
			return connectReader(t.Context(), to, zap.NewNop())
		}, reads},
	} {
		parsed, err := config.Parse([]string{c.command, "--help"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		has := flagName.FindAllString(strings.ReplaceAll(parsed.(*config.Help).Text, "--[no-]", "--no-"), -1)
		check := func(name string, to config.Target) {
			client, err := c.connect(to)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			for action, call := range c.calls {
				err := call(client)
				if err == nil {
					t.Fatalf("%s: %s succeeds, want an error", name, action)
				}
				line := client.Explain(err, action, "s")
				for _, flag := range flagName.FindAllString(line, -1) {
					if !slices.Contains(has, flag) {
						t.Errorf("%s has no option %s: %s", c.command, flag, line)
					}
				}
				if read := c.command == "logs"; strings.Contains(line, "iam-policy") && strings.Contains(line, "iam-policy-read") != read {
					t.Errorf("the remedy for %s names the wrong policy: %s", c.command, line)
				}
			}
		}
		for name, f := range faults {
			fault = f
			check(name, target)
		}
		check("nobody listens", nowhere)
		t.Run(c.command+" without credentials", func(t *testing.T) {
			for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
				t.Setenv(name, "")
			}
			t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			t.Setenv("AWS_CONFIG_FILE", "/dev/null")
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
			check("no credentials", target)
		})
	}
}
