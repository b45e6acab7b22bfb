package report

import (
	"fmt"
	"slices"
	"strings"
)

// This file lays out the timeline: one row per run, with time running from left to right. All
// lengths are in the units of an SVG of fixed width.

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

// Timeline is what the page draws.
type Timeline struct {
	Width, Height int
	PlotTop       int
	PlotBottom    int
	PlotHeight    int
	Ticks         []Tick
	Breaks        []Break
	Rows          []ChartRow
	Legend        []ChartMark // the marks that are used
	More          int64       // runs without a row
}

// Tick is a time on the axis.
type Tick struct {
	X    float64
	Text string
}

// Break is a cut-out stretch of time.
type Break struct {
	X, Width, Middle float64
	Text             string
}

// ChartRow is the row of a run.
type ChartRow struct {
	Top            int
	Middle, LabelX int
	Right          float64 // the right edge of the row's last mark
	Label, Title   string
	Class          string // CSS class of the Expert's colour
	Depth          int
	Bar            Bar
	Spans          []Bar
	Marks          []ChartMark
	End            ChartMark
	Duration       string
}

// Bar is a stretch of time in a row.
type Bar struct {
	X, Y, W, H  float64
	What, Title string
}

// ChartMark is the shape of something that happened at a point in time.
type ChartMark struct {
	X, Y        float64
	What, Title string
}

// timeline lays out the runs, or returns nil if there are none.
func (r *Report) timeline(palette *palette) *Timeline {
	tree := r.runs.tree()
	tree = slices.DeleteFunc(tree, func(p placed) bool { return p.first == 0 })
	if len(tree) == 0 {
		return nil
	}
	s := newScale(r.runs.all)
	t := &Timeline{Width: chartWidth, PlotTop: chartTop - 8, Ticks: s.ticks()}
	for i := 1; i < len(s.parts); i++ {
		gap := s.parts[i].from - s.parts[i-1].to
		t.Breaks = append(t.Breaks, Break{s.parts[i].x - breakWidth, breakWidth, s.parts[i].x - breakWidth/2, duration(gap)})
	}
	if len(tree) > maxChart {
		t.More = int64(len(tree) - maxChart)
		tree = tree[:maxChart]
	}
	for i, p := range tree {
		t.Rows = append(t.Rows, chartRow(&s, p, i, palette))
	}
	t.legend()
	t.PlotBottom = chartTop + rowHeight*len(t.Rows)
	t.PlotHeight = t.PlotBottom - t.PlotTop
	if t.Height = t.PlotBottom + 6; len(t.Breaks) > 0 {
		t.Height += 12
	}
	return t
}

func chartRow(s *scale, p placed, i int, palette *palette) ChartRow {
	middle := chartTop + i*rowHeight + rowHeight/2
	depth := min(p.depth, maxDepth)
	row := ChartRow{
		Top: middle - rowHeight/2, Middle: middle, LabelX: depth * indent, Depth: depth,
		Class: palette.class(p.expert), Duration: duration(p.last - p.first),
	}
	name := p.expert
	if name == "" {
		name = "runtime"
	}
	row.Label = fit(name, (labelWidth-24-row.LabelX)/7)
	row.Title = fmt.Sprintf("%s, run %s: %s, %d steps, %d calls of the model, %d of tools", name, p.id, p.says(), p.steps, p.calls, p.tools)
	if p.before != nil {
		row.Title += ", continues run " + p.before.id
	}
	row.Bar = bar(s, span{"run", p.first, p.last}, middle, row.Title)
	for _, sp := range p.spans {
		title := map[string]string{"model": "the model", "tools": "tools", "wait": "waits"}[sp.what]
		b := bar(s, sp, middle, title+", "+duration(sp.to-sp.from))
		if n := len(row.Spans); n > 0 && row.Spans[n-1].What == b.What && b.X+b.W-row.Spans[n-1].X < 1 {
			continue // invisible behind the previous bar
		}
		row.Spans = append(row.Spans, b)
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
		row.Marks = append(row.Marks, ChartMark{x, float64(middle), m.what, map[string]string{
			"retry": "a call of the model failed and was retried", "error": "an error", "toolerror": "a tool reported an error",
			"ask": "asks a person", "delegate": "delegates",
		}[m.what]})
	}
	end := map[outcome]string{completed: "completed", failed: "failed", outOfSteps: "steps", delegated: "delegated", asking: "asking", unfinished: "unfinished"}
	row.End = ChartMark{s.x(p.last), float64(middle), end[p.outcome], p.says()}
	row.Right = row.End.X + 12
	return row
}

// says puts the outcome into words.
func (r *run) says() string {
	if r.outcome == unfinished {
		return "no end was seen"
	}
	return string(r.outcome)
}

// bar returns the bar of a span: a band for the run, and narrower bars on it for the model, tools
// and waiting.
func bar(s *scale, sp span, middle int, title string) Bar {
	x := s.x(sp.from)
	b := Bar{X: x, W: tenths(max(s.x(sp.to)-x, 1.5)), What: sp.what, Title: title}
	switch sp.what {
	case "run":
		b.Y, b.H = float64(middle)-9, 18
	case "model":
		b.Y, b.H = float64(middle)-9, 12
	case "tools":
		b.Y, b.H = float64(middle)+4, 5
	case "wait":
		b.Y, b.H = float64(middle)-0.75, 1.5
	}
	return b
}

// path returns the SVG path of a mark.
func path(m ChartMark) string {
	at := func(points ...float64) string {
		var b strings.Builder
		for i := 0; i < len(points); i += 2 {
			fmt.Fprintf(&b, "%c%.1f %.1f", "ML"[min(i, 1)], m.X+points[i], m.Y+points[i+1])
		}
		return b.String()
	}
	switch m.What {
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

// legend sets the legend to the marks that are used.
func (t *Timeline) legend() {
	there := map[string]bool{}
	for i := range t.Rows {
		there[t.Rows[i].End.What] = true
		for _, m := range t.Rows[i].Marks {
			there[m.What] = true
		}
		for _, s := range t.Rows[i].Spans {
			there[s.What] = true
		}
	}
	for _, m := range [][2]string{
		{"model", "the model at work"}, {"tools", "tools"}, {"wait", "waiting"}, {"completed", "completed"}, {"delegate", "delegates"},
		{"ask", "asks a person"}, {"asking", "waits for a person"}, {"retry", "retry"}, {"toolerror", "a tool's error"},
		{"error", "error"}, {"failed", "stopped by an error"}, {"steps", "out of steps"}, {"unfinished", "no end was seen"},
	} {
		if there[m[0]] {
			t.Legend = append(t.Legend, ChartMark{8, 7, m[0], m[1]})
		}
	}
}
