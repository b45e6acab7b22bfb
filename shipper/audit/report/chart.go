package report

// This file writes the markup of the timeline.

import "perstack-shipper/shipper/quantity"

func (w htmlWriter) timeline(t *timeline, runsLost int64) {
	w.put(`<section id="timeline">
<h2>Timeline</h2>
<div class="wide"><svg class="chart" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="Timeline of the runs">
`, t.width, t.height, t.width, t.height)
	for _, tick := range t.ticks {
		w.put(`<line class="tick" x1="{}" x2="{}" y1="{}" y2="{}"/><text class="tick" x="{}" y="14">{}</text>
`, tick.x, tick.x, t.plotTop, t.plotBottom, tick.x, tick.text)
	}
	for _, b := range t.breaks {
		w.put(`<rect class="break" x="{}" y="{}" width="{}" height="{}"/><text class="break" x="{}" y="{}" dy="12">{}</text>
`, b.x, t.plotTop, b.width, t.plotHeight, b.middle, t.plotBottom, b.text)
	}
	for i := range t.rows {
		w.chartRow(&t.rows[i], t.width)
	}
	w.put(`</svg></div>
<ul class="legend">
`)
	for _, m := range t.legend {
		w.put(`<li>`)
		switch m.what {
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
`, m.title)
	}
	w.put(`</ul>
`)
	w.putIf(t.more != 0, `<p class="note">{} not drawn.</p>`, quantity.Count(t.more, "more run is", "more runs are"))
	w.put("\n")
	w.putIf(runsLost != 0, `<p class="note">{} to further runs, which are not shown separately.</p>`, quantity.Count(runsLost, "event belongs", "events belong"))
	w.put(`
</section>`)
}

func (w htmlWriter) chartRow(r *chartRow, width int) {
	w.put(`<g class="{}"><title>{}</title>
<rect class="hit" x="0" y="{}" width="{}" height="30"/>
<text class="label" x="{}" y="{}">`, r.class, line(r.title), r.top, width, r.labelX, r.middle)
	w.putIf(r.depth > 0, `<tspan class="dim">↳ </tspan>`)
	w.put(`{}</text>
<rect class="run" x="{}" y="{}" width="{}" height="{}" rx="3"/>
`, r.label, r.bar.x, r.bar.y, r.bar.w, r.bar.h)
	for _, s := range r.spans {
		w.put(`<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>`, s.what, s.x, s.y, s.w, s.h, s.title)
	}
	w.put("\n")
	for _, m := range r.marks {
		w.mark(m)
	}
	w.mark(r.end)
	w.put(`
<text class="took" x="{}" y="{}">{}</text></g>
`, r.right, r.middle, r.duration)
}

func (w htmlWriter) mark(m chartMark) {
	switch m.what {
	case "toolerror":
		w.put(`<circle class="toolerror" cx="{}" cy="{}" r="3.5"><title>{}</title></circle>`, m.x, m.y, m.title)
	case "ask", "asking":
		w.put(`<circle class="ask" cx="{}" cy="{}" r="4.5"><title>{}</title></circle>`, m.x, m.y, m.title)
	case "error", "failed":
		w.put(`<path class="error" d="{}"><title>{}</title></path>`, path(m), m.title)
	case "retry", "delegate", "steps", "completed", "unfinished":
		w.put(`<path class="{}" d="{}"><title>{}</title></path>`, m.what, path(m), m.title)
	}
}
