package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// sample is one run of one row.
type sample struct {
	usage
	events int
	bytes  int64         // of the lines, with newlines
	exit   time.Duration // from the end of the input to the end of the process
	answer answer        // of the endpoint's check
	lost   string        // problems of a program that is allowed to have them
}

func (s *sample) eventsPerSecond() float64 { return float64(s.events) / s.wall.Seconds() }
func (s *sample) megabytesPerSecond() float64 {
	return float64(s.bytes) / 1e6 / s.wall.Seconds()
}
func (s *sample) cpuPerGB() float64     { return s.cpu.Seconds() / (float64(s.bytes) / 1e9) }
func (s *sample) megabytesRSS() float64 { return float64(s.rss) / 1e6 }

// ours returns perstack-shipper with the journal folder of this run. shipFresh empties that folder
// first; other callers may want what an earlier process left there.
func (b *bench) ours(tls bool, args ...string) *program {
	return &program{
		name: "perstack-shipper", env: b.env(tls),
		argv: append([]string{b.program, "--log-group", limitGroup, "--journal-dir", b.journal()}, args...),
	}
}

func (b *bench) journal() string { return filepath.Join(b.dir, "journal") }

// looped returns the Go loop.
func (b *bench) looped(tls bool, args ...string) *program {
	return &program{name: "Go loop", env: b.env(tls), argv: append([]string{b.self, "loop", limitGroup, "loop"}, args...)}
}

// ship runs p on a workload and lets the endpoint check the result.
func (b *bench) ship(p *program, f *file, form form, latency time.Duration) (sample, error) {
	if err := b.endpoint.reset(latency); err != nil {
		return sample{}, err
	}
	run, err := p.start()
	if err != nil {
		return sample{}, err
	}
	fed := run.feed(f.path)
	closed := time.Now()
	u, err := run.wait()
	if err = errors.Join(fed, err); err != nil {
		return sample{}, err
	}
	s := sample{usage: u, events: f.Lines, bytes: f.Bytes, exit: time.Since(closed)}
	return s, b.check(&s, p, f, form)
}

// check lets the endpoint decode what was put. It fails if lines are missing, unless the program is
// allowed to lose some.
func (b *bench) check(s *sample, p *program, f *file, form form) (err error) {
	s.answer, err = b.endpoint.ask(order{Do: "check", Form: form, Lines: f.Lines, Sum: f.Sum})
	if err != nil {
		return err
	}
	if len(s.answer.Problems) == 0 {
		return nil
	}
	s.lost = strings.Join(s.answer.Problems, "; ")
	if form == formFound {
		return nil
	}
	return fmt.Errorf("%s, %s: %s", p.name, filepath.Base(f.path), s.lost)
}

// shipOurs runs perstack-shipper on a workload, with an empty journal folder.
func (b *bench) shipOurs(f *file, tls bool, latency time.Duration, args ...string) (sample, error) {
	return b.shipFresh(b.ours(tls, args...), f, latency)
}

// shipFresh is shipOurs for a perstack-shipper with other options.
func (b *bench) shipFresh(p *program, f *file, latency time.Duration) (sample, error) {
	if err := os.RemoveAll(b.journal()); err != nil {
		return sample{}, err
	}
	return b.ship(p, f, formShipper, latency)
}

// limit runs one of the limit rows, which measure themselves.
func (b *bench) limit(role string, f *file, tls bool) (sample, error) {
	if err := b.endpoint.reset(0); err != nil {
		return sample{}, err
	}
	var did spent
	if err := b.call(&did, b.env(tls), role, f.path, fmt.Sprint(f.Lines)); err != nil {
		return sample{}, err
	}
	return sample{
		usage: usage{wall: time.Duration(did.Wall), cpu: time.Duration(did.CPU)}, events: did.Events, bytes: did.Bytes,
	}, nil
}

func asJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil { // cannot fail for plain structs
		panic(err)
	}
	return string(data)
}
