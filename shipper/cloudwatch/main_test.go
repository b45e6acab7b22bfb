package cloudwatch

// This file holds what the tests share: an environment without this machine's settings, a server
// that answers as told, and clients for it.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) {
	if os.Getenv(sinkVariable) != "" {
		sink() // this process is the server of a benchmark
		return
	}
	proxy := os.Getenv(proxiedVariable)
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, "AWS_") || strings.HasSuffix(strings.ToUpper(name), "_PROXY") {
			os.Unsetenv(name)
		}
	}
	// No test may query the real metadata service or read the user's files.
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	os.Setenv("AWS_CONFIG_FILE", os.DevNull)
	os.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	if proxy != "" {
		proxied(proxy) // this process is the client of TestProxy
		return
	}
	goleak.VerifyTestMain(m)
}

func withKeys(t testing.TB) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
}

// newClient returns a client with keys for an endpoint, group "/perstack/test" and eu-west-1.
func newClient(t testing.TB, endpoint string, change ...func(*Options)) *Client {
	t.Helper()
	withKeys(t)
	o := Options{Group: "/perstack/test", Region: "eu-west-1", Endpoint: endpoint, AttemptTimeout: 5 * time.Second, Logger: zap.NewNop()}
	for _, f := range change {
		f(&o)
	}
	c, err := New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// request is a request that a server received.
type request struct {
	*http.Request
	target string // the operation
	body   []byte
}

func (r request) json(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(r.body, &v); err != nil {
		t.Fatalf("request body: %v in %q", err, r.body)
	}
	return v
}

// serve starts a server that reads each request completely before it calls answer.
func serve(t testing.TB, answer func(w http.ResponseWriter, r request)) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client went away
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1") // like the service; answer may change it
		answer(w, request{r, strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "Logs_20140328."), body})
	}))
	t.Cleanup(s.Close)
	return s
}

// fail answers like the service's front end.
func fail(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"__type": "com.amazonaws.logs#" + code, "message": message})
}

// body is a Body over a slice.
type body struct{ *bytes.Reader }

func (b body) Len() int64       { return b.Size() }
func (b body) SHA256() []byte   { return nil }
func (b body) Encoding() string { return "" }

// bodyOf is the body of one event.
func bodyOf(message string) body {
	return body{bytes.NewReader(fmt.Appendf(nil,
		`{"logGroupName":"/perstack/test","logStreamName":"job","logEvents":[{"timestamp":1795347082176,"message":%q}]}`, message))}
}

func writeFile(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
