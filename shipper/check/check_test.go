package check

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"go.uber.org/goleak"

	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/cwlocal/localtest"
	"perstack-shipper/shipper/testkit"
)

func TestMain(m *testing.M) {
	testkit.Isolate()
	for _, name := range []string{"AWS_REGION", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"} {
		os.Unsetenv(name)
	}
	goleak.VerifyTestMain(m)
}

const testGroup = "/perstack/test"

// serve starts an endpoint, which ends with the test.
func serve(t *testing.T, o cwlocal.Options) *testkit.World {
	t.Helper()
	return testkit.New(t, testGroup, testkit.Options{Options: o})
}

// run checks against an endpoint.
func run(t *testing.T, url string, change func(*cloudwatch.Options, *Options)) (found map[string]Result, works bool) {
	t.Helper()
	to := cloudwatch.Options{Group: testGroup, Region: "eu-west-1", Endpoint: url}
	o := Options{
		Create: true, Read: true, JournalDir: filepath.Join(t.TempDir(), "journal"), JournalNamed: true,
		Pause: time.Millisecond,
	}
	if change != nil {
		change(&to, &o)
	}
	client, err := cloudwatch.New(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	o.Client = client
	found = map[string]Result{}
	works = Run(t.Context(), o, func(r Result) {
		if _, twice := found[r.Name]; twice {
			t.Errorf("%s is reported twice", r.Name)
		}
		if (r.Status == Failed || r.Status == Warning) && r.Remedy == "" && r.Name != "clock" {
			t.Errorf("%+v has no remedy", r)
		}
		found[r.Name] = r
	})
	return found, works
}

// want checks one result.
func want(t *testing.T, found map[string]Result, name string, status Status, message string) {
	t.Helper()
	r, ok := found[name]
	if matched, err := regexp.MatchString(message, r.Message); !ok || r.Status != status || err != nil || !matched {
		t.Errorf("%s: %+v, want %s and %q (%v)", name, r, status, message, err)
	}
}

func TestGroupIsDescribed(t *testing.T) {
	const key = "arn:aws:kms:eu-west-1:000000000000:key/1"
	for _, c := range []struct {
		name      string
		create    cloudwatchlogs.CreateLogGroupInput
		retention int32
		policy    cwlocal.AccountRetention
		change    func(*cloudwatch.Options, *Options)
		results   map[string]Result
		works     bool
	}{
		{"plain", cloudwatchlogs.CreateLogGroupInput{}, 0, cwlocal.AccountRetention{}, nil, map[string]Result{
			"group":     {Status: OK, Message: `^"/perstack/test" exists$`},
			"class":     {Status: OK, Message: "^STANDARD$"},
			"retention": {Status: OK, Message: "^events are kept forever, by the group's own setting$"},
			"key":       {Status: OK, Message: "own encryption"},
			"created":   {Status: OK, Message: ", before its first event$"},
		}, true},
		{"retained", cloudwatchlogs.CreateLogGroupInput{}, 14, cwlocal.AccountRetention{}, nil, map[string]Result{
			"retention": {Status: OK, Message: "^events are kept for 14 days, by the group's own setting$"},
		}, true},
		{"retained otherwise", cloudwatchlogs.CreateLogGroupInput{}, 14, cwlocal.AccountRetention{},
			func(to *cloudwatch.Options, _ *Options) { to.RetentionDays = 30 }, map[string]Result{
				"retention": {Status: Warning, Message: "for 14 days, .* not for the 30 days of --retention-days$"},
			}, true},
		{"retained by the account", cloudwatchlogs.CreateLogGroupInput{}, 365, cwlocal.AccountRetention{Name: "thirty", Days: 30}, nil, map[string]Result{
			"retention": {Status: OK, Message: `^events are kept for 30 days, by the account's policy "thirty", which overrides`},
		}, true},
		{"kept by the account", cloudwatchlogs.CreateLogGroupInput{}, 1, cwlocal.AccountRetention{Name: "forever"}, nil, map[string]Result{
			"retention": {Status: OK, Message: `^events are kept forever, by the account's policy "forever"`},
		}, true},
		{"encrypted", cloudwatchlogs.CreateLogGroupInput{KmsKeyId: aws.String(key)}, 0, cwlocal.AccountRetention{}, nil, map[string]Result{
			"key": {Status: OK, Message: "^" + key + ", which the caller may use$"},
		}, true},
		{"infrequent access, with reading back", cloudwatchlogs.CreateLogGroupInput{LogGroupClass: types.LogGroupClassInfrequentAccess}, 0, cwlocal.AccountRetention{}, nil, map[string]Result{
			"class":             {Status: Failed, Message: "^INFREQUENT_ACCESS: its events cannot be read back, filtered or alarmed on$"},
			"logs:PutLogEvents": {Status: OK, Message: "^allowed"},
			"reading back":      {Status: Skipped, Message: "class INFREQUENT_ACCESS"},
		}, false},
		{"delivery, without reading back", cloudwatchlogs.CreateLogGroupInput{LogGroupClass: types.LogGroupClassDelivery}, 0, cwlocal.AccountRetention{},
			func(_ *cloudwatch.Options, o *Options) { o.Read = false }, map[string]Result{
				"class": {Status: Warning, Message: "^DELIVERY: .* and are kept for one day$"},
			}, true},
		{"essentials", cloudwatchlogs.CreateLogGroupInput{LogGroupClass: types.LogGroupClassEssentials}, 0, cwlocal.AccountRetention{}, nil, map[string]Result{
			"class": {Status: Warning, Message: "^ESSENTIALS"},
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := serve(t, cwlocal.Options{Retention: c.policy})
			c.create.LogGroupName = aws.String(testGroup)
			if _, err := w.API.CreateLogGroup(t.Context(), &c.create); err != nil {
				t.Fatal(err)
			}
			if c.retention > 0 {
				if _, err := w.API.PutRetentionPolicy(t.Context(), &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: aws.String(testGroup), RetentionInDays: &c.retention}); err != nil {
					t.Fatal(err)
				}
			}
			found, works := run(t, w.URL, c.change)
			for name, r := range c.results {
				want(t, found, name, r.Status, r.Message)
			}
			if works != c.works {
				t.Errorf("works: %t, want %t; %+v", works, c.works, found)
			}
		})
	}
}

// Logs Insights never shows events that are older than their group.
func TestEventsOlderThanTheGroup(t *testing.T) {
	w := serve(t, cwlocal.Options{})
	old := time.Now().Add(-time.Hour)
	if err := w.Put(t.Context(), testGroup, "job", old, "x"); err != nil {
		t.Fatal(err)
	}
	found, works := run(t, w.URL, nil)
	want(t, found, "created", Warning, "but some events are older, such as one of "+old.UTC().Format(time.RFC3339)+": Logs Insights never shows those$")
	found, _ = run(t, w.URL, func(_ *cloudwatch.Options, o *Options) { o.Read = false })
	want(t, found, "created", OK, "Logs Insights shows no older event$")
	if !works {
		t.Errorf("%+v", found)
	}
}

// If the caller may not use the group's key, the put is refused and the remedy names the key.
func TestKeyThatMayNotBeUsed(t *testing.T) {
	const key = "arn:aws:kms:eu-west-1:000000000000:key/1"
	w := serve(t, cwlocal.Options{Intercept: func(c *cwlocal.Call) cwlocal.Fault {
		if c.Action == "PutLogEvents" {
			return cwlocal.Fault{Code: "AccessDeniedException", Message: "The ciphertext refers to a key that you may not use"}
		}
		return cwlocal.Fault{}
	}})
	if _, err := w.API.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String(testGroup), KmsKeyId: aws.String(key)}); err != nil {
		t.Fatal(err)
	}
	found, _ := run(t, w.URL, nil)
	if r := found["logs:PutLogEvents"]; r.Status != Failed || !strings.Contains(r.Remedy, key) || !strings.Contains(r.Remedy, "UseTheKey") {
		t.Errorf("%+v", r)
	}
	want(t, found, "key", Warning, "^"+key+", but it is unknown whether the caller may use it")
}

// The credentials of a role have an expiry time.
func TestCredentialsThatExpire(t *testing.T) {
	expires := time.Now().Add(time.Hour)
	role := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"AccessKeyId":"AKID","SecretAccessKey":"secret","Token":"token","Expiration":"%s"}`, expires.UTC().Format(time.RFC3339))
	}))
	t.Cleanup(role.Close)
	w := serve(t, cwlocal.Options{})
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", role.URL)
	found, works := run(t, w.URL, nil)
	renewed := expires.Add(-5 * time.Minute).UTC().Format(time.RFC3339) // by the SDK
	want(t, found, "credentials", OK, `^the container's role, for at least 5[45]m\d+s, until `+renewed+`$`)
	if !works {
		t.Errorf("%+v", found)
	}
}

// A call whose error may pass is tried again, and reported if it keeps failing.
func TestTrying(t *testing.T) {
	fail := map[string]int64{"CreateLogStream": 2, "PutLogEvents": 1, "GetLogEvents": 2, "GetCallerIdentity": 1}
	w := serve(t, cwlocal.Options{Intercept: func(c *cwlocal.Call) cwlocal.Fault {
		if c.N <= fail[c.Action] {
			return localtest.Unavailable()
		}
		return cwlocal.Fault{}
	}})
	if found, works := run(t, w.URL, nil); !works {
		t.Errorf("%+v", found)
	}
	fail = map[string]int64{"PutLogEvents": 1000}
	found, works := run(t, w.URL, nil)
	want(t, found, "logs:PutLogEvents", Failed, "^ServiceUnavailable on logs:PutLogEvents")
	want(t, found, "logs:GetLogEvents", OK, "^allowed$")
	if works {
		t.Errorf("%+v", found)
	}
}

// A record that does not become readable is a failure.
func TestRecordIsNotReadable(t *testing.T) {
	w := serve(t, cwlocal.Options{ReadableAfter: time.Hour})
	found, works := run(t, w.URL, func(_ *cloudwatch.Options, o *Options) { o.Settle = 10 * time.Millisecond })
	want(t, found, "logs:GetLogEvents", Failed, "^allowed, but the record did not come back within 10ms$")
	if works {
		t.Errorf("%+v", found)
	}
}

// The endpoint's address and TLS version are reported.
func TestEndpoint(t *testing.T) {
	server, err := cwlocal.New(cwlocal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(server)
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	s.StartTLS()
	t.Cleanup(s.Close)
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	t.Setenv("AWS_CA_BUNDLE", bundle)
	found, works := run(t, s.URL, nil)
	want(t, found, "endpoint", OK, `^https://127\.0\.0\.1:\d+ \(127\.0\.0\.1:\d+, TLS 1\.3\) answers in `)
	if !works {
		t.Errorf("%+v", found)
	}
}

// The source of the Region is reported.
func TestRegion(t *testing.T) {
	w := serve(t, cwlocal.Options{})
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte("[profile work]\nregion = eu-central-1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", file)
	for _, c := range []struct {
		env     map[string]string
		options cloudwatch.Options
		want    string
	}{
		{nil, cloudwatch.Options{Region: "eu-west-1"}, "^eu-west-1, from --region$"},
		{map[string]string{"AWS_REGION": "eu-west-2"}, cloudwatch.Options{}, "^eu-west-2, from AWS_REGION$"},
		{map[string]string{"AWS_DEFAULT_REGION": "eu-west-3"}, cloudwatch.Options{}, "^eu-west-3, from AWS_DEFAULT_REGION$"},
		{nil, cloudwatch.Options{Caller: cloudwatch.Caller{Profile: "work"}}, "^eu-central-1, from profile work in the shared AWS configuration$"},
		{map[string]string{"AWS_REGION": "eu-west-2"}, cloudwatch.Options{Region: "eu-west-1"}, "^eu-west-1, from --region$"},
	} {
		t.Run(c.want, func(t *testing.T) {
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			found, _ := run(t, w.URL, func(to *cloudwatch.Options, _ *Options) { to.Region, to.Profile = c.options.Region, c.options.Profile })
			want(t, found, "region", OK, c.want)
		})
	}
}

func TestJournalFolder(t *testing.T) {
	w := serve(t, cwlocal.Options{})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	below := filepath.Join(file, "journal")
	for _, c := range []struct {
		name   string
		change func(*Options)
		status Status
		says   string
	}{
		{"fine", func(*Options) {}, OK, "/journal can be written, "},
		{"below a file", func(o *Options) { o.JournalDir = below }, Failed, "file"},
		{"the default one", func(o *Options) { o.JournalDir, o.JournalNamed = below, false }, Warning, "the input would be kept in memory"},
		{"no folder", func(o *Options) { o.JournalDir = file }, Failed, "file"},
		{"the container's", func(o *Options) { o.Dies = func(string) bool { return true } }, Warning, "dies with it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, works := run(t, w.URL, func(_ *cloudwatch.Options, o *Options) { c.change(o) })
			want(t, found, "journal", c.status, c.says)
			if works != (c.status != Failed) {
				t.Errorf("works: %t; %+v", works, found)
			}
		})
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1024: "1.0 KiB", 3 << 29: "1.5 GiB", 1 << 50: "1024.0 TiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
