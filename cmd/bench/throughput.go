package main

import (
	"fmt"
)

// row is a row of a throughput table.
type row struct {
	name string
	run  func(f *file) (sample, error)
}

// result is the result of a row.
type result struct {
	name    string
	samples []sample
}

// interleave runs the rows in turn.
func (b *bench) interleave(f *file, rows []row) ([]result, error) {
	results := make([]result, len(rows))
	for range b.runs {
		for i, r := range rows {
			s, err := r.run(f)
			if err != nil {
				return nil, err
			}
			results[i].name = r.name
			results[i].samples = append(results[i].samples, s)
		}
	}
	return results, nil
}

const (
	rowHTTP, rowSDK, rowLoop = "prepared bodies, unsigned, net/http", "prepared events, SDK client.PutLogEvents", "Go loop: Scanner + SDK"
	rowOwn, rowOurs          = "the same, each event with its own time", "perstack-shipper"
)

// rows returns the programs to compare.
func (b *bench) rows(tls bool) []row {
	rows := []row{
		{rowHTTP, func(f *file) (sample, error) { return b.limit("http", f, tls) }},
		{rowSDK, func(f *file) (sample, error) { return b.limit("sdk", f, tls) }},
		{rowLoop, func(f *file) (sample, error) { return b.ship(b.looped(tls), f, formLine, 0) }},
	}
	if !tls {
		rows = append(rows, row{rowOwn, func(f *file) (sample, error) { return b.ship(b.looped(tls, "own"), f, formLine, 0) }})
	}
	for _, p := range b.also {
		with := *p
		with.env = append(append([]string(nil), p.env...), b.env(tls)...)
		rows = append(rows, row{p.name, func(f *file) (sample, error) { return b.ship(&with, f, formFound, 0) }})
	}
	return append(rows, row{rowOurs, func(f *file) (sample, error) { return b.shipOurs(f, tls, 0) }})
}

// throughput compares all rows on one workload, without and with TLS.
func (b *bench) throughput(name string) error {
	w, title := workload{Lines: b.count(2_000_000), Jobs: 1}, "%s deltas of 350 bytes (%.2f GB)"
	if name == "long" {
		// From a quarter of full scale on, use all of them: they are few bytes.
		w, title = workload{Lines: min(5_000, 4*b.count(5_000)), Jobs: 1, Long: true}, "%s lines of 41 KB, mostly long strings (%.2f GB)"
	}
	f, err := b.generate(name, w)
	if err != nil {
		return err
	}
	plain := b.rows(false)
	results, err := b.interleave(f, append(plain, b.rows(true)...))
	if err != nil {
		return err
	}
	title = fmt.Sprintf(title, thousands(float64(f.Lines)), float64(f.Bytes)/1e9)
	tables := []*throughputTable{
		{title: title, long: name == "long", results: results[:len(plain)]},
		{title: title, long: name == "long", tls: true, results: results[len(plain):]},
	}
	b.report.throughput = append(b.report.throughput, tables...)
	for _, t := range tables {
		b.judgeThroughput(t)
	}
	return nil
}

// find returns the row with the given name.
func find(results []result, name string) *result {
	for i := range results {
		if results[i].name == name {
			return &results[i]
		}
	}
	return nil
}

// judgeThroughput compares the table with the targets.
func (b *bench) judgeThroughput(t *throughputTable) {
	ours, loop, sdk := find(t.results, rowOurs), find(t.results, rowLoop), find(t.results, rowSDK)
	cpu := ours.median((*sample).cpuPerGB) / sdk.median((*sample).cpuPerGB)
	where, number := "deltas", 1
	if t.long {
		where, number = "41 KB lines", 2
	}
	if t.tls {
		where += " over TLS"
		more := ours.median((*sample).cpuPerGB) - find(b.report.plain(t.long).results, rowOurs).median((*sample).cpuPerGB)
		b.report.judge(8, where+": additional CPU seconds per GB", "at most 1", fmt.Sprintf("%.2f", more), more <= 1)
		number = 8
	}
	if t.long {
		speed := ours.median((*sample).megabytesPerSecond) / sdk.median((*sample).megabytesPerSecond)
		b.report.judge(number, where+": MB/s relative to the SDK row", "at least 2.5 times", fmt.Sprintf("%.2f times", speed), speed >= 2.5)
	} else {
		speed := ours.median((*sample).eventsPerSecond) / loop.median((*sample).eventsPerSecond)
		b.report.judge(number, where+": events/s relative to the Go loop", "at least 4 times", fmt.Sprintf("%.2f times", speed), speed >= 4)
	}
	b.report.judge(number, where+": CPU per GB relative to the SDK row", "at most 0.5 times", fmt.Sprintf("%.2f times", cpu), cpu <= 0.5)
	if !t.tls {
		cpuMost, speedLeast := 0.67, 1.6
		if t.long {
			cpuMost, speedLeast = 0.85, 1.5
		}
		speed := ours.median((*sample).eventsPerSecond) / sdk.median((*sample).eventsPerSecond)
		b.report.judge(12, where+": events/s relative to the SDK row", fmt.Sprintf("at least %.1f times", speedLeast), fmt.Sprintf("%.2f times", speed), speed >= speedLeast)
		b.report.judge(12, where+": CPU per GB relative to the SDK row", fmt.Sprintf("at most %.2f times", cpuMost), fmt.Sprintf("%.2f times", cpu), cpu <= cpuMost)
	}
	rss := ours.median((*sample).megabytesRSS)
	b.report.judge(3, where+": peak RSS", "at most 45 MB", fmt.Sprintf("%.1f MB", rss), rss <= 45)
}

// linear ships ten times the lines, and the same lines to many streams.
func (b *bench) linear() error {
	n := b.count(2_000_000)
	kinds := []struct {
		name string
		w    workload
	}{
		{"a tenth of the lines", workload{Lines: n / 10, Jobs: 1}},
		{"1 stream", workload{Lines: n, Jobs: 1}},
		{"10 streams, line by line", workload{Lines: n, Jobs: 10}},
		{"100 streams, line by line", workload{Lines: n, Jobs: 100}},
		{"1,000 jobs, line by line (100 streams)", workload{Lines: n, Jobs: 1000}},
	}
	var rows []row
	for i, k := range kinds {
		name := fmt.Sprintf("linear-%d", i)
		if k.w.Jobs == 1 && k.w.Lines == n {
			name = "deltas"
		}
		f, err := b.generate(name, k.w)
		if err != nil {
			return err
		}
		rows = append(rows, row{k.name, func(*file) (sample, error) { return b.shipOurs(f, false, 0) }})
		if name != "deltas" {
			defer b.drop(f)
		}
	}
	results, err := b.interleave(nil, rows)
	if err != nil {
		return err
	}
	b.report.linear = results
	cpu := func(i int) float64 { return results[i].median(func(s *sample) float64 { return s.cpu.Seconds() }) }
	rss := func(i int) float64 { return results[i].median((*sample).megabytesRSS) }
	tenfold, streams, memory := cpu(1)/cpu(0), cpu(3)/cpu(1), rss(1)/rss(0)
	b.report.judge(9, "10 times the lines: CPU", "10 times, at most 11", fmt.Sprintf("%.1f times", tenfold), tenfold <= 11)
	b.report.judge(9, "10 times the lines: peak RSS", "the same, at most 1.1 times", fmt.Sprintf("%.2f times", memory), memory <= 1.1)
	b.report.judge(9, "100 streams: CPU relative to 1 stream", "less than 1.5 times", fmt.Sprintf("%.2f times", streams), streams < 1.5)
	b.report.judge(3, "1,000 jobs: peak RSS", "at most 64 MB", fmt.Sprintf("%.1f MB", rss(4)), rss(4) <= 64)
	return nil
}
