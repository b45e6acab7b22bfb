package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"
)

// patience is how long the loop may take to answer a question.
const patience = 5 * time.Second

// Server answers /metrics, /livez and /readyz.
type Server struct {
	http   *http.Server
	served chan error
	log    *zap.Logger
}

// Options say where to serve, and what.
type Options struct {
	Addr         string // host:port; an empty host is the loopback address
	Version      string
	JournalLimit int64
	Source       *Source
	// Unready returns a sentence for each reason why the shipper is not ready.
	Unready func(s *Stats, now time.Time) []string
	Log     *zap.Logger
}

// Serve starts a server, which runs until Close. It returns an error if the address cannot be
// listened on.
func Serve(o Options) (*Server, error) {
	host, port, err := net.SplitHostPort(o.Addr)
	if err != nil {
		return nil, err
	}
	if host == "" {
		host = "127.0.0.1"
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, err
	}
	s := &Server{log: o.Log, served: make(chan error, 1), http: &http.Server{
		Handler: o.handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: zap.NewStdLog(o.Log),
	}}
	o.Log.Info(fmt.Sprintf("metrics are at http://%s/metrics", l.Addr()), zap.String("address", l.Addr().String()))
	go func() { s.served <- s.http.Serve(l) }()
	return s, nil
}

// Close ends the server and its connections.
func (s *Server) Close() {
	if s == nil {
		return
	}
	err := s.http.Close()
	if end := <-s.served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(end, err)
	}
	if err != nil {
		s.log.Warn(fmt.Sprintf("serving metrics: %v", err))
	}
}

func (o *Options) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", o.asking(func(w http.ResponseWriter, s *Stats) {
		w.Header().Set("Content-Type", contentType)
		// The client may be gone.
		_, _ = io.WriteString(w, Text(s, o.Version, o.JournalLimit, time.Now()))
	}))
	mux.HandleFunc("GET /livez", o.asking(func(w http.ResponseWriter, _ *Stats) { healthy(w) }))
	mux.HandleFunc("GET /readyz", o.asking(func(w http.ResponseWriter, s *Stats) {
		if unready := o.Unready(s, time.Now()); len(unready) > 0 {
			http.Error(w, strings.Join(unready, "\n"), http.StatusServiceUnavailable)
			return
		}
		healthy(w)
	}))
	return mux
}

// asking returns a handler that asks the loop for its Stats before it answers. A loop that does not
// answer in time is what /livez detects.
func (o *Options) asking(answer func(http.ResponseWriter, *Stats)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		stats, err := o.Source.Ask(ctx)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		answer(w, &stats)
	}
}

func healthy(w http.ResponseWriter) { _, _ = io.WriteString(w, "ok\n") }
