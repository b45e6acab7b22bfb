package report

// This file lays out the timeline: one row per run, with time running from left to right. All
// lengths are in the units of an SVG of fixed width.

import (
	"fmt"
	"slices"
	"strings"
)

const (
	chartWidth  = 1080
	labelWidth  = 210
	plotRight   = chartWidth - 70
	rowHeight   = 30
	chartTop    = 34
	maxChart    = 150 // rows; further runs are only counted
	breakWidth  = 44  // of a cut-out stretch of time in which nothing happened
	indent      = 14
	maxDepth    = 6 // of the indentation
	markSpacing = 3 // marks closer to each other are drawn as one
)

// timeline is what the page draws.
type timeline struct {
	width, height int
	plotTop       int
	plotBottom    int
	plotHeight    int
	ticks         []tick
	breaks        []cutout
	rows          []chartRow
	legend        []chartMark // the marks that are used
	more          int64       // runs without a row
}

// tick is a time on the axis.
type tick struct {
	x    float64
	text string
}

// cutout is a cut-out stretch of time.
type cutout struct {
	x, width, middle float64
	text             string
}

// chartRow is the row of a run.
type chartRow struct {
	top            int
	middle, labelX int
	right          float64 // the right edge of the row's last mark
	label, title   string
	class          string // CSS class of the Expert's colour
	depth          int
	bar            bar
	spans          []bar
	marks          []chartMark
	end            chartMark
	duration       string
}

// bar is a stretch of time in a row.
type bar struct {
	x, y, w, h  float64
	what, title string
}

// chartMark is the shape of something that happened at a point in time.
type chartMark struct {
	x, y        float64
	what, title string
}

// timeline lays out the runs, or returns nil if there are none.
func (r *Report) timeline(palette *palette) *timeline {
	tree := r.runs.tree()
	tree = slices.DeleteFunc(tree, func(p placed) bool { return p.first == 0 })
	if len(tree) == 0 {
		return nil
	}
	s := newScale(r.runs.all)
	t := &timeline{width: chartWidth, plotTop: chartTop - 8, ticks: s.ticks()}
	for i := 1; i < len(s.parts); i++ {
		gap := s.parts[i].from - s.parts[i-1].to
		t.breaks = append(t.breaks, cutout{s.parts[i].x - breakWidth, breakWidth, s.parts[i].x - breakWidth/2, duration(gap)})
	}
	if len(tree) > maxChart {
		t.more = int64(len(tree) - maxChart)
		tree = tree[:maxChart]
	}
	for i, p := range tree {
		t.rows = append(t.rows, newChartRow(&s, p, i, palette))
	}
	t.setLegend()
	t.plotBottom = chartTop + rowHeight*len(t.rows)
	t.plotHeight = t.plotBottom - t.plotTop
	if t.height = t.plotBottom + 6; len(t.breaks) > 0 {
		t.height += 12
	}
	return t
}

func newChartRow(s *scale, p placed, i int, palette *palette) chartRow {
	middle := chartTop + i*rowHeight + rowHeight/2
	depth := min(p.depth, maxDepth)
	row := chartRow{
		top: middle - rowHeight/2, middle: middle, labelX: depth * indent, depth: depth,
		class: palette.class(p.expert), duration: duration(p.last - p.first),
	}
	name := p.expert
	if name == "" {
		name = "runtime"
	}
	row.label = fit(name, (labelWidth-24-row.labelX)/7)
	row.title = fmt.Sprintf("%s, run %s: %s, %d steps, %d calls of the model, %d of tools", name, p.id, p.says(), p.steps, p.calls, p.tools)
	if p.before != nil {
		row.title += ", continues run " + p.before.id
	}
	row.bar = newBar(s, span{"run", p.first, p.last}, middle, row.title)
	for _, sp := range p.spans {
		title := map[string]string{"model": "the model", "tools": "tools", "wait": "waits"}[sp.what]
		b := newBar(s, sp, middle, title+", "+duration(sp.to-sp.from))
		if n := len(row.spans); n > 0 && row.spans[n-1].what == b.what && b.x+b.w-row.spans[n-1].x < 1 {
			continue // invisible behind the previous bar
		}
		row.spans = append(row.spans, b)
	}
	last := map[string]float64{}
	for _, m := range p.marks {
		x := s.x(m.at)
		if m.what == "error" && p.outcome == failed || m.what == "ask" && p.outcome == asking {
			continue // the mark at the end of the run shows it
		}
		if at, ok := last[m.what]; ok && x-at < markSpacing {
			continue
		}
		last[m.what] = x
		row.marks = append(row.marks, chartMark{x, float64(middle), m.what, map[string]string{
			"retry": "a call of the model failed and was retried", "error": "an error", "toolerror": "a tool reported an error",
			"ask": "asks a person", "delegate": "delegates",
		}[m.what]})
	}
	end := map[outcome]string{completed: "completed", failed: "failed", outOfSteps: "steps", delegated: "delegated", asking: "asking", unfinished: "unfinished"}
	row.end = chartMark{s.x(p.last), float64(middle), end[p.outcome], p.says()}
	row.right = row.end.x + 12
	return row
}

// says puts the outcome into words.
func (r *run) says() string {
	if r.outcome == unfinished {
		return "no end was seen"
	}
	return string(r.outcome)
}

// newBar returns the bar of a span: a band for the run, and narrower bars on it for the model,
// tools and waiting.
func newBar(s *scale, sp span, middle int, title string) bar {
	x := s.x(sp.from)
	b := bar{x: x, w: tenths(max(s.x(sp.to)-x, 1.5)), what: sp.what, title: title}
	switch sp.what {
	case "run":
		b.y, b.h = float64(middle)-9, 18
	case "model":
		b.y, b.h = float64(middle)-9, 12
	case "tools":
		b.y, b.h = float64(middle)+4, 5
	case "wait":
		b.y, b.h = float64(middle)-0.75, 1.5
	}
	return b
}

// path returns the SVG path of a mark.
func path(m chartMark) string {
	at := func(points ...float64) string {
		var b strings.Builder
		for i := 0; i < len(points); i += 2 {
			fmt.Fprintf(&b, "%c%.1f %.1f", "ML"[min(i, 1)], m.x+points[i], m.y+points[i+1])
		}
		return b.String()
	}
	switch m.what {
	case "retry":
		return at(0, -5.5, 5, 4, -5, 4) + "Z"
	case "delegate":
		return at(0, -4.5, 4.5, 0, 0, 4.5, -4.5, 0) + "Z"
	case "steps":
		return at(-4.5, -4.5, 4.5, -4.5, 4.5, 4.5, -4.5, 4.5) + "Z"
	case "completed":
		return at(-4.5, 0, -1.5, 3.5, 4.5, -4)
	case "unfinished":
		return at(-2, -7, 2, -3) + at(2, -3, -2, 1) + at(-2, 1, 2, 5)
	}
	return at(-4, -4, 4, 4) + at(4, -4, -4, 4)
}

// setLegend sets the legend to the marks that are used.
func (t *timeline) setLegend() {
	there := map[string]bool{}
	for i := range t.rows {
		there[t.rows[i].end.what] = true
		for _, m := range t.rows[i].marks {
			there[m.what] = true
		}
		for _, s := range t.rows[i].spans {
			there[s.what] = true
		}
	}
	for _, m := range [][2]string{
		{"model", "the model at work"}, {"tools", "tools"}, {"wait", "waiting"}, {"completed", "completed"}, {"delegate", "delegates"},
		{"ask", "asks a person"}, {"asking", "waits for a person"}, {"retry", "retry"}, {"toolerror", "a tool's error"},
		{"error", "error"}, {"failed", "stopped by an error"}, {"steps", "out of steps"}, {"unfinished", "no end was seen"},
	} {
		if there[m[0]] {
			t.legend = append(t.legend, chartMark{8, 7, m[0], m[1]})
		}
	}
}
