package cloudwatch

// This file measures what a put costs this process: its CPU time per GB of body, with the server in
// another process.

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

const sinkVariable = "CLOUDWATCH_TEST_SINK" // "http" or "https"; if set, the test binary is that server

// sink reads requests and discards them as cheaply as a server can. It prints its address, and a
// certificate for TLS, and exits when its stdin ends.
func sink() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	if os.Getenv(sinkVariable) == "https" {
		s := httptest.NewUnstartedServer(nil) // for its certificate
		s.StartTLS()
		pem.Encode(os.Stdout, &pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
		l = tls.NewListener(l, &tls.Config{Certificates: s.TLS.Certificates})
	}
	os.Stdout.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				r := bufio.NewReaderSize(conn, 256<<10)
				for {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					io.Copy(io.Discard, req.Body)
					io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: 2\r\n\r\n{}")
				}
			}()
		}
	}()
	io.Copy(io.Discard, os.Stdin)
}

// startSink starts a server in its own process and returns a client for it.
func startSink(b *testing.B, scheme string) *Client {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), sinkVariable+"="+scheme)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	said, err := io.ReadAll(stdout)
	if err != nil {
		b.Fatal(err)
	}
	addr, ca, _ := strings.Cut(string(said), "\n")
	if ca != "" {
		b.Setenv("AWS_CA_BUNDLE", writeFile(b, "ca.pem", ca))
	}
	return newClient(b, scheme+"://"+addr)
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measure runs put and reports CPU time per GB and per call.
func measure(b *testing.B, size int, put func()) {
	put() // opens the connection
	b.SetBytes(int64(size))
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		put()
	}
	spent := cpu() - before
	b.ReportMetric(spent.Seconds()/(float64(size)*float64(b.N)/1e9), "cpu-s/GB")
	b.ReportMetric(float64(spent.Microseconds())/float64(b.N), "cpu-us/op")
}

// pieces is a body in pieces of 64 KB, like that of a batch.
type pieces struct {
	all  [][]byte
	size int64
	i, o int
}

func newPieces(size int) *pieces {
	p := &pieces{size: int64(size)}
	for size > 0 {
		n := min(size, 64<<10)
		p.all = append(p.all, bytes.Repeat([]byte(`{"a":1},`), n/8+1)[:n])
		size -= n
	}
	return p
}

func (p *pieces) Len() int64       { return p.size }
func (p *pieces) SHA256() []byte   { return nil }
func (p *pieces) Encoding() string { return "" }

func (p *pieces) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekStart && offset == 0 {
		p.i, p.o = 0, 0
	}
	return 0, nil
}

func (p *pieces) Read(to []byte) (n int, err error) {
	for n < len(to) && p.i < len(p.all) {
		m := copy(to[n:], p.all[p.i][p.o:])
		n += m
		if p.o += m; p.o == len(p.all[p.i]) {
			p.i, p.o = p.i+1, 0
		}
	}
	if n == 0 && p.i == len(p.all) {
		return 0, io.EOF
	}
	return n, nil
}

func (p *pieces) WriteTo(w io.Writer) (n int64, err error) {
	for ; p.i < len(p.all); p.i, p.o = p.i+1, 0 {
		m, err := w.Write(p.all[p.i][p.o:])
		n += int64(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

const benchBody = 1_300_000 // a full batch of Perstack's deltas, escaped

func BenchmarkPut(b *testing.B) {
	for _, bc := range []struct {
		name, scheme string
		size         int
	}{{"1.3MB", "http", benchBody}, {"1.3MB over TLS", "https", benchBody}, {"1KB", "http", 1000}} {
		b.Run(bc.name, func(b *testing.B) {
			c, body := startSink(b, bc.scheme), newPieces(bc.size)
			measure(b, bc.size, func() {
				if _, err := c.Put(context.Background(), "job", body); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// BenchmarkFloor measures the same body without the SDK: the hash alone, and net/http alone.
func BenchmarkFloor(b *testing.B) {
	body := newPieces(benchBody)
	b.Run("SHA-256", func(b *testing.B) {
		measure(b, benchBody, func() {
			body.Seek(0, io.SeekStart)
			h := sha256.New()
			body.WriteTo(h)
			h.Sum(nil)
		})
	})
	for _, scheme := range []string{"http", "https"} {
		b.Run(scheme, func(b *testing.B) {
			c := startSink(b, scheme)
			measure(b, benchBody, func() {
				body.Seek(0, io.SeekStart)
				req, err := http.NewRequest("POST", c.endpoint, onlyReads{body})
				if err != nil {
					b.Fatal(err)
				}
				req.ContentLength = benchBody
				resp, err := c.http.transport.RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			})
		})
	}
}

type onlyReads struct{ io.Reader }

func BenchmarkNew(b *testing.B) {
	withKeys(b)
	for b.Loop() {
		c, err := New(context.Background(), Options{Region: "eu-west-1"})
		if err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}
