package run

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"perstack-shipper/shipper/metrics"
	"perstack-shipper/shipper/status"
)

// readyWithin is how long the oldest line may wait for a session to be ready, as for healthcheck.
const readyWithin = 5 * time.Minute

// serveMetrics begins to serve what the session's loop says of itself. The error is an
// *OptionError.
func (s *Session) serveMetrics(o Options) error {
	s.metrics = metrics.NewSource()
	var err error
	s.serving, err = metrics.Serve(metrics.Options{
		Addr: o.Metrics, Version: o.Version, JournalLimit: o.Journal.Max, Source: s.metrics, Unready: s.unready, Log: o.Log,
	})
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return optionError("--metrics-addr", "%s is taken: stop what listens there, or take another port", o.Metrics)
	case err != nil:
		return optionError("--metrics-addr", "cannot listen on %s: %v", o.Metrics, err)
	}
	return nil
}

// unready says what healthcheck would: of the journal folder, or of what is in memory.
func (s *Session) unready(stats *metrics.Stats, now time.Time) []string {
	if s.folder.Path() == "" {
		if age := now.Sub(stats.Oldest); !stats.Oldest.IsZero() && age > readyWithin {
			return []string{fmt.Sprintf("the oldest line has waited for %s", age.Round(time.Second))}
		}
		return nil
	}
	view, err := status.Open(s.folder.Path())
	if err != nil {
		return []string{err.Error()}
	}
	sentences, err := status.Unhealthy(view, status.Limits{OlderThan: readyWithin}, now)
	if err != nil {
		return []string{err.Error()}
	}
	return sentences
}
