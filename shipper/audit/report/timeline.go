package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// This file lays out the timeline: a row a run, time from left to right, all in the units of an SVG
// of a fixed width.

const (
	chartWidth  = 1080
	labelWidth  = 210
	plotRight   = chartWidth - 70
	rowHeight   = 30
	chartTop    = 34
	maxChart    = 150 // rows; what is more is counted
	breakWidth  = 44  // of a time in which nothing happened, where that is left out
	indent      = 14
	maxDepth    = 6 // of the indentation
	markSpacing = 3 // marks nearer to each other are shown as one
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
	Legend        []ChartMark // the marks that are there
	More          int64       // runs that have no row
}

// Tick is a time on the axis.
type Tick struct {
	X    float64
	Text string
}

// Break is a time that is left out.
type Break struct {
	X, Width, Middle float64
	Text             string
}

// ChartRow is a run.
type ChartRow struct {
	Top            int
	Middle, LabelX int
	Right          float64 // where the row's last mark ends
	Label, Title   string
	Class          string // of the Expert's colour
	Depth          int
	Bar            Bar
	Spans          []Bar
	Marks          []ChartMark
	End            ChartMark
	Duration       string
}

// Bar is a time in a row.
type Bar struct {
	X, Y, W, H  float64
	What, Title string
}

// ChartMark is a time in a row at which something happened: a shape.
type ChartMark struct {
	X, Y        float64
	What, Title string
}

// scale turns times into places: stretches of time in which something happened, with the breaks
// between them.
type scale struct {
	parts []stretch
	perMS float64
}

type stretch struct {
	from, to int64
	x        float64
}

// newScale finds the stretches of the runs. A time in which nothing at all happened, and that is
// long beside those in which something did, is left out: an agent may wait a night for a person.
func newScale(list []*run) scale {
	type interval struct{ from, to int64 }
	var busy []interval
	for _, r := range list {
		if r.first > 0 {
			busy = append(busy, interval{r.first, r.last})
		}
	}
	slices.SortFunc(busy, func(a, b interval) int { return cmp.Compare(a.from, b.from) })
	var merged []interval
	active := int64(0)
	for _, b := range busy {
		if n := len(merged); n > 0 && b.from <= merged[n-1].to {
			merged[n-1].to = max(merged[n-1].to, b.to)
			continue
		}
		merged = append(merged, b)
	}
	for _, m := range merged {
		active += m.to - m.from
	}
	var s scale
	for _, m := range merged {
		if n := len(s.parts); n > 0 && (m.from-s.parts[n-1].to <= max(active/2, 1000) || n == 20) {
			s.parts[n-1].to = m.to
			continue
		}
		s.parts = append(s.parts, stretch{from: m.from, to: m.to})
	}
	total := int64(0)
	for _, p := range s.parts {
		total += p.to - p.from
	}
	room := float64(plotRight-labelWidth) - breakWidth*float64(max(0, len(s.parts)-1))
	s.perMS = room / float64(max(total, 1))
	x := float64(labelWidth)
	for i := range s.parts {
		s.parts[i].x = x
		x += float64(s.parts[i].to-s.parts[i].from)*s.perMS + breakWidth
	}
	return s
}

// x is the place of a time.
func (s *scale) x(at int64) float64 {
	for i := range s.parts {
		p := &s.parts[i]
		if at <= p.to || i == len(s.parts)-1 {
			at = min(max(at, p.from), p.to)
			return tenths(p.x + float64(at-p.from)*s.perMS)
		}
	}
	return labelWidth
}

// tenths rounds to what can be seen, so that the page is not full of digits.
func tenths(x float64) float64 { return math.Round(10*x) / 10 }

// steps are the distances of ticks, in ms.
var steps = []int64{
	1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000,
	3_600_000, 7_200_000, 14_400_000, 43_200_000, 86_400_000, 7 * 86_400_000, 30 * 86_400_000, 365 * 86_400_000,
}

// ticks are times at even distances from the beginning, about 90 units apart.
func (s *scale) ticks() []Tick {
	if len(s.parts) == 0 {
		return nil
	}
	step := steps[len(steps)-1]
	for _, d := range steps {
		if float64(d)*s.perMS >= 90 {
			step = d
			break
		}
	}
	var ticks []Tick
	began := s.parts[0].from
	for _, p := range s.parts {
		first := (p.from - began + step - 1) / step * step
		for at := began + first; at <= p.to && len(ticks) < 200; at += step {
			ticks = append(ticks, Tick{s.x(at), "+" + duration(at-began)})
		}
	}
	if len(ticks) > 0 && ticks[0].Text == "+0 ms" {
		ticks[0].Text = "0"
	}
	return ticks
}

// timeline lays out the runs.
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
		row.Title += ", goes on with run " + p.before.id
	}
	row.Bar = bar(s, span{"run", p.first, p.last}, middle, row.Title)
	for _, sp := range p.spans {
		title := map[string]string{"model": "the model", "tools": "tools", "wait": "waits"}[sp.what]
		b := bar(s, sp, middle, title+", "+duration(sp.to-sp.from))
		if n := len(row.Spans); n > 0 && row.Spans[n-1].What == b.What && b.X+b.W-row.Spans[n-1].X < 1 {
			continue // nobody could see it
		}
		row.Spans = append(row.Spans, b)
	}
	last := map[string]float64{}
	for _, m := range p.marks {
		x := s.x(m.at)
		if m.what == "error" && p.outcome == failed || m.what == "ask" && p.outcome == asking {
			continue // the run's end says so
		}
		if at, ok := last[m.what]; ok && x-at < markSpacing {
			continue
		}
		last[m.what] = x
		row.Marks = append(row.Marks, ChartMark{x, float64(middle), m.what, map[string]string{
			"retry": "a call of the model failed and was made again", "error": "an error", "toolerror": "a tool reported an error",
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

// bar is a span as it is drawn: the run as a band, and on it what the model, tools and others did.
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

// path is the outline of a mark.
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

// legend shows those of the marks that are there.
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
