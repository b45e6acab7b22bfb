package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// render returns the report as Markdown.
func (b *bench) render() string {
	var out strings.Builder
	m := b.describeMachine()
	p := func(format string, a ...any) { fmt.Fprintf(&out, format+"\n", a...) }
	p("# Benchmarks\n")
	p("Written by `make bench`. `make bench-micro` measures each stage by itself. The ratios are what matters; absolute figures are for orientation.\n")
	p("| | |\n|---|---|")
	p("| date | %s |", b.began.UTC().Format("2006-01-02 15:04 UTC"))
	p("| commit | %s |", m.commit)
	p("| machine | %s; %s memory; %s; journal on %s |", m.cpu, m.memory, m.kernel, m.disk)
	p("| Go | %s |", m.goVersion)
	p("| scale | %g (1 is 2,000,000 deltas); medians of %d runs per row, taken in turn, with minimum and maximum in brackets |", b.scale, b.runs)
	p("| took | %.0f s |", time.Since(b.began).Seconds())
	p("| other load on the machine | %s |", b.otherLoad())
	p("\nMB and GB are 10^6 and 10^9 bytes; rates and costs count the input's lines. CPU is the user and system time that the kernel reports when the process ends, as is peak RSS")
	p("(which cannot be less than %.0f MB, the parent's). After each run, every body was decoded: each line arrived exactly once, byte for byte, with gapless", float64(ownPeak())/1e6)
	p("`seq`, in batches that CloudWatch accepts. Time and CPU cover a process's whole life, including start and exit; for the two rows with prepared data,")
	p("they begin once it is prepared.\n")
	b.renderVerdicts(p)
	for _, t := range b.report.throughput {
		b.renderThroughput(p, t)
	}
	b.renderWire(p)
	b.renderLinear(p)
	b.renderBacklog(p)
	b.renderLives(p)
	b.renderQuiet(p)
	b.renderRest(p)
	return out.String()
}

func (b *bench) otherLoad() string {
	var parts []string
	for _, n := range b.report.noise {
		if n.others >= 0 {
			parts = append(parts, fmt.Sprintf("%s %.2f", n.step, n.others))
		}
	}
	return "cores busy with other work during " + strings.Join(parts, ", ")
}

func (b *bench) renderVerdicts(p func(string, ...any)) {
	if len(b.report.verdicts) == 0 {
		return
	}
	verdicts := slices.Clone(b.report.verdicts)
	slices.SortStableFunc(verdicts, func(x, y verdict) int { return x.number - y.number })
	p("## Targets\n\n| | figure | target | measured | |\n|---|---|---|---|---|")
	for _, v := range verdicts {
		reached := "reached"
		if !v.reached {
			reached = "**missed**"
		}
		p("| %d | %s | %s | %s | %s |", v.number, v.what, v.want, v.got, reached)
	}
	p("")
}

func (b *bench) renderThroughput(p func(string, ...any), t *throughputTable) {
	over := ""
	if t.tls {
		over = ", over TLS"
	}
	ours := find(t.results, rowOurs)
	p("## %s%s\n", t.title, over)
	p("| | events/s | MB/s | CPU s per GB | peak RSS, MB | puts | speed relative to perstack-shipper | CPU per GB relative to it |\n|---|---|---|---|---|---|---|---|")
	for _, r := range t.results {
		rss, puts := "", ""
		if r.samples[0].rss > 0 {
			rss, puts = spread(valuesOf(r.samples, (*sample).megabytesRSS), decimals(1)), fmt.Sprint(r.samples[0].answer.Puts)
		}
		p("| %s | %s | %s | %s | %s | %s | %.2f | %.2f |", r.name,
			spread(valuesOf(r.samples, (*sample).eventsPerSecond), thousands),
			spread(valuesOf(r.samples, (*sample).megabytesPerSecond), decimals(0)),
			spread(valuesOf(r.samples, (*sample).cpuPerGB), decimals(2)), rss, puts,
			r.median((*sample).megabytesPerSecond)/ours.median((*sample).megabytesPerSecond),
			r.median((*sample).cpuPerGB)/ours.median((*sample).cpuPerGB))
	}
	p("")
	for _, r := range t.results {
		for _, s := range r.samples {
			if s.lost != "" {
				p("%s: %s\n", r.name, s.lost)
				break
			}
		}
	}
}

func (b *bench) renderLinear(p func(string, ...any)) {
	if b.report.linear == nil {
		return
	}
	p("## Cost by lines and by streams\n\n| perstack-shipper | lines | CPU s | CPU s per GB | events/s | peak RSS, MB | puts |\n|---|---|---|---|---|---|---|")
	for _, r := range b.report.linear {
		p("| %s | %s | %s | %.2f | %s | %s | %d |", r.name, thousands(float64(r.samples[0].events)),
			spread(valuesOf(r.samples, func(s *sample) float64 { return s.cpu.Seconds() }), decimals(2)), r.median((*sample).cpuPerGB),
			thousands(r.median((*sample).eventsPerSecond)), spread(valuesOf(r.samples, (*sample).megabytesRSS), decimals(1)), r.samples[0].answer.Puts)
	}
	p("")
}

func (b *bench) renderBacklog(p func(string, ...any)) {
	if b.report.latency != nil {
		p("## A backlog of one stream, every put answered after 50 ms\n\n| | MB/s | events/s | fill, mean (minimum) | most puts in flight | answer to next put, ms | peak RSS, MB |\n|---|---|---|---|---|---|---|")
		for _, r := range b.report.latency {
			s := r.samples[0]
			p("| %s | %s | %s | %.1f %% (%.1f %%) | %d | %.2f | %s |", r.name, spread(valuesOf(r.samples, drained), decimals(1)),
				thousands(float64(s.events)*1e6*r.median(drained)/float64(s.bytes)), 100*s.answer.FillMean, 100*s.answer.FillMin, s.answer.InFlight,
				r.median(func(s *sample) float64 { return float64(s.answer.GapMedian) / 1e6 }), spread(valuesOf(r.samples, (*sample).megabytesRSS), decimals(1)))
		}
		p("")
	}
	if r := b.report.reader; r != nil {
		p("## Endpoint stopped: how fast the input is read\n\n| %.2f GB | MB/s | CPU s per GB | peak RSS, MB |\n|---|---|---|---|", float64(r.ours[0].bytes)/1e9)
		for _, row := range []result{{"cat >file", r.cat}, {rowOurs, r.ours}} {
			p("| %s | %s | %s | %s |", row.name, spread(valuesOf(row.samples, (*sample).megabytesPerSecond), decimals(0)),
				spread(valuesOf(row.samples, (*sample).cpuPerGB), decimals(2)), spread(valuesOf(row.samples, (*sample).megabytesRSS), decimals(1)))
		}
		s := &r.backlog
		p("\nA process that ships the journal of a killed one, %.2f GB: %.0f MB/s, %.2f CPU s per GB, peak RSS %.1f MB.\n", float64(s.bytes)/1e9, s.megabytesPerSecond(), s.cpuPerGB(), s.megabytesRSS())
	}
	if r := b.report.away; r != nil {
		p("## Endpoint away for %.0f s under full input\n", r.away.Seconds())
		p("%.2f GB of lines, more than the journal may hold: %.1f s in total, %.2f CPU s per GB, peak RSS %.1f MB.\n", float64(r.bytes)/1e9, r.wall.Seconds(), r.cpuPerGB(), r.megabytesRSS())
	}
}

func (b *bench) renderLives(p func(string, ...any)) {
	if b.report.lives == nil {
		return
	}
	p("## Durations\n\n| | endpoint's latency, ms | ms |\n|---|---|---|")
	for _, l := range b.report.lives {
		p("| %s | %d | %s |", l.name, l.latency.Milliseconds(), spread(valuesOf(l.samples, milliseconds), decimals(0)))
	}
	for _, l := range b.report.exits {
		p("| %s | %d | %s |", l.name, l.latency.Milliseconds(), spread(valuesOf(l.samples, exitMilliseconds), decimals(0)))
	}
	p("")
}

func (b *bench) renderQuiet(p func(string, ...any)) {
	r := b.report.quiet
	if r == nil {
		return
	}
	p("## Quiet: 100 lines/s for %.0f s\n\n| from writing a line to its acceptance | p50, ms | p99, ms |\n|---|---|---|", b.quiet.Seconds())
	p("| Go loop | %s | %s |", spread(r.loopHalf, decimals(0)), spread(r.loopMost, decimals(0)))
	p("| perstack-shipper | %s | %s |\n", spread(r.oursHalf, decimals(0)), spread(r.oursMost, decimals(0)))
	p("At 100 lines/s: %s %% of a core, peak RSS %s MB, %s ms from the last line to the exit.", spread(r.oursCPU, decimals(2)), spread(r.oursRSS, decimals(1)), spread(r.exits, decimals(0)))
	p("Idle: %s %% of a core, RSS %s MB.\n", spread(r.idleCPU, decimals(3)), spread(r.idleRSS, decimals(1)))
}

func (b *bench) renderRest(p func(string, ...any)) {
	if b.report.reader != nil {
		p("## The cost of each step on this machine\n")
	}
	b.renderFloors(p, false)
	b.renderFloors(p, true)
	if r := b.report.size; r != nil {
		p("## Size\n\nBinary, stripped: %.2f MB. Direct dependencies outside tests, %d: %s.\n", float64(r.bytes)/1e6, len(r.modules), strings.Join(r.modules, ", "))
	}
	p("## Commands\n\n    make bench BENCH_SCALE=%g BENCH_RUNS=%d\n    make bench BENCH=quick        # under a minute, writes no file", b.scale, b.runs)
	p("    make bench BENCH_ALSO='name=command that reads stdin'\n    make bench-micro > new.txt    # for benchstat")
}

// renderFloors shows what each step costs by itself, and the rest.
func (b *bench) renderFloors(p func(string, ...any), long bool) {
	t, f := b.report.plain(long), b.report.floorsOf(long)
	if f.Bytes == 0 || t == nil || b.report.reader == nil {
		return
	}
	what := "deltas"
	if long {
		what = "41 KB lines"
	}
	ours, wire := find(t.results, rowOurs), find(t.results, rowHTTP)
	s := &ours.samples[0]
	body := float64(s.answer.Wire) / float64(s.bytes)
	lines := float64(s.answer.Messages) / float64(s.bytes)
	cat := medianOf(b.report.reader.cat, (*sample).cpuPerGB)
	send := wire.median((*sample).cpuPerGB) * lines
	all := ours.median((*sample).cpuPerGB)
	sum := cat + f.perGB(f.Read) + f.perGB(f.Hash)*(1+body) + f.perGB(f.Shape) + send
	p("| %s, each step by itself | CPU s per GB of lines |\n|---|---|", what)
	p("| pipe to page cache (cat >file) | %.2f |", cat)
	p("| read back from the page cache | %.2f |", f.perGB(f.Read))
	p("| digest: SHA-256 over the lines | %.2f |", f.perGB(f.Hash))
	p("| scan, validity, escape, batches | %.2f |", f.perGB(f.Shape))
	p("| signature: SHA-256 over the bodies, %.2f bytes per byte of lines | %.2f |", body, f.perGB(f.Hash)*body)
	p("| send (%s; events have %.2f times the size of their lines) | %.2f |", rowHTTP, lines, send)
	p("| sum of these | %.2f |", sum)
	p("| perstack-shipper | %.2f |", all)
	p("| the rest: start and exit, memory, and contention between the steps | %.2f |", all-sum)
	p("| compression with --compress gzip, which replaces most of signature and send | %.2f |\n", f.perGB(f.Pack))
}

// perGB returns CPU seconds per GB.
func (f *floors) perGB(spent int64) float64 { return float64(spent) / float64(f.Bytes) }

// measureFloors runs the single steps over a file of each kind of lines, as often as rows are run,
// and keeps the medians.
func (b *bench) measureFloors() error {
	for _, w := range []workload{
		{Lines: min(1_000_000, b.count(2_000_000)), Jobs: 1},
		{Lines: min(5_000, 4*b.count(5_000)), Jobs: 1, Long: true},
	} {
		f, err := b.generate("floor", w)
		if err != nil {
			return err
		}
		all := b.report.floorsOf(w.Long)
		var spent [4][]float64
		for range b.runs {
			var once floors
			if err := b.call(&once, nil, "floor", f.path); err != nil {
				return err
			}
			all.Bytes = once.Bytes
			for i, n := range []int64{once.Read, once.Hash, once.Shape, once.Pack} {
				spent[i] = append(spent[i], float64(n))
			}
		}
		for i, n := range []*int64{&all.Read, &all.Hash, &all.Shape, &all.Pack} {
			*n = int64(median(spent[i]))
		}
		if err := b.drop(f); err != nil {
			return err
		}
	}
	return nil
}
