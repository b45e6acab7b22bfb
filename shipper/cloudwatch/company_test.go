package cloudwatch

// These tests have networks as companies have them: proxies, endpoints with other names, and every
// source of credentials.

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/shipper/testkit/await"
)

// proxyPassword is "ship:secret" in base64.
const proxyPassword = "Basic c2hpcDpzZWNyZXQ="

// connectProxy connects clients that have the password to address, whatever host they ask for.
func connectProxy(t *testing.T, address string) (proxy *httptest.Server, asked *atomic.Pointer[string]) {
	asked = new(atomic.Pointer[string])
	proxy = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Header.Get("Proxy-Authorization") != proxyPassword {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		asked.Store(&r.Host)
		if address == "" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		to, err := net.Dial("tcp", address)
		if err != nil {
			t.Error(err)
			return
		}
		defer to.Close()
		from, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer from.Close()
		io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
		var back sync.WaitGroup
		back.Go(func() {
			io.Copy(from, to)
			from.Close()
		})
		io.Copy(to, from)
		to.Close()
		back.Wait()
	}))
	t.Cleanup(proxy.Close)
	return proxy, asked
}

// TestHTTPSProxy uses HTTPS_PROXY with and without its password, for allowed and forbidden
// addresses, and NO_PROXY.
func TestHTTPSProxy(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.Write([]byte("{}"))
	}))
	s.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
	s.StartTLS()
	t.Cleanup(s.Close)
	bundle := writeFile(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	open, asked := connectProxy(t, s.Listener.Addr().String())
	closed, _ := connectProxy(t, "")
	with := func(proxy *httptest.Server) string {
		return strings.Replace(proxy.URL, "http://", "http://ship:secret@", 1)
	}
	put := func(variables ...string) string {
		child := exec.CommandContext(await.Context(t), os.Args[0], "-test.run=^$")
		child.Env = append(os.Environ(), proxiedVariable+"="+strings.Join(append(variables, "AWS_ENDPOINT_URL=https://example.com", "AWS_CA_BUNDLE="+bundle), " "))
		out, _ := child.CombinedOutput()
		return strings.TrimSuffix(string(out), "PASS\n")
	}
	if said := put("HTTPS_PROXY=" + with(open)); said != "" {
		t.Errorf("through the proxy: %s", said)
	}
	if got := asked.Load(); got == nil || *got != "example.com:443" {
		t.Errorf("the proxy was asked for %v", got)
	}
	for _, tc := range []struct {
		name, variables string
		want            []string
	}{
		{"no password", "HTTPS_PROXY=" + open.URL, []string{"the proxy " + open.URL + " refused to connect to example.com:443 (HTTP 407", "user and password in HTTPS_PROXY"}},
		{"not allowed", "HTTPS_PROXY=" + with(closed), []string{"the proxy " + closed.URL + " refused to connect to example.com:443 (HTTP 403", "NO_PROXY"}},
		{"no proxy there", "HTTPS_PROXY=http://127.0.0.1:1", []string{"the proxy in HTTPS_PROXY cannot be reached (", "connection refused"}},
		{"NO_PROXY", "HTTPS_PROXY=http://127.0.0.1:1 NO_PROXY=example.com", []string{"there is no DNS in this test"}},
	} {
		said := put(strings.Fields(tc.variables)...)
		for _, want := range tc.want {
			if !strings.Contains(said, want) || strings.Contains(said, "secret") {
				t.Errorf("%s: the message is %q, want %q in it and no password", tc.name, said, want)
			}
		}
	}
}

// roundTrip is a network made of one function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestEndpointNames checks that each way to name an endpoint leads to its host, with a signature
// for the Region.
func TestEndpointNames(t *testing.T) {
	for _, tc := range []struct {
		name, region, endpoint string
		env                    map[string]string
		want                   string
	}{
		{"its own", "eu-west-1", "", nil, "logs.eu-west-1.amazonaws.com"},
		{"China", "cn-north-1", "", nil, "logs.cn-north-1.amazonaws.com.cn"},
		{"FIPS", "us-east-1", "", map[string]string{"AWS_USE_FIPS_ENDPOINT": "true"}, "logs-fips.us-east-1.amazonaws.com"},
		{"IPv6", "eu-west-1", "", map[string]string{"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "logs.eu-west-1.api.aws"},
		{"VPC endpoint", "eu-west-1", "https://vpce-0a1b-2c3d.logs.eu-west-1.vpce.amazonaws.com", nil, "vpce-0a1b-2c3d.logs.eu-west-1.vpce.amazonaws.com"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for name, value := range tc.env {
				t.Setenv(name, value)
			}
			var host, signed string
			c := newClient(t, tc.endpoint, func(o *Options) {
				o.Region = tc.region
				o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
					host, signed = r.URL.Host, r.Header.Get("Authorization")
					return nil, io.ErrUnexpectedEOF
				})
			})
			c.Put(context.Background(), "job", bodyOf("x"))
			if host != tc.want || !strings.Contains(signed, "/"+tc.region+"/logs/aws4_request") {
				t.Errorf("the call went to %q, want %q; signed %q", host, tc.want, signed)
			}
		})
	}
}

// TestIPv6 runs on a network with IPv6 only.
func TestIPv6(t *testing.T) {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("this machine has no IPv6: %v", err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.Write([]byte("{}"))
	}))
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	if _, err := newClient(t, s.URL).Put(context.Background(), "job", bodyOf("x")); err != nil {
		t.Error(err)
	}
	c := newClient(t, "http://[::1]:1")
	_, err = c.Put(context.Background(), "job", bodyOf("x"))
	if line := c.Explain(err, "PutLogEvents", "job"); !strings.Contains(line, "http://[::1]:1 cannot be reached") {
		t.Errorf("explained as %q", line)
	}
}

// TestContainerTokenFileRotates rewrites the container's token file, as EKS Pod Identity does.
func TestContainerTokenFileRotates(t *testing.T) {
	token := writeFile(t, "token", "first")
	container := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"AccessKeyId":%q,"SecretAccessKey":"s","Token":"t","Expiration":%q}`, r.Header.Get("Authorization"), time.Now().Add(6*time.Hour).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(container.Close)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.URL)
	t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token)
	c := keyless(t, refusing(t, "second", "ExpiredTokenException").URL)
	if _, err := c.Put(context.Background(), "job", bodyOf("x")); Classify(err) != Credentials {
		t.Fatalf("%v, %v", Classify(err), err)
	}
	if err := os.WriteFile(token, []byte("second"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.InvalidateCredentials()
	if _, err := c.Put(context.Background(), "job", bodyOf("x")); err != nil {
		t.Error(err)
	}
}

// TestTaskRole gets a task's role by the relative URI, which resolves to 169.254.170.2. A test
// cannot have that address, so one proxy stands in for it, and another one refuses it.
func TestTaskRole(t *testing.T) {
	var asked atomic.Pointer[string]
	answers := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(&r.RequestURI)
		fmt.Fprintf(w, `{"AccessKeyId":"TASK","SecretAccessKey":"s","Token":"t","Expiration":%q}`, time.Now().Add(6*time.Hour).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(answers.Close)
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	t.Cleanup(refuses.Close)
	put := func(variables ...string) string {
		child := exec.CommandContext(await.Context(t), os.Args[0], "-test.run=^$")
		child.Env = append(os.Environ(), proxiedVariable+"="+strings.Join(append(variables, "AWS_ACCESS_KEY_ID= AWS_SECRET_ACCESS_KEY=",
			"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/credentials/0a1b", "AWS_ENDPOINT_URL="+refusing(t, "TASK", "ExpiredTokenException").URL), " "))
		out, _ := child.CombinedOutput()
		return strings.TrimSuffix(string(out), "PASS\n")
	}
	if said := put("HTTP_PROXY=" + answers.URL); said != "" {
		t.Errorf("with the task's credentials: %s", said)
	}
	if got := asked.Load(); got == nil || *got != "http://169.254.170.2/v2/credentials/0a1b" {
		t.Errorf("the credentials were fetched from %v", got)
	}
	said := put("HTTP_PROXY=" + refuses.URL)
	for _, want := range []string{"no AWS credentials (", "403", "add 169.254.170.2 to NO_PROXY"} {
		if !strings.Contains(said, want) {
			t.Errorf("behind a proxy that refuses, the message is %q, without %q", said, want)
		}
	}
}

// TestInstanceRole gets an instance's role through IMDSv2, with a token.
func TestInstanceRole(t *testing.T) {
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "300")
			io.WriteString(w, "token")
		case r.Header.Get("X-Aws-Ec2-Metadata-Token") != "token":
			w.WriteHeader(http.StatusUnauthorized)
		case strings.HasSuffix(r.URL.Path, "/instance-role"):
			fmt.Fprintf(w, `{"Code":"Success","AccessKeyId":"IMDS","SecretAccessKey":"s","Token":"t","Expiration":%q}`, time.Now().Add(6*time.Hour).UTC().Format(time.RFC3339))
		case strings.Contains(r.URL.Path, "/security-credentials"):
			io.WriteString(w, "instance-role")
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(metadata.Close)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.URL)
	c := keyless(t, refusing(t, "IMDS", "ExpiredTokenException").URL)
	if _, err := c.Put(context.Background(), "job", bodyOf("x")); err != nil {
		t.Error(err)
	}
}

// TestWebIdentity gets a role with the token of a pod or a CI job.
func TestWebIdentity(t *testing.T) {
	serveSTS(t, func(w http.ResponseWriter, _ *http.Request, form url.Values) {
		if form.Get("Action") != "AssumeRoleWithWebIdentity" || form.Get("RoleArn") != loggingRole || form.Get("WebIdentityToken") != "jwt" {
			t.Errorf("STS was asked %v", form)
		}
		giveRole(w, "AssumeRoleWithWebIdentity", "WEB")
	})
	t.Setenv("AWS_ROLE_ARN", loggingRole)
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", writeFile(t, "token", "jwt"))
	c := keyless(t, refusing(t, "WEB", "ExpiredTokenException").URL)
	if _, err := c.Put(context.Background(), "job", bodyOf("x")); err != nil {
		t.Error(err)
	}
}

// TestSourcesOfCredentialsFail checks that the message names the source of credentials that failed,
// and what to do about it.
func TestSourcesOfCredentialsFail(t *testing.T) {
	swallows := rawServer(t, func(conn net.Conn) { io.Copy(io.Discard, conn) })
	for _, tc := range []struct {
		name   string
		env    map[string]string
		config string
		want   []string
	}{
		{"hop limit", map[string]string{"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": swallows}, "", []string{"ec2imds", "a hop limit of 2"}},
		{"container", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/x"}, "", []string{"127.0.0.1:1", "the task has a task role"}},
		{"no token file", map[string]string{"AWS_ROLE_ARN": loggingRole, "AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere/token"}, "", []string{"/nowhere/token", "AWS_WEB_IDENTITY_TOKEN_FILE exists"}},
		{"credential_process", map[string]string{"AWS_PROFILE": "p"}, "[profile p]\ncredential_process = false\n", []string{"exit status 1", "run the profile's credential_process by hand"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for name, value := range tc.env {
				t.Setenv(name, value)
			}
			t.Setenv("AWS_CONFIG_FILE", writeFile(t, "config", tc.config))
			c := keyless(t, "http://127.0.0.1:1")
			_, err := c.Put(context.Background(), "job", bodyOf("x"))
			line := c.Explain(err, "PutLogEvents", "job")
			for _, want := range append(tc.want, "no AWS credentials (") {
				if !strings.Contains(line, want) {
					t.Errorf("explained as %q, without %q", line, want)
				}
			}
		})
	}
	serveSTS(t, func(w http.ResponseWriter, _ *http.Request, _ url.Values) {
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error></ErrorResponse>`)
	})
	t.Setenv("AWS_ROLE_ARN", loggingRole)
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", writeFile(t, "token", "jwt"))
	c := keyless(t, "http://127.0.0.1:1")
	_, err := c.Put(context.Background(), "job", bodyOf("x"))
	if line := c.Explain(err, "PutLogEvents", "job"); !strings.Contains(line, "its trust policy names the issuer") {
		t.Errorf("explained as %q", line)
	}
}
