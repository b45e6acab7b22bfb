package main

// The endpoint accepts every put and keeps its body. It looks into no body while puts arrive.

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// endpoint is the state of the endpoint's process.
type endpoint struct {
	keep     *keeper
	latency  atomic.Int64
	inFlight atomic.Int64
	most     atomic.Int64 // maximum of inFlight
	creates  atomic.Int64

	mu    sync.Mutex // guards puts and fails: each connection has its own goroutine
	puts  []put
	fails []string

	cert    tls.Certificate
	addrs   [2]string // of HTTP and of HTTPS, once known
	servers [2]*http.Server
}

// put is one PutLogEvents call.
type put struct {
	came, answered time.Time
	body           kept
	gzip           bool
}

// runEndpoint serves until its stdin ends.
func runEndpoint(args []string) error {
	flags := flag.NewFlagSet("endpoint", flag.ContinueOnError)
	memory := flags.Int64("keep", 1<<30, "bytes of memory for bodies; the rest goes to a file")
	dir := flags.String("dir", os.TempDir(), "folder for that file")
	if err := flags.Parse(args); err != nil {
		return err
	}
	e := &endpoint{}
	var err error
	if e.keep, err = newKeeper(*memory, *dir); err != nil {
		return err
	}
	var pemCert []byte
	if e.cert, pemCert, err = newCertificate(); err != nil {
		return err
	}
	if err := e.back(); err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(hello{"http://" + e.addrs[0], "https://" + e.addrs[1], string(pemCert)}); err != nil {
		return err
	}
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	for {
		var o order
		if err := in.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		a, err := e.do(&o)
		if err != nil {
			a.Error = err.Error()
		}
		if err := out.Encode(a); err != nil {
			return err
		}
	}
}

func (e *endpoint) do(o *order) (answer, error) {
	switch o.Do {
	case "reset":
		e.mu.Lock()
		defer e.mu.Unlock()
		e.puts, e.fails = e.puts[:0], nil
		e.most.Store(0)
		e.creates.Store(0)
		e.latency.Store(o.Latency)
		return answer{}, e.keep.reset()
	case "away":
		return answer{}, e.away()
	case "back":
		return answer{}, e.back()
	case "check":
		return e.check(o)
	case "accepted":
		return e.accepted(o)
	}
	return answer{}, fmt.Errorf("unknown order %q", o.Do)
}

// ServeHTTP handles one call.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := put{came: time.Now(), gzip: r.Header.Get("Content-Encoding") == "gzip"}
	isPut := strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".PutLogEvents")
	if isPut {
		n := e.inFlight.Add(1)
		defer e.inFlight.Add(-1)
		for most := e.most.Load(); n > most && !e.most.CompareAndSwap(most, n); most = e.most.Load() {
		}
	}
	if err := e.read(r, &p); err != nil {
		e.mu.Lock()
		e.fails = append(e.fails, err.Error())
		e.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	if d := time.Duration(e.latency.Load()); d > 0 {
		time.Sleep(d) // the requested latency
	}
	if isPut {
		p.answered = time.Now()
		e.mu.Lock()
		e.puts = append(e.puts, p)
		e.mu.Unlock()
	} else {
		e.creates.Add(1)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("Content-Length", "2")
	io.WriteString(w, "{}")
}

// read reads and keeps the body of r.
func (e *endpoint) read(r *http.Request, p *put) error {
	if r.ContentLength < 0 { // chunked: no program of ours sends that, but others may
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return fmt.Errorf("a chunked body: %w", err)
		}
		to, where := e.keep.room(int64(len(body)))
		copy(to, body)
		p.body = where
		return e.keep.store(to, where)
	}
	to, where := e.keep.room(r.ContentLength)
	if _, err := io.ReadFull(r.Body, to); err != nil {
		return fmt.Errorf("a body of %d bytes: %w", len(to), err)
	}
	p.body = where
	return e.keep.store(to, where)
}

// away stops the servers once calls under way are answered. Losing answers of accepted calls would
// be a different measurement.
func (e *endpoint) away() error {
	limited, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(e.servers[0].Shutdown(limited), e.servers[1].Shutdown(limited))
}

// back listens on the same addresses as before.
func (e *endpoint) back() error {
	for i := range e.servers {
		addr := e.addrs[i]
		if addr == "" {
			addr = "127.0.0.1:0"
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		e.addrs[i] = l.Addr().String()
		if i == 1 {
			l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{e.cert}, NextProtos: []string{"http/1.1"}})
		}
		e.servers[i] = &http.Server{Handler: e, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
		go e.servers[i].Serve(l)
	}
	return nil
}

// newCertificate returns a self-signed certificate for the loopback address.
func newCertificate() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
