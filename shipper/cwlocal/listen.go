package cwlocal

// This file serves on an address.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
)

// stopGrace is how long requests in flight may take once Listen's context has ended.
const stopGrace = 2 * time.Second

// Listen serves h on addr, a host and port, until ctx ends. An empty host is the loopback
// interface, "" is 127.0.0.1 with any free port, and "0.0.0.0:4586" is every interface. The
// returned url is for clients on this machine. wait blocks until the listener and all connections
// are closed, and returns the error that ended serving before ctx, if any.
func Listen(ctx context.Context, addr string, h http.Handler) (url string, wait func() error, err error) {
	if addr == "" {
		addr = ":0"
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", nil, fmt.Errorf("the address %q is not host:port: %w", addr, err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return "", nil, fmt.Errorf("cannot listen on %s; choose another port: %w", addr, err)
	}
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 30 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	if s, ok := h.(*Server); ok {
		srv.ErrorLog = zap.NewStdLog(s.log)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	ended := make(chan struct{})
	var result error
	go func() {
		defer close(ended)
		select {
		case result = <-served:
			_ = srv.Close() // Serve's error is the one to return
			return
		case <-ctx.Done():
		}
		grace, cancel := context.WithTimeout(context.Background(), stopGrace)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			_ = srv.Close() // cuts off connections that are still open
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			result = err
		}
	}()
	return "http://" + reachable(l.Addr()), func() error { <-ended; return result }, nil
}

// reachable returns the address for a client on this machine, which cannot connect to the address
// that stands for every interface.
func reachable(a net.Addr) string {
	t, ok := a.(*net.TCPAddr)
	if !ok || !t.IP.IsUnspecified() {
		return a.String()
	}
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(t.Port))
}
