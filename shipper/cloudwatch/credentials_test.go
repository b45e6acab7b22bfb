package cloudwatch

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/smithy-go/logging"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// without removes variables from a test's environment.
func without(t testing.TB, names ...string) {
	for _, name := range names {
		t.Setenv(name, "") // so that it is restored
		os.Unsetenv(name)
	}
}

// keyless returns a client that has only the credentials in the environment.
func keyless(t testing.TB, endpoint string) *Client {
	t.Helper()
	without(t, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
	c, err := New(context.Background(), Options{Group: "/perstack/test", Region: "eu-west-1", Endpoint: endpoint, AttemptTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// refusing is a service that accepts a single access key and refuses all others with code.
func refusing(t testing.TB, good, code string) *httptest.Server {
	return serve(t, func(w http.ResponseWriter, r request) {
		if !strings.Contains(r.Header.Get("Authorization"), "Credential="+good+"/") {
			fail(w, 400, code, "The security token included in the request is expired")
			return
		}
		w.Write([]byte("{}"))
	})
}

// TestExpiredTokenIsRenewed checks that the container's credentials (ECS, EKS) are fetched again
// after InvalidateCredentials, and only then.
func TestExpiredTokenIsRenewed(t *testing.T) {
	var asked atomic.Int64
	container := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "secret" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, `{"AccessKeyId":"KEY%d","SecretAccessKey":"s","Token":"t","AccountId":"111122223333","Expiration":%q}`,
			asked.Add(1), time.Now().Add(6*time.Hour).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(container.Close)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.URL)
	t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "secret")

	for _, code := range []string{"ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException", "RequestExpired"} {
		asked.Store(0)
		c := keyless(t, refusing(t, "KEY2", code).URL)
		if asked.Load() != 0 {
			t.Fatal("New asked for credentials")
		}
		for range 2 {
			_, err := c.Put(context.Background(), "job", bodyOf("x"))
			if Classify(err) != Credentials || !Unreachable(err) || Ambiguous(err) {
				t.Fatalf("%s: %v, %v", code, Classify(err), err)
			}
			if line := c.Explain(err, "PutLogEvents", "job"); !strings.Contains(line, strings.TrimSuffix(code, "Exception")) || !strings.Contains(line, "renew") {
				t.Errorf("explained as %q", line)
			}
		}
		if asked.Load() != 1 {
			t.Fatalf("fetched credentials %d times although they had not expired", asked.Load())
		}
		c.InvalidateCredentials()
		if _, err := c.Put(context.Background(), "job", bodyOf("x")); err != nil {
			t.Fatalf("%s: after renewal: %v", code, err)
		}
		if asked.Load() != 2 {
			t.Errorf("fetched credentials %d times", asked.Load())
		}
		if got := c.Target().Account; got != "111122223333" {
			t.Errorf("account %q", got)
		}
	}
}

// TestSharedFileIsReadAgain renews keys by rewriting the shared file. The SDK takes its keys for
// fixed, so the client must read it again.
func TestSharedFileIsReadAgain(t *testing.T) {
	file := writeFile(t, "credentials", "[default]\naws_access_key_id=OLD\naws_secret_access_key=s\n")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	c := keyless(t, refusing(t, "NEW", "ExpiredTokenException").URL)
	put := func() Class {
		_, err := c.Put(context.Background(), "job", bodyOf("x"))
		return Classify(err)
	}
	if got := put(); got != Credentials {
		t.Fatalf("%v", got)
	}
	c.InvalidateCredentials()
	if got := put(); got != Credentials {
		t.Fatalf("the same file: %v", got)
	}
	c.InvalidateCredentials()
	if err := os.WriteFile(file, []byte("[default\n"), 0o600); err != nil { // while it is being written
		t.Fatal(err)
	}
	if got := put(); got != Credentials {
		t.Fatalf("half a file: %v", got)
	}
	c.InvalidateCredentials()
	if err := os.WriteFile(file, []byte("[default]\naws_access_key_id=NEW\naws_secret_access_key=s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := put(); got != Accepted {
		t.Fatalf("the renewed file: %v", got)
	}
}

// TestKeysAppearLater checks that a client made before its keys exist works once they do.
func TestKeysAppearLater(t *testing.T) {
	file := writeFile(t, "credentials", "")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	c := keyless(t, refusing(t, "NEW", "ExpiredTokenException").URL)
	if _, err := c.Put(context.Background(), "job", bodyOf("x")); Classify(err) != Credentials {
		t.Fatalf("%v", err)
	}
	if err := os.WriteFile(file, []byte("[default]\naws_access_key_id=NEW\naws_secret_access_key=s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.InvalidateCredentials()
	if _, err := c.Put(context.Background(), "job", bodyOf("x")); err != nil {
		t.Fatal(err)
	}
}

func TestAccount(t *testing.T) {
	t.Setenv("AWS_ACCOUNT_ID", "123456789012")
	if got := newClient(t, "http://127.0.0.1:1").Target(); got != (Target{"/perstack/test", "eu-west-1", "http://127.0.0.1:1", "123456789012"}) {
		t.Errorf("%+v", got)
	}
}

// TestCredentialProcess gets keys from the program that the profile names.
func TestCredentialProcess(t *testing.T) {
	t.Setenv("AWS_CONFIG_FILE", writeFile(t, "config",
		"[profile p]\ncredential_process = echo '{\"Version\":1,\"AccessKeyId\":\"PROC\",\"SecretAccessKey\":\"s\",\"AccountId\":\"777788889999\"}'\nregion = eu-north-1\n"))
	without(t, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
	c, err := New(context.Background(), Options{Group: "g", Caller: Caller{Profile: "p"}, Endpoint: refusing(t, "PROC", "ExpiredToken").URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if got := c.Target(); got.Region != "eu-north-1" || got.Account != "" {
		t.Errorf("%+v before the first call", got)
	}
	if _, err := c.Put(context.Background(), "job", bodyOf("x")); err != nil {
		t.Fatal(err)
	}
	if got := c.Target().Account; got != "777788889999" {
		t.Errorf("account %q", got)
	}
}

// TestNoCredentials checks that a call without credentials fails quickly, as an error of
// credentials. That must also hold if the address of the metadata service swallows requests, as on
// a machine outside EC2.
func TestNoCredentials(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r request) { t.Error("a request without credentials was sent") })
	swallows := rawServer(t, func(conn net.Conn) { io.Copy(io.Discard, conn) })
	for _, tc := range []struct {
		name   string
		env    map[string]string
		within time.Duration
	}{
		{"metadata service disabled", map[string]string{"AWS_EC2_METADATA_DISABLED": "true"}, 3 * time.Second},
		{"metadata service refuses", map[string]string{"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"}, 3 * time.Second},
		{"metadata service swallows", map[string]string{"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": swallows}, 5 * time.Second},
		{"container refuses", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/creds"}, 3 * time.Second},
		{"half a key", map[string]string{"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE"}, 3 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			start := time.Now()
			without(t, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
			for k, v := range tc.env {
				t.Setenv(k, v)
			}
			c, err := New(context.Background(), Options{Group: "/perstack/test", Region: "eu-west-1", Endpoint: s.URL})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			_, err = c.Put(context.Background(), "job", bodyOf("x"))
			took := time.Since(start)
			if Classify(err) != Credentials || !Unreachable(err) || Ambiguous(err) {
				t.Errorf("%v, unreachable %t: %v", Classify(err), Unreachable(err), err)
			}
			if took > tc.within {
				t.Errorf("took %v", took)
			}
			if line := c.Explain(err, "PutLogEvents", "job"); !strings.Contains(line, "no AWS credentials") || !strings.Contains(line, "task role") {
				t.Errorf("explained as %q", line)
			}
		})
	}
}

// TestRoleIsRefused checks that a refusal by a credentials service is not taken for one by
// CloudWatch Logs.
func TestRoleIsRefused(t *testing.T) {
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(403)
		io.WriteString(w, `<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>`)
	}))
	t.Cleanup(sts.Close)
	t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
	t.Setenv("AWS_CONFIG_FILE", writeFile(t, "config", "[profile p]\nrole_arn = arn:aws:iam::111122223333:role/r\nsource_profile = base\n[profile base]\naws_access_key_id = K\naws_secret_access_key = s\n"))
	without(t, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
	c, err := New(context.Background(), Options{Group: "g", Region: "eu-west-1", Caller: Caller{Profile: "p"}, Endpoint: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	_, err = c.Put(context.Background(), "job", bodyOf("x"))
	if Classify(err) != Credentials {
		t.Fatalf("%v, %v", Classify(err), err)
	}
	if line := c.Explain(err, "PutLogEvents", "job"); !strings.Contains(line, "sts:AssumeRole") {
		t.Errorf("explained as %q", line)
	}
}

// TestStoppedWhileLookingForCredentials checks that cancelling a call while it looks for
// credentials counts as a stop, not as an error of credentials.
func TestStoppedWhileLookingForCredentials(t *testing.T) {
	asked := make(chan struct{})
	swallows := rawServer(t, func(conn net.Conn) { close(asked); io.Copy(io.Discard, conn) })
	t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", swallows)
	c := keyless(t, "http://127.0.0.1:1")
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-asked; cancel() }()
	if _, err := c.Put(ctx, "job", bodyOf("x")); Classify(err) != Stopped {
		t.Errorf("%v, %v", Classify(err), err)
	}
}

// TestWrongClock runs with a wrong clock: the refusal carries the service's time, and the next
// attempt is signed with it.
func TestWrongClock(t *testing.T) {
	const off = 3 * time.Hour
	s := serve(t, func(w http.ResponseWriter, r request) {
		now := time.Now().Add(off)
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err != nil || now.Sub(signed).Abs() > 5*time.Minute {
			fail(w, 400, "InvalidSignatureException", "Signature expired")
			return
		}
		w.Write([]byte("{}"))
	})
	c := newClient(t, s.URL)
	if _, err := c.Put(context.Background(), "job", bodyOf("x")); Classify(err) != Credentials {
		t.Fatalf("%v, %v", Classify(err), err)
	}
	c.InvalidateCredentials()
	if _, err := c.Put(context.Background(), "job", bodyOf("x")); err != nil {
		t.Fatal(err)
	}
}

// TestSDKWarnsOnceAMinute checks that the log does not repeat what the SDK says at every call
// without credentials.
func TestSDKWarnsOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logged := observer.New(zap.WarnLevel)
		l := &sdkLogger{log: zap.New(core)}
		for i := range 100 {
			l.Logf(logging.Warn, "falling back to IMDSv1: %v", i)
			l.Logf(logging.Warn, "another thing: %v", i)
			l.Logf(logging.Debug, "a detail")
			time.Sleep(time.Second)
		}
		var got []string
		for _, e := range logged.All() {
			got = append(got, e.Message)
		}
		want := []string{"AWS SDK: falling back to IMDSv1: 0", "AWS SDK: another thing: 0", "AWS SDK: falling back to IMDSv1: 60", "AWS SDK: another thing: 60"}
		if !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
	})
}
