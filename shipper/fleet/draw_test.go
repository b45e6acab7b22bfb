package fleet

// This file draws the charts and the table of docs/fleet.md.

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// row is a scenario with its result.
type row struct {
	scenario scenario
	result   result
	summary  summary
}

// document writes a chart for each of rows into dir, and the table into dir/fleet.md, between its
// markers.
func document(t *testing.T, dir string, n int, rows []row) {
	const begin, end = "<!-- begin table -->\n", "<!-- end table -->\n"
	page := filepath.Join(dir, "fleet.md")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := bytes.Cut(text, []byte(begin))
	_, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok1 || !ok2 {
		t.Fatalf("%s lacks the markers %q and %q", page, begin, end)
	}
	text = append([]byte(string(before)+begin+table(n, rows)+end), after...)
	if err := os.WriteFile(page, text, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if err := os.WriteFile(filepath.Join(dir, "fleet-"+r.scenario.name+".svg"), []byte(curves(r)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func table(n int, rows []row) string {
	var b strings.Builder
	p := func(format string, a ...any) { fmt.Fprintf(&b, format, a...) }
	p("\n%d tasks.\n\n", n)
	p("| scenario | puts | throttled | failed | lost | twice | wave | backlog gone after (minimum by quota) | lag p50, p99, max (s) |\n")
	p("|---|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	var took time.Duration
	var memory uint64
	for _, r := range rows {
		total := func(of func(second) int) int {
			return r.result.count(0, time.Duration(len(r.result.seconds))*time.Second, of)
		}
		drained := "–"
		if r.summary.allowed > 0 {
			drained = fmt.Sprintf("%.0f s (%.0f s)", r.summary.drained.Seconds(), r.summary.allowed.Seconds())
		}
		p("| [%s](#%s) | %d | %d | %d | %d | %d | %.2f | %s | %.1f, %.1f, %.1f |\n", r.scenario.name, r.scenario.name,
			total(func(s second) int { return s.accepted }), total(func(s second) int { return s.throttled }), total(func(s second) int { return s.failed }),
			r.result.lost, r.result.twice, r.summary.wave, drained, r.summary.p50, r.summary.p99, r.summary.most)
		took += r.result.took
		memory = max(memory, r.result.memory)
	}
	p("\nThe simulation took %s of real time and %d MB of memory", took.Round(time.Second), memory>>20)
	if shards := rows[0].result.shards; shards > 1 {
		p("; it ran as %d successive fleets, each with its share of the quotas, because one process could not open enough files for all tasks", shards)
	}
	p(".\n\n")
	for _, r := range rows {
		p("### %s\n\n%s\n\n![%s](fleet-%s.svg)\n\n", r.scenario.name, r.scenario.about, r.scenario.name, r.scenario.name)
	}
	return b.String()
}

// Dimensions of a picture with two charts, one above the other, in pixels.
const (
	wide, left, right     = 900.0, 64.0, 16.0
	callsTop, callsHigh   = 34.0, 190.0
	lagTop, lagHigh, tall = 268.0, 130.0, 434.0
)

// curves draws the calls per second and the lags over time.
func curves(r row) string {
	s := &r.result.series
	seconds := len(s.seconds)
	x := func(second float64) float64 { return left + (wide-left-right)*second/float64(seconds) }

	var b strings.Builder
	p := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	p(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="sans-serif" font-size="12">`, wide, tall)
	p(`<rect width="100%%" height="100%%" fill="#fff"/>`)

	// Calls per second. Peaks above the frame, such as the first calls of an outage, are cut off,
	// and the title gives their height.
	quota := r.scenario.quotas.puts
	all := make([]float64, seconds)
	parts := [4][]float64{}
	for i := range parts {
		parts[i] = make([]float64, seconds)
	}
	for i, sec := range s.seconds {
		all[i] = float64(sec.calls)
		parts[0][i] = float64(sec.accepted + sec.created)
		parts[1][i] = parts[0][i] + float64(sec.throttled)
		parts[2][i] = parts[1][i] + float64(sec.failed)
		parts[3][i] = all[i]
	}
	peak := 0.0
	for _, c := range all {
		peak = max(peak, c)
	}
	high := nice(min(peak, max(3*slices.Sorted(slices.Values(all))[seconds*95/100], 1)))
	y := func(v float64) float64 { return callsTop + callsHigh*(1-min(v, high)/high) }
	cut := ""
	if peak > high {
		cut = fmt.Sprintf(" (max: %.0f)", peak)
	}
	p(`<text x="%.0f" y="20">calls per second%s</text>`, left, cut)
	for i, kind := range []struct{ name, color string }{{"accepted", "#2a78b5"}, {"throttled", "#e8a33d"}, {"failed", "#c8443c"}, {"not created yet", "#9a9a9a"}} {
		p(`<rect x="%.0f" y="10" width="12" height="12" fill="%s"/><text x="%.0f" y="20">%s</text>`, 430+float64(i)*112, kind.color, 447+float64(i)*112, kind.name)
	}
	colors := []string{"#2a78b5", "#e8a33d", "#c8443c", "#9a9a9a"}
	for i := len(parts) - 1; i >= 0; i-- { // the largest first, so that it is behind the others
		var path strings.Builder
		fmt.Fprintf(&path, "M%.1f %.1f", x(0), y(0))
		for at, v := range parts[i] {
			fmt.Fprintf(&path, "V%.1fH%.1f", y(v), x(float64(at+1)))
		}
		fmt.Fprintf(&path, "V%.1fZ", y(0))
		p(`<path d="%s" fill="%s"/>`, path.String(), colors[i])
	}
	axis(p, callsTop, callsHigh, []float64{0, high / 2, high}, y, "%.0f")
	if quota <= high {
		p(`<path d="M%.0f %.1fH%.0f" stroke="#222" stroke-dasharray="5 4"/><text x="%.0f" y="%.1f" text-anchor="end">quota for puts</text>`,
			left, y(quota), wide-right, wide-right, y(quota)-4)
	}

	// Lags, on a logarithmic scale.
	const least, most = 0.1, 1000.0
	ly := func(v float64) float64 {
		return lagTop + lagHigh*(1-math.Log(max(v, least)/least)/math.Log(most/least))
	}
	p(`<text x="%.0f" y="%.0f">lag of accepted lines (s)</text>`, left, lagTop-12)
	for i, kind := range []struct{ name, color string }{{"median", "#2a78b5"}, {"99 %", "#e8a33d"}, {"longest", "#c8443c"}} {
		var path strings.Builder
		move := "M"
		for w := range s.lags {
			if len(s.lags[w]) == 0 {
				move = "M"
				continue
			}
			var q [3]float64
			q[0], q[1], q[2] = s.quantiles(w, w+1)
			fmt.Fprintf(&path, "%s%.1f %.1f", move, x((float64(w)+0.5)*window.Seconds()), ly(q[i]))
			move = "L"
		}
		p(`<path d="%s" fill="none" stroke="%s" stroke-width="1.6"/>`, path.String(), kind.color)
		p(`<rect x="%.0f" y="%.0f" width="12" height="12" fill="%s"/><text x="%.0f" y="%.0f">%s</text>`,
			542+float64(i)*112, lagTop-22, kind.color, 559+float64(i)*112, lagTop-12, kind.name)
	}
	axis(p, lagTop, lagHigh, []float64{0.1, 1, 10, 100, 1000}, ly, "%g")
	for at := 0; at <= seconds; at += 60 {
		p(`<text x="%.1f" y="%.0f" text-anchor="middle">%d</text>`, x(float64(at)), lagTop+lagHigh+16, at/60)
	}
	p(`<text x="%.0f" y="%.0f" text-anchor="end">minutes</text>`, wide-right, tall-4)
	p(`</svg>`)
	return b.String()
}

// axis draws the frame of a chart, with lines at the given values.
func axis(p func(string, ...any), top, high float64, values []float64, y func(float64) float64, format string) {
	p(`<path d="M%.0f %.0fV%.0fH%.0f" fill="none" stroke="#222"/>`, left, top, top+high, wide-right)
	for _, v := range values {
		p(`<path d="M%.0f %.1fH%.0f" stroke="#222" stroke-opacity=".15"/><text x="%.0f" y="%.1f" text-anchor="end">`+format+`</text>`,
			left, y(v), wide-right, left-6, y(v)+4, v)
	}
}

// nice returns a round number that is at least v.
func nice(v float64) float64 {
	step := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 2, 4, 6, 8, 10} {
		if f*step >= v {
			return f * step
		}
	}
	return v
}
