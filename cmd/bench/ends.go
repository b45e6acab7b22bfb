package main

// This file measures durations: of a run of a few lines, and of the end of a long run after its
// last line.

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// lifeResult is how long processes run.
type lifeResult struct {
	name    string
	latency time.Duration
	samples []sample
}

const (
	shortLines = 15   // of a run without tools
	pacedRate  = 1000 // lines per second of a long run
)

// ends ships runs of 15 lines, and ends runs of a few seconds.
func (b *bench) ends() error {
	short, err := b.generate("short", workload{Lines: shortLines, Jobs: 1})
	if err != nil {
		return err
	}
	version := &program{name: "perstack-shipper version", argv: []string{b.program, "version"}}
	lives := []lifeResult{
		{name: "perstack-shipper version: a process that does nothing"},
		{name: "Go loop, 15 lines"}, {name: "perstack-shipper, 15 lines"},
		{name: "Go loop, 15 lines", latency: farLatency}, {name: "perstack-shipper, 15 lines", latency: farLatency},
	}
	for range 2 * b.runs { // twice as often, because they are short
		for i := range lives {
			var s sample
			var err error
			switch i {
			case 0:
				s, err = lifeOf(version)
			case 1, 3:
				s, err = b.ship(b.looped(false), short, formLine, lives[i].latency)
			default:
				s, err = b.shipOurs(short, false, lives[i].latency)
				if err == nil && (s.answer.Puts != 1 || s.answer.Creates != 1) {
					err = fmt.Errorf("a run of %d lines took %d puts and %d other calls, want one each", shortLines, s.answer.Puts, s.answer.Creates)
				}
			}
			if err != nil {
				return err
			}
			lives[i].samples = append(lives[i].samples, s)
		}
	}
	b.report.lives = lives
	for _, i := range []int{2, 4} {
		life, most := medianOf(lives[i].samples, milliseconds), 60+2*float64(lives[i].latency.Milliseconds())
		b.report.judge(5, fmt.Sprintf("duration of a 15-line run, endpoint at %d ms", lives[i].latency.Milliseconds()), fmt.Sprintf("at most %.0f ms", most), fmt.Sprintf("%.0f ms", life), life <= most)
	}
	return b.longEnds()
}

func milliseconds(s *sample) float64     { return s.wall.Seconds() * 1e3 }
func exitMilliseconds(s *sample) float64 { return s.exit.Seconds() * 1e3 }

func lifeOf(p *program) (sample, error) {
	run, err := p.start()
	if err != nil {
		return sample{}, err
	}
	if err := run.stdin.Close(); err != nil {
		return sample{}, err
	}
	u, err := run.wait()
	return sample{usage: u}, err
}

// longEnds ends runs of which all but the last second has been accepted, with a near and a far
// endpoint.
func (b *bench) longEnds() error {
	for _, latency := range []time.Duration{0, farLatency} {
		life := lifeResult{name: "perstack-shipper, from the last line of a long run to the exit", latency: latency}
		for n := range b.runs {
			s, err := b.longEnd(latency, 1300*time.Millisecond+time.Duration(n)*137*time.Millisecond)
			if err != nil {
				return err
			}
			life.samples = append(life.samples, s)
		}
		b.report.exits = append(b.report.exits, life)
		exit, most := medianOf(life.samples, exitMilliseconds), 20+float64(latency.Milliseconds())
		b.report.judge(5, fmt.Sprintf("from the last line of a long run to the exit, endpoint at %d ms", latency.Milliseconds()), fmt.Sprintf("at most %.0f ms", most), fmt.Sprintf("%.0f ms", exit), exit <= most)
	}
	return nil
}

// longEnd writes pacedRate lines per second for the given time, and ends the input in the middle of
// a flush interval.
func (b *bench) longEnd(latency, lasts time.Duration) (sample, error) {
	if err := errors.Join(b.endpoint.reset(latency), os.RemoveAll(b.journal())); err != nil {
		return sample{}, err
	}
	run, err := b.ours(false).start()
	if err != nil {
		return sample{}, err
	}
	w := workload{Lines: int(lasts.Seconds() * pacedRate), Jobs: 1, Base: b.began.UnixMilli()}
	if _, err := run.pace(&w, time.Second/pacedRate); err != nil {
		return sample{}, errors.Join(err, run.cmd.Process.Kill())
	}
	closed := time.Now()
	if err := run.stdin.Close(); err != nil {
		return sample{}, err
	}
	u, err := run.wait()
	if err != nil {
		return sample{}, err
	}
	s := sample{usage: u, events: w.Lines, exit: time.Since(closed)}
	return s, b.arrived(&w, nil)
}

// pace writes the lines of w to the process, one per interval, and returns when each was written,
// in nanoseconds since 1970.
func (p *process) pace(w *workload, interval time.Duration) ([]int64, error) {
	at := make([]int64, w.Lines)
	var line []byte
	began := time.Now()
	for i := range w.Lines {
		time.Sleep(time.Until(began.Add(time.Duration(i) * interval))) // keep the pace
		line = w.appendLine(line[:0], w.First+i)
		at[i] = time.Now().UnixNano()
		if _, err := p.stdin.Write(line); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", p.name, err, lastLines(p.stderr.String()))
		}
	}
	return at, nil
}

// arrived checks that each line of w was accepted, and appends to delays how long after it was
// written, in milliseconds.
func (b *bench) arrived(w *workload, written []int64, delays ...*[]float64) error {
	a, err := b.endpoint.ask(order{Do: "accepted", First: w.First, Lines: w.Lines})
	if err != nil {
		return err
	}
	for i, at := range a.Accepted {
		if at == 0 {
			return fmt.Errorf("line %d never arrived", w.First+i)
		}
		for _, to := range delays {
			*to = append(*to, float64(at-written[i])/1e6)
		}
	}
	return nil
}
