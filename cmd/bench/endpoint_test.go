package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// roleVariable makes the test binary act as the bench itself, whose roles are processes of the same
// program.
const roleVariable = "BENCH_TEST_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// TestEndpointAway checks that the endpoint does not answer while it is away, and keeps what was
// put before.
func TestEndpointAway(t *testing.T) {
	e, put := served(t, 1<<20)
	lines, sum := linesOf(2)
	put(bodyOf(lines[0]))
	if err := e.away(); err != nil {
		t.Fatal(err)
	}
	if resp, err := http.Post("http://"+e.addrs[0], "", nil); err == nil {
		t.Errorf("the endpoint answered %s while away", resp.Status)
	}
	if err := e.back(); err != nil {
		t.Fatal(err)
	}
	put(bodyOf(lines[1]))
	if a, err := e.check(&order{Form: formLine, Lines: 2, Sum: sum}); err != nil || len(a.Problems) > 0 {
		t.Error(a.Problems, err)
	}
}

// TestEndpointLatency checks that answers are delayed as requested, that the times of puts show it,
// and that reset discards them.
func TestEndpointLatency(t *testing.T) {
	e, put := served(t, 1<<20)
	const late = 30 * time.Millisecond
	if _, err := e.do(&order{Do: "reset", Latency: int64(late)}); err != nil {
		t.Fatal(err)
	}
	lines, _ := linesOf(3)
	before := time.Now()
	put(bodyOf(lines[0]))
	put(bodyOf(lines[1]))
	if took := time.Since(before); took < 2*late {
		t.Errorf("two puts took %s; each should be answered after %s", took, late)
	}
	a, err := e.do(&order{Do: "accepted", Lines: 3})
	if err != nil {
		t.Fatal(err)
	}
	first, second := a.Accepted[0]-before.UnixNano(), a.Accepted[1]-a.Accepted[0]
	if first < int64(late) || second < int64(late) || a.Accepted[2] != 0 {
		t.Errorf("accepted at %v, starting at %d", a.Accepted, before.UnixNano())
	}
	if _, err := e.do(&order{Do: "reset"}); err != nil {
		t.Fatal(err)
	}
	if a, err := e.check(&order{Form: formLine}); err != nil || a.Puts != 0 || len(a.Problems) > 0 {
		t.Errorf("after a reset: %+v, %v", a, err)
	}
	if _, err := e.do(&order{Do: "dance"}); err == nil {
		t.Error("an unknown order was accepted")
	}
}

// TestEndpointTLS checks that clients can be told to trust the certificate, and that the endpoint
// speaks HTTP/1.1, like the service.
func TestEndpointTLS(t *testing.T) {
	e, _ := served(t, 1<<20)
	cert, err := x509.ParseCertificate(e.cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "https://"+e.addrs[1], strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK || resp.ProtoMajor != 1 {
		t.Error(resp.Status, resp.Proto, err)
	}
}
