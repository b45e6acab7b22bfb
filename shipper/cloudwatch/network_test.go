package cloudwatch

// These tests show what networks do to a put: early answers, resets, silence, refused connections,
// unknown names and untrusted certificates. Each test overwrites the body's memory as soon as Put
// has returned, and the race detector watches.

import (
	"bufio"
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/shipper/testkit/await"
)

// rawServer hands each connection to talk, which sees the bytes, and closes it afterwards.
func rawServer(t testing.TB, talk func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				talk(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return "http://" + l.Addr().String()
}

// readHead reads a request's head from conn, with the part of the body that came along.
func readHead(conn net.Conn) (*http.Request, error) {
	return http.ReadRequest(bufio.NewReaderSize(conn, 4096))
}

func reset(conn net.Conn) {
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

func TestNetworkFailures(t *testing.T) {
	answer := func(conn net.Conn, status, body string) {
		io.WriteString(conn, "HTTP/1.1 "+status+"\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+body)
	}
	silence := func(conn net.Conn) { io.Copy(io.Discard, conn) } // until the client goes away
	// gone says that Put has returned. A server that leaves the body unread waits for it.
	gone := make(chan struct{}, 1)
	const large, small = 16 << 20, 1000 // more and less than the socket buffers hold
	overwritten := bytes.Repeat([]byte("y"), large)
	for _, tc := range []struct {
		name                   string
		size                   int
		talk                   func(net.Conn)
		want                   Class
		ambiguous, unreachable bool
	}{
		{"reset after a byte", large, func(c net.Conn) { c.Read(make([]byte, 1)); reset(c) }, Retry, false, false},
		{"reset after the head", large, func(c net.Conn) { readHead(c); reset(c) }, Retry, false, false},
		{"reset in the middle", large, func(c net.Conn) {
			io.CopyN(io.Discard, c, large/2)
			reset(c)
		}, Retry, false, false},
		{"reset after all of it", small, func(c net.Conn) {
			r, err := readHead(c)
			if err == nil {
				io.Copy(io.Discard, r.Body)
			}
			reset(c)
		}, Retry, true, false},
		{"closed after all of it", small, func(c net.Conn) {
			if r, err := readHead(c); err == nil {
				io.Copy(io.Discard, r.Body)
			}
		}, Retry, true, false},
		{"reset in the answer", small, func(c net.Conn) {
			if r, err := readHead(c); err == nil {
				io.Copy(io.Discard, r.Body)
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{")
			}
			reset(c)
		}, Retry, true, false},
		{"no HTTP", small, func(c net.Conn) { readHead(c); io.WriteString(c, "220 mail.example.org ESMTP\r\n") }, Retry, true, false},
		{"200 before the body is read", large, func(c net.Conn) {
			readHead(c)
			answer(c, "200 OK", "{}")
			<-gone
		}, Retry, false, false},
		{"413 before the body is read", large, func(c net.Conn) {
			readHead(c)
			answer(c, "413 Request Entity Too Large", "too large")
			<-gone
		}, Refused, false, false},
		{"413 while the body is read", large, func(c net.Conn) {
			readHead(c)
			answer(c, "413 Request Entity Too Large", "too large")
			silence(c)
		}, Refused, false, false},
		{"silence before the body is read", large, func(c net.Conn) { readHead(c); <-gone }, Retry, false, false},
		{"silence after the body is read", small, silence, Retry, true, false},
		{"an answer that never ends", small, func(c net.Conn) {
			if r, err := readHead(c); err == nil {
				io.Copy(io.Discard, r.Body)
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			for {
				if _, err := c.Write(bytes.Repeat([]byte(" "), 64<<10)); err != nil {
					return
				}
			}
		}, Retry, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newClient(t, rawServer(t, tc.talk), func(o *Options) { o.AttemptTimeout = time.Second })
			memory := bytes.Repeat([]byte("x"), tc.size)
			start := time.Now()
			_, err := c.Put(context.Background(), "job", body{bytes.NewReader(memory)})
			copy(memory, overwritten[:tc.size])
			gone <- struct{}{}
			defer func() { // not every server waits for it
				select {
				case <-gone:
				default:
				}
			}()
			if err == nil {
				t.Fatal("no error")
			}
			if Classify(err) != tc.want || Ambiguous(err) != tc.ambiguous || Unreachable(err) != tc.unreachable {
				t.Errorf("%v, ambiguous %t, unreachable %t: %v", Classify(err), Ambiguous(err), Unreachable(err), err)
			}
			if d := time.Since(start); d > 8*time.Second {
				t.Errorf("an attempt with a timeout of 1 s took %v", d)
			}
			if line := c.Explain(err, "PutLogEvents", "job"); strings.ContainsAny(line, "\r\n") || !strings.Contains(line, `"/perstack/test" in eu-west-1`) {
				t.Errorf("explained as %q", line)
			}
		})
	}
}

// TestBodyIsFreeAfterPut checks that nothing reads a body after Put has returned, even with many
// puts at once whose connections break at any point.
func TestBodyIsFreeAfterPut(t *testing.T) {
	var n atomic.Int64
	url := rawServer(t, func(conn net.Conn) {
		switch n.Add(1) % 4 {
		case 0:
			reset(conn)
		case 1:
			io.CopyN(io.Discard, conn, 300<<10)
			io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
		case 2:
			io.CopyN(io.Discard, conn, 200<<10)
			reset(conn)
		case 3:
			if r, err := readHead(conn); err == nil {
				io.Copy(io.Discard, r.Body)
				io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: 2\r\n\r\n{}")
			}
		}
	})
	c := newClient(t, url, func(o *Options) { o.AttemptTimeout = 200 * time.Millisecond })
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			memory, overwritten := make([]byte, 1<<20), bytes.Repeat([]byte("y"), 1<<20)
			for range 15 {
				c.Put(context.Background(), "job", body{bytes.NewReader(memory)})
				copy(memory, overwritten)
			}
		})
	}
	await.Return(t, "the end of all puts", all.Wait)
}

// TestConnectionIsKept checks that successive puts use one connection.
func TestConnectionIsKept(t *testing.T) {
	var connections atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.Write([]byte("{}"))
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	c := newClient(t, s.URL)
	for range 10 {
		if _, err := c.Put(context.Background(), "job", body{bytes.NewReader(make([]byte, 300<<10))}); err != nil {
			t.Fatal(err)
		}
	}
	if connections.Load() != 1 {
		t.Errorf("%d connections for 10 puts in a row", connections.Load())
	}
}

func TestConnectionRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	l.Close()
	c := newClient(t, url)
	_, err = c.Put(context.Background(), "job", bodyOf("x"))
	if Classify(err) != Retry || Ambiguous(err) || !Unreachable(err) {
		t.Fatalf("%v, ambiguous %t, unreachable %t: %v", Classify(err), Ambiguous(err), Unreachable(err), err)
	}
	if line := c.Explain(err, "PutLogEvents", "job"); !strings.Contains(line, url+" cannot be reached") || !strings.Contains(line, "connection refused") {
		t.Errorf("explained as %q", line)
	}
}

// TestNoSuchHost asks a DNS server on loopback for a name that does not exist.
func TestNoSuchHost(t *testing.T) {
	dns, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for buf := make([]byte, 1500); ; {
			n, from, err := dns.ReadFrom(buf)
			if err != nil {
				return
			}
			buf[2], buf[3] = 0x81, 0x83 // a response: no such name
			dns.WriteTo(buf[:n], from)
		}
	}()
	defer func() { dns.Close(); <-done }()
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", dns.LocalAddr().String())
	}}
	defer func() { net.DefaultResolver = before }()

	c := newClient(t, "http://logs.nowhere.invalid")
	_, err = c.Put(context.Background(), "job", bodyOf("x"))
	if Classify(err) != Retry || Ambiguous(err) || !Unreachable(err) {
		t.Fatalf("%v, ambiguous %t, unreachable %t: %v", Classify(err), Ambiguous(err), Unreachable(err), err)
	}
	if line := c.Explain(err, "PutLogEvents", "job"); !strings.Contains(line, "no address for logs.nowhere.invalid") {
		t.Errorf("explained as %q", line)
	}

	for _, variant := range []string{"AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT"} {
		t.Setenv(variant, "true")
		c = newClient(t, "", func(o *Options) { o.Region = "ap-nowhere-1" })
		_, err = c.Put(context.Background(), "job", bodyOf("x"))
		if line := c.Explain(err, "PutLogEvents", "job"); !strings.Contains(line, "no address for logs") || !strings.Contains(line, "the endpoint that "+variant) {
			t.Errorf("explained as %q", line)
		}
		t.Setenv(variant, "")
	}
}

// TestTLS takes a private certificate authority from AWS_CA_BUNDLE. Without it, the server is not
// trusted.
func TestTLS(t *testing.T) {
	var proto atomic.Pointer[string]
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		proto.Store(&r.Proto)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.Write([]byte("{}"))
	}))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
	s.StartTLS()
	t.Cleanup(s.Close)

	c := newClient(t, s.URL)
	_, err := c.Put(context.Background(), "job", bodyOf("x"))
	if Classify(err) != Retry || Ambiguous(err) || !Unreachable(err) {
		t.Fatalf("%v, ambiguous %t, unreachable %t: %v", Classify(err), Ambiguous(err), Unreachable(err), err)
	}
	if line := c.Explain(err, "PutLogEvents", "job"); !strings.Contains(line, "not trusted") || !strings.Contains(line, "AWS_CA_BUNDLE") {
		t.Errorf("explained as %q", line)
	}

	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	t.Setenv("AWS_CA_BUNDLE", writeFile(t, "ca.pem", string(ca)))
	c = newClient(t, s.URL)
	if _, err := c.Put(context.Background(), "job", bodyOf("x")); err != nil {
		t.Fatal(err)
	}
	if *proto.Load() != "HTTP/1.1" {
		t.Errorf("sent over %s", *proto.Load())
	}

	withKeys(t)
	for bundle, want := range map[string]string{
		os.DevNull:    "AWS_CA_BUNDLE: " + os.DevNull + " has no PEM certificate",
		"/nowhere/ca": "AWS_CA_BUNDLE: open /nowhere/ca: no such file",
	} {
		t.Setenv("AWS_CA_BUNDLE", bundle)
		if _, err := New(context.Background(), Options{Region: "eu-west-1"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a wrong bundle: %v, want %s", err, want)
		}
	}
}

// TestWrongScheme calls a plain HTTP server over TLS, which counts as unreachable.
func TestWrongScheme(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r request) { w.Write([]byte("{}")) })
	s.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
	c := newClient(t, strings.Replace(s.URL, "http://", "https://", 1))
	if _, err := c.Put(context.Background(), "job", bodyOf("x")); Classify(err) != Retry || !Unreachable(err) {
		t.Errorf("%v, %v", Classify(err), err)
	}
}

const proxiedVariable = "CLOUDWATCH_TEST_PROXIED" // space-separated variables; if set, the test binary is a client that puts once

// proxied puts one batch, and exits with an error if that fails.
func proxied(variables string) {
	for variable := range strings.SplitSeq("AWS_ACCESS_KEY_ID=K AWS_SECRET_ACCESS_KEY=s "+variables, " ") {
		name, value, _ := strings.Cut(variable, "=")
		os.Setenv(name, value)
	}
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("there is no DNS in this test")
	}}
	c, err := New(context.Background(), Options{Group: "g", Region: "eu-west-1"})
	if err == nil {
		if _, err = c.Put(context.Background(), "job", bodyOf("x")); err != nil {
			err = errors.New(c.Explain(err, "PutLogEvents", "job"))
		}
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// TestProxy checks that the proxy in the environment is used. net/http reads it once per process,
// so another process makes the put.
func TestProxy(t *testing.T) {
	var asked atomic.Pointer[string]
	proxy := serve(t, func(w http.ResponseWriter, r request) {
		asked.Store(&r.RequestURI)
		w.Write([]byte("{}"))
	})
	child := exec.CommandContext(await.Context(t), os.Args[0], "-test.run=^$") // run no test, even without the variable
	child.Env = append(os.Environ(), proxiedVariable+"=HTTP_PROXY="+proxy.URL+" AWS_ENDPOINT_URL=http://logs.nowhere.invalid")
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := asked.Load(); got == nil || *got != "http://logs.nowhere.invalid/" {
		t.Errorf("the proxy was asked for %v", got)
	}
}
