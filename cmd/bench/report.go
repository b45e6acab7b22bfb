package main

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"perstack-shipper/shipper/quantity"
)

// report holds the results of a run.
type report struct {
	floors     [2]floors // of deltas and of long lines
	throughput []*throughputTable
	wire       []*wireResult
	linear     []result
	latency    []result
	reader     *readerResult
	away       *awayResult
	lives      []lifeResult
	exits      []lifeResult
	quiet      *quietResult
	size       *sizeResult
	noise      []noise
	verdicts   []verdict
}

type throughputTable struct {
	title     string
	long, tls bool
	results   []result
}

// noise is the machine's other load during a step.
type noise struct {
	step   string
	took   time.Duration
	others float64 // cores
}

// verdict is a figure and its target.
type verdict struct {
	number          int // of the target
	what, want, got string
	reached         bool
}

func (r *report) judge(number int, what, want, got string, reached bool) {
	r.verdicts = append(r.verdicts, verdict{number, what, want, got, reached})
}

func (r *report) floorsOf(long bool) *floors {
	if long {
		return &r.floors[1]
	}
	return &r.floors[0]
}

// plain returns the table without TLS.
func (r *report) plain(long bool) *throughputTable {
	for _, t := range r.throughput {
		if t.long == long && !t.tls {
			return t
		}
	}
	return nil
}

func (r *result) median(of func(*sample) float64) float64 { return medianOf(r.samples, of) }

func medianOf(samples []sample, of func(*sample) float64) float64 {
	return median(valuesOf(samples, of))
}

func valuesOf(samples []sample, of func(*sample) float64) []float64 {
	values := make([]float64, len(samples))
	for i := range samples {
		values[i] = of(&samples[i])
	}
	return values
}

// median returns the middle value, or the mean of the two middle ones.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// spread formats the median of values, with the minimum and maximum in brackets.
func spread(values []float64, format func(float64) string) string {
	if len(values) == 0 {
		return ""
	}
	return fmt.Sprintf("%s (%s–%s)", format(median(values)), format(slices.Min(values)), format(slices.Max(values)))
}

// thousands formats a number with three significant digits and commas.
func thousands(v float64) string {
	unit := 1.0
	for v/unit >= 1000 {
		unit *= 10
	}
	return quantity.Number(int64(v/unit+0.5) * int64(unit))
}

// decimals returns a function that formats a number with n decimals.
func decimals(n int) func(float64) string {
	return func(v float64) string { return strconv.FormatFloat(v, 'f', n, 64) }
}
