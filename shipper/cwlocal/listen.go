package cwlocal

// Serving at an address.

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

// Listen serves h at addr, a host and port, until ctx ends. An empty host is the loopback
// interface; "" is 127.0.0.1 and any free port; "0.0.0.0:4586" is every interface. url is for
// clients on this machine. wait blocks until the listener and all connections are closed, and
// returns the error that ended it before ctx, if one did.
func Listen(ctx context.Context, addr string, h http.Handler) (url string, wait func() error, err error) {
	if addr == "" {
		addr = ":0"
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", nil, fmt.Errorf("the address %q is no host:port: %w", addr, err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return "", nil, fmt.Errorf("cannot listen on %s; take another port: %w", addr, err)
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
			_ = srv.Close() // Serve's own error is the one to return
			return
		case <-ctx.Done():
		}
		grace, cancel := context.WithTimeout(context.Background(), stopGrace)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			_ = srv.Close() // what is still open now is cut off
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			result = err
		}
	}()
	return "http://" + reachable(l.Addr()), func() error { <-ended; return result }, nil
}

// reachable returns the address for a client on this machine, which cannot call the address of
// every interface.
func reachable(a net.Addr) string {
	t, ok := a.(*net.TCPAddr)
	if !ok || !t.IP.IsUnspecified() {
		return a.String()
	}
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(t.Port))
}
