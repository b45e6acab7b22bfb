package report

import "perstack-shipper/shipper/quantity"

// This file writes the markup of the timeline.

func (w htmlWriter) timeline(t *Timeline, runsLost int64) {
	w.put(`<section id="timeline">
<h2>Timeline</h2>
<div class="wide"><svg class="chart" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="Timeline of the runs">
`, t.Width, t.Height, t.Width, t.Height)
	for _, tick := range t.Ticks {
		w.put(`<line class="tick" x1="{}" x2="{}" y1="{}" y2="{}"/><text class="tick" x="{}" y="14">{}</text>
`, tick.X, tick.X, t.PlotTop, t.PlotBottom, tick.X, tick.Text)
	}
	for _, b := range t.Breaks {
		w.put(`<rect class="break" x="{}" y="{}" width="{}" height="{}"/><text class="break" x="{}" y="{}" dy="12">{}</text>
`, b.X, t.PlotTop, b.Width, t.PlotHeight, b.Middle, t.PlotBottom, b.Text)
	}
	for i := range t.Rows {
		w.chartRow(&t.Rows[i], t.Width)
	}
	w.put(`</svg></div>
<ul class="legend">
`)
	for _, m := range t.Legend {
		w.put(`<li>`)
		switch m.What {
		case "model":
			w.put(`<svg width="22" height="14"><rect class="run" width="22" height="14" rx="2"/><rect class="model" x="4" width="14" height="9"/></svg>`)
		case "tools":
			w.put(`<svg width="22" height="14"><rect class="run" width="22" height="14" rx="2"/><rect class="tools" x="4" y="9" width="14" height="4"/></svg>`)
		case "wait":
			w.put(`<svg width="22" height="14"><rect class="wait" y="6" width="22" height="1.5"/></svg>`)
		default:
			w.put(`<svg width="16" height="14">`)
			w.mark(m)
			w.put(`</svg>`)
		}
		w.put(`{}</li>
`, m.Title)
	}
	w.put(`</ul>
`)
	w.putIf(t.More != 0, `<p class="note">{} not drawn.</p>`, quantity.Count(t.More, "more run is", "more runs are"))
	w.put("\n")
	w.putIf(runsLost != 0, `<p class="note">{} to further runs, which are not shown separately.</p>`, quantity.Count(runsLost, "event belongs", "events belong"))
	w.put(`
</section>`)
}

func (w htmlWriter) chartRow(r *ChartRow, width int) {
	w.put(`<g class="{}"><title>{}</title>
<rect class="hit" x="0" y="{}" width="{}" height="30"/>
<text class="label" x="{}" y="{}">`, r.Class, line(r.Title), r.Top, width, r.LabelX, r.Middle)
	w.putIf(r.Depth > 0, `<tspan class="dim">↳ </tspan>`)
	w.put(`{}</text>
<rect class="run" x="{}" y="{}" width="{}" height="{}" rx="3"/>
`, r.Label, r.Bar.X, r.Bar.Y, r.Bar.W, r.Bar.H)
	for _, s := range r.Spans {
		w.put(`<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>`, s.What, s.X, s.Y, s.W, s.H, s.Title)
	}
	w.put("\n")
	for _, m := range r.Marks {
		w.mark(m)
	}
	w.mark(r.End)
	w.put(`
<text class="took" x="{}" y="{}">{}</text></g>
`, r.Right, r.Middle, r.Duration)
}

func (w htmlWriter) mark(m ChartMark) {
	switch m.What {
	case "toolerror":
		w.put(`<circle class="toolerror" cx="{}" cy="{}" r="3.5"><title>{}</title></circle>`, m.X, m.Y, m.Title)
	case "ask", "asking":
		w.put(`<circle class="ask" cx="{}" cy="{}" r="4.5"><title>{}</title></circle>`, m.X, m.Y, m.Title)
	case "error", "failed":
		w.put(`<path class="error" d="{}"><title>{}</title></path>`, path(m), m.Title)
	case "retry", "delegate", "steps", "completed", "unfinished":
		w.put(`<path class="{}" d="{}"><title>{}</title></path>`, m.What, path(m), m.Title)
	}
}
