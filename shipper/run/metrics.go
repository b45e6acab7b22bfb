package run

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"perstack-shipper/shipper/metrics"
	"perstack-shipper/shipper/status"
)

// readyWithin is how long the oldest line may wait before a session is not ready. healthcheck has
// the same default.
const readyWithin = 5 * time.Minute

// serveMetrics starts to serve the metrics of the session's loop. The error is an *OptionError.
func (s *Session) serveMetrics(o Options) error {
	s.metrics = metrics.NewSource()
	var err error
	s.serving, err = metrics.Serve(metrics.Options{
		Addr: o.Metrics, Version: o.Version, JournalLimit: o.Journal.Max, Source: s.metrics, Unready: s.unready, Log: o.Log,
	})
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return optionError("--metrics-addr", "%s is in use: stop the process that listens there, or choose another port", o.Metrics)
	case err != nil:
		return optionError("--metrics-addr", "cannot listen on %s: %v", o.Metrics, err)
	}
	return nil
}

// unready returns what healthcheck would report about the journal folder, or why inputs in memory
// are not healthy.
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
