package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestLink sends a body over the link and back. It must arrive unchanged, and no sooner than the
// rate and the round trip allow.
func TestLink(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Write(body)
	}))
	defer server.Close()
	l, err := newLink(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	body := bytes.Repeat([]byte("0123456789abcde\n"), 10_000)
	began := time.Now()
	resp, err := http.Post(l.url, "text/plain", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d of %d bytes came back unchanged: %v", len(got), len(body), err)
	}
	if took, least := time.Since(began), 2*time.Duration(float64(len(body))*8/linkRate*float64(time.Second))+linkRoundTrip-2*linkBurst; took < least {
		t.Errorf("it took %s, want at least %s", took, least)
	}
}
