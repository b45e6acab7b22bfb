package main

// This file measures the effects of a slow endpoint and of one that is away.

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// farLatency is the endpoint's latency in tables that have one.
const farLatency = 50 * time.Millisecond

// roundTrips drains one stream into a slow endpoint. With one put at a time, 1 MiB per 50 ms is the
// maximum.
func (b *bench) roundTrips() error {
	f, err := b.generate("latency", workload{Lines: b.count(600_000), Jobs: 1})
	if err != nil {
		return err
	}
	results, err := b.interleave(f, []row{
		{rowLoop, func(f *file) (sample, error) { return b.ship(b.looped(false), f, formLine, farLatency) }},
		{rowOurs, func(f *file) (sample, error) { return b.shipOurs(f, false, farLatency) }},
	})
	if err != nil {
		return err
	}
	b.report.latency = results
	ours := find(results, rowOurs)
	speed, fill := ours.median(drained), ours.median(func(s *sample) float64 { return s.answer.FillMean })
	most := ours.median(func(s *sample) float64 { return float64(s.answer.InFlight) })
	b.report.judge(7, "backlog of one stream at 50 ms", "at least 15 MB/s", fmt.Sprintf("%.1f MB/s", speed), speed >= 15)
	b.report.judge(7, "fill of its batches, as the service counts", "over 98 %", fmt.Sprintf("%.1f %%", 100*fill), fill > 0.98)
	b.report.judge(7, "puts in flight", "1", fmt.Sprintf("%.0f", most), most == 1)
	return b.drop(f)
}

// drained returns the MB/s of lines between the first put and the last answer.
func drained(s *sample) float64 {
	return float64(s.bytes) / 1e6 / (time.Duration(s.answer.Last - s.answer.First).Seconds())
}

// readerResult is how fast an input is read while nothing can be delivered.
type readerResult struct {
	ours, cat []sample // wall: until everything was read
	backlog   sample   // the next process ships the last input, which a kill left behind
}

// reader stops the endpoint and measures how fast the input is read, compared with cat into a file.
// Then a new process ships what the last one left.
func (b *bench) reader() error {
	f, err := b.generate("backlog", workload{Lines: b.count(2_000_000_000 / deltaBytes), Jobs: 1})
	if err != nil {
		return err
	}
	// From a quarter of full scale on, use all of it: reading it takes a second.
	taken, err := b.generate("taken", workload{Lines: min(1_000_000_000, 4*b.count(1_000_000_000)) / deltaBytes, Jobs: 1})
	if err != nil {
		return err
	}
	if err := b.endpoint.reset(0); err != nil {
		return err
	}
	if _, err := b.endpoint.ask(order{Do: "away"}); err != nil {
		return err
	}
	var r readerResult
	for n := range b.runs + 1 {
		input := taken
		if n == b.runs { // the last run leaves the backlog
			input = f
		}
		if err := os.RemoveAll(b.journal()); err != nil {
			return err
		}
		ours, err := b.takenBy(b.ours(false), input)
		if err != nil {
			return err
		}
		if n == b.runs {
			break
		}
		to := filepath.Join(b.dir, "cat")
		cat, err := b.takenBy(&program{name: "cat", argv: []string{"sh", "-c", `exec cat >"$0"`, to}}, input)
		if err = errors.Join(err, os.Remove(to)); err != nil {
			return err
		}
		r.ours, r.cat = append(r.ours, ours), append(r.cat, cat)
	}
	if _, err := b.endpoint.ask(order{Do: "back"}); err != nil {
		return err
	}
	if r.backlog, err = b.shipBacklog(f); err != nil {
		return err
	}
	b.report.reader = &r
	speed := medianOf(r.ours, (*sample).megabytesPerSecond) / medianOf(r.cat, (*sample).megabytesPerSecond)
	b.report.judge(6, "endpoint stopped: input speed relative to cat >file", "at least 0.5 times", fmt.Sprintf("%.2f times", speed), speed >= 0.5)
	rss := r.backlog.megabytesRSS()
	b.report.judge(3, fmt.Sprintf("%.1f GB backlog in the journal: peak RSS", float64(f.Bytes)/1e9), "at most 64 MB", fmt.Sprintf("%.1f MB", rss), rss <= 64)
	return errors.Join(b.drop(f), b.drop(taken))
}

// takenBy runs p until it has read all of the input, and then kills it. cat is not killed, but ends
// by itself.
func (b *bench) takenBy(p *program, f *file) (sample, error) {
	run, err := p.start()
	if err != nil {
		return sample{}, err
	}
	if err := run.feed(f.path); err != nil {
		return sample{}, errors.Join(err, run.cmd.Process.Kill())
	}
	taken := time.Since(run.began)
	var u usage
	if p.name == "cat" {
		u, err = run.wait()
	} else {
		// What is still in the pipe belongs to the backlog as well.
		err = b.waitTaken(run, f.Bytes)
		if u, err = joinUsage(run, err); err == nil {
			u.wall = taken
		}
	}
	return sample{usage: u, events: f.Lines, bytes: f.Bytes}, err
}

func joinUsage(run *process, err error) (usage, error) {
	u, killErr := run.kill()
	return u, errors.Join(err, killErr)
}

// waitTaken waits until the journal holds the given number of bytes.
func (b *bench) waitTaken(run *process, bytes int64) error {
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		if held, err := segmentBytes(b.journal()); err != nil || held >= bytes {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the journal never held the %d bytes of the input: %s", bytes, lastLines(run.stderr.String()))
		}
	}
}

// segmentBytes returns how many bytes of input the journal in dir holds.
func segmentBytes(dir string) (int64, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*", "*.segment"))
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil { // a missing file is already shipped
			sum += info.Size()
		}
	}
	return sum, nil
}

// shipBacklog starts a process without input of its own on the journal that a killed one left.
func (b *bench) shipBacklog(f *file) (sample, error) {
	if err := b.endpoint.reset(0); err != nil {
		return sample{}, err
	}
	p := b.ours(false, "--drain-timeout", "10m")
	run, err := p.start()
	if err != nil {
		return sample{}, err
	}
	if err := run.stdin.Close(); err != nil {
		return sample{}, err
	}
	u, err := run.wait()
	if err != nil {
		return sample{}, err
	}
	s := sample{usage: u, events: f.Lines, bytes: f.Bytes}
	return s, b.check(&s, p, f, formShipper)
}

// awayResult is an input at full speed while the endpoint is away for some time.
type awayResult struct {
	sample
	away time.Duration
}

// away takes the endpoint down while the input arrives as fast as it is read, for longer than the
// journal has room for.
func (b *bench) away() error {
	f, err := b.generate("away", workload{Lines: b.count(3_000_000_000 / deltaBytes), Jobs: 1})
	if err != nil {
		return err
	}
	if err := b.endpoint.reset(0); err != nil {
		return err
	}
	if err := os.RemoveAll(b.journal()); err != nil {
		return err
	}
	p := b.ours(false, "--journal-max", fmt.Sprintf("%dMiB", max(64, b.count(1024))))
	run, err := p.start()
	if err != nil {
		return err
	}
	fed := make(chan error, 1)
	go func() { fed <- run.feed(f.path) }()
	r := &awayResult{away: max(3*time.Second, time.Duration(float64(time.Minute)*b.scale))}
	time.Sleep(200 * time.Millisecond) // by now puts have begun; if not, it does no harm
	if _, err := b.endpoint.ask(order{Do: "away"}); err != nil {
		return err
	}
	time.Sleep(r.away) // the outage that is measured
	if _, err := b.endpoint.ask(order{Do: "back"}); err != nil {
		return err
	}
	err = <-fed
	u, ended := run.wait()
	if err := errors.Join(err, ended); err != nil {
		return err
	}
	r.sample = sample{usage: u, events: f.Lines, bytes: f.Bytes}
	if err := b.check(&r.sample, p, f, formShipper); err != nil {
		return err
	}
	b.report.away = r
	rss := r.megabytesRSS()
	b.report.judge(3, fmt.Sprintf("endpoint away for %.0f s under full input: peak RSS", r.away.Seconds()), "at most 64 MB", fmt.Sprintf("%.1f MB", rss), rss <= 64)
	return b.drop(f)
}
