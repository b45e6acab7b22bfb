package main

// This file measures a quiet agent: how long lines wait to be accepted, and what waiting costs.

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

const (
	quietRate = 100 // lines per second
	// idleFirst is how long an idle process is left alone before its CPU time counts.
	idleFirst = 3 * time.Second
	// flushInterval is the default of --flush-interval, and the Go loop's interval.
	flushInterval = time.Second
)

// quietResult is the result of quiet inputs, one value per round.
type quietResult struct {
	oursHalf, oursMost []float64 // p50 and p99 from writing a line to its acceptance, milliseconds
	loopHalf, loopMost []float64
	oursCPU, oursRSS   []float64 // of the process at 100 lines per second: % of a core, peak MB
	idleCPU, idleRSS   []float64 // of an idle process: percent of a core, MB at the end
	exits              []float64 // from the last line to the exit, milliseconds
}

// quietly runs rounds of three concurrent processes: perstack-shipper and the Go loop at 100 lines
// per second, and an idle perstack-shipper.
func (b *bench) quietly() error {
	var r quietResult
	for range b.runs {
		if err := b.quietRound(&r); err != nil {
			return err
		}
	}
	b.report.quiet = &r
	half, most := float64(flushInterval.Milliseconds())/2+20, float64(flushInterval.Milliseconds())+50
	b.report.judge(4, "100 lines/s: p50 from line written to accepted", fmt.Sprintf("at most %.0f ms", half), fmt.Sprintf("%.0f ms", median(r.oursHalf)), median(r.oursHalf) <= half)
	b.report.judge(4, "100 lines/s: p99", fmt.Sprintf("at most %.0f ms", most), fmt.Sprintf("%.0f ms", median(r.oursMost)), median(r.oursMost) <= most)
	b.report.judge(4, "idle CPU", "under 0.2 % of a core", fmt.Sprintf("%.3f %%", median(r.idleCPU)), median(r.idleCPU) < 0.2)
	b.report.judge(4, "idle RSS", "at most 24 MB", fmt.Sprintf("%.1f MB", median(r.idleRSS)), median(r.idleRSS) <= 24)
	return nil
}

func (b *bench) quietRound(r *quietResult) error {
	if err := errors.Join(b.endpoint.reset(0), os.RemoveAll(b.journal())); err != nil {
		return err
	}
	lines := int(b.quiet.Seconds() * quietRate)
	base := b.began.UnixMilli()
	ours := workload{Lines: lines, Jobs: 1, Base: base}
	loop := workload{Lines: lines, Jobs: 1, Base: base, First: 1_000_000}
	idle := workload{Lines: shortLines, Jobs: 1, Base: base, First: 2_000_000}

	waiting, err := b.ours(false).start()
	if err != nil {
		return err
	}
	waited := make(chan error, 1)
	go func() { waited <- b.idle(waiting, &idle, r) }()
	looped := make(chan error, 1)
	var loopAt []int64
	go func() {
		var err error
		loopAt, _, err = b.quietRun(b.looped(false), &loop)
		looped <- err
	}()
	oursAt, s, err := b.quietRun(b.ours(false), &ours)
	if err := errors.Join(err, <-looped, <-waited); err != nil {
		return err
	}
	for _, run := range []struct {
		w          *workload
		at         []int64
		half, most *[]float64
	}{{&ours, oursAt, &r.oursHalf, &r.oursMost}, {&loop, loopAt, &r.loopHalf, &r.loopMost}} {
		var delays []float64
		if err := b.arrived(run.w, run.at, &delays); err != nil {
			return err
		}
		slices.Sort(delays)
		*run.half, *run.most = append(*run.half, delays[len(delays)/2]), append(*run.most, delays[len(delays)*99/100])
	}
	r.oursCPU = append(r.oursCPU, 100*s.cpu.Seconds()/s.wall.Seconds())
	r.oursRSS = append(r.oursRSS, s.megabytesRSS())
	r.exits = append(r.exits, exitMilliseconds(&s))
	return b.arrived(&idle, nil)
}

// quietRun writes w to p at the quiet rate.
func (b *bench) quietRun(p *program, w *workload) ([]int64, sample, error) {
	run, err := p.start()
	if err != nil {
		return nil, sample{}, err
	}
	at, err := run.pace(w, time.Second/quietRate)
	closed := time.Now()
	err = errors.Join(err, run.stdin.Close())
	u, ended := run.wait()
	return at, sample{usage: u, exit: time.Since(closed)}, errors.Join(err, ended)
}

// idle writes a few lines to a process and then nothing.
func (b *bench) idle(run *process, w *workload, r *quietResult) error {
	if _, err := run.pace(w, time.Millisecond); err != nil {
		return err
	}
	time.Sleep(min(idleFirst, b.quiet/2)) // by then its lines are put and the runtime is at rest
	before, err := threadsCPU(run.cmd.Process.Pid)
	if err != nil {
		return err
	}
	began := time.Now()
	time.Sleep(b.quiet - min(idleFirst, b.quiet/2)) // the time that is measured
	after, err := threadsCPU(run.cmd.Process.Pid)
	if err != nil {
		return err
	}
	rss, err := residentBytes(run.cmd.Process.Pid)
	if err != nil {
		return err
	}
	r.idleCPU = append(r.idleCPU, 100*(after-before).Seconds()/time.Since(began).Seconds())
	r.idleRSS = append(r.idleRSS, float64(rss)/1e6)
	if err := run.stdin.Close(); err != nil {
		return err
	}
	_, err = run.wait()
	return err
}
