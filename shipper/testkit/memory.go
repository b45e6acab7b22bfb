package testkit

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
)

// memory is a network with a single address. Its connections are in memory, so a test in a
// synctest bubble can use it: a goroutine that waits for a real socket would keep simulated time
// from passing.
type memory struct {
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

func newMemory() *memory {
	m := &memory{conns: make(chan net.Conn), closed: make(chan struct{})}
	m.close = sync.OnceFunc(func() { close(m.closed) })
	return m
}

func (m *memory) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case m.conns <- server:
		return client, nil
	case <-m.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept waits for the next connection.
func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

// Close makes Accept and new connections fail.
func (m *memory) Close() error { m.close(); return nil }

// Addr returns a made-up address.
func (m *memory) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "memory"} }

// serve serves h until stop is called. wait returns the error that ended it before that, if one
// did.
func (m *memory) serve(h http.Handler) (stop func(), wait func() error) {
	server := &http.Server{Handler: h}
	served := make(chan error, 1)
	go func() { served <- server.Serve(m) }()
	var closeErr error
	stop = func() { closeErr = server.Close() }
	wait = func() error {
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			return errors.Join(err, closeErr)
		}
		return closeErr
	}
	return stop, wait
}
