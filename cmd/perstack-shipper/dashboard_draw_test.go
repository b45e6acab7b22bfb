package main

// This file draws a dashboard as an SVG, roughly as CloudWatch's console does.

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"

	"perstack-shipper/shipper/terminal"
)

const (
	unitWidth, unitHeight = 44, 44 // of a cell of the dashboard's grid, in pixels
	gap                   = 4      // around a widget
	pad                   = 14     // inside a widget
	letter                = 6.3    // approximate width of one at 11 px
)

// palette is the colors of series without a color of their own.
var palette = []string{"#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"}

// drawing is an unfinished SVG.
type drawing struct{ to io.Writer }

func newDrawing(to io.Writer) drawing {
	d := drawing{to}
	width, height := 24*unitWidth, 20*unitHeight
	d.print(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif" font-size="11" fill="#16191f" role="img" aria-labelledby="t">`, width, height)
	d.print(`<title id="t">The dashboard of the CloudFormation stack, with the figures of recorded runs</title>`)
	d.print(`<rect width="%d" height="%d" fill="#eaeded"/>`, width, height)
	return d
}

func (d drawing) end() { d.print("</svg>") }

func (d drawing) print(format string, args ...any) { fmt.Fprintf(d.to, format+"\n", args...) }

func (d drawing) label(x, y float64, anchor, attributes, text string) {
	d.print(`<text x="%.0f" y="%.0f" text-anchor="%s"%s>%s</text>`, x, y, anchor, attributes, html.EscapeString(text))
}

// frame draws a widget's frame and title, and returns the area that remains inside.
func (d drawing) frame(w *widget) (left, top, right, bottom float64) {
	left, top = float64(w.X*unitWidth+gap), float64(w.Y*unitHeight+gap)
	right, bottom = float64((w.X+w.Width)*unitWidth-gap), float64((w.Y+w.Height)*unitHeight-gap)
	d.print(`<rect x="%.0f" y="%.0f" width="%.0f" height="%.0f" rx="3" fill="#fff" stroke="#d5dbdb"/>`, left, top, right-left, bottom-top)
	left, top, right, bottom = left+pad, top+pad, right-pad, bottom-pad
	if w.Properties.Title != "" {
		d.label(left, top+8, "start", ` font-size="13" font-weight="600"`, w.Properties.Title)
		top += 22
	}
	return left, top, right, bottom
}

// text draws the Markdown that the template uses, which is bold and code.
func (d drawing) text(w *widget) {
	left, top, right, _ := d.frame(w)
	plain := strings.NewReplacer("**", "", "`", "").Replace(w.Properties.Markdown)
	line, y := "", top+8
	for _, word := range strings.Fields(plain) {
		if float64(len(line)+len(word))*letter > right-left {
			d.label(left, y, "start", "", line)
			line, y = "", y+17
		}
		line = strings.TrimSpace(line + " " + word)
	}
	d.label(left, y, "start", "", line)
}

// metric draws lines or stacked areas over the hours of the day, and a legend with the totals.
func (d drawing) metric(w *widget, all []series) {
	left, top, right, bottom := d.frame(w)
	for i := range all {
		if all[i].color == "" {
			all[i].color = palette[i%len(palette)]
		}
	}
	bottom = d.legend(all, left, right, bottom) - 20
	left, right = left+34, right-8

	hours := len(all[0].values)
	points := hours * 3600 / w.Properties.Period
	at := func(s *series, point int) float64 { // an hour's sum is in its first period
		if perHour := points / hours; point%perHour == 0 {
			return s.values[point/perHour]
		}
		return 0
	}
	highest := 0.0
	for point := range points {
		stacked := 0.0
		for i := range all {
			v := at(&all[i], point)
			stacked += v
			highest = max(highest, v)
		}
		if w.Properties.Stacked {
			highest = max(highest, stacked)
		}
	}
	highest = roundUp(highest)
	x := func(point int) float64 { return left + (right-left)*float64(point)/float64(points-1) }
	y := func(v float64) float64 { return bottom - (bottom-top)*v/highest }

	for _, v := range []float64{0, highest / 2, highest} {
		d.print(`<path d="M%.0f %.1fH%.0f" stroke="#eaeded"/>`, left, y(v), right)
		d.label(left-6, y(v)+4, "end", ` fill="#687078"`, figure(v))
	}
	for hour := 0; hour < hours; hour += 3 {
		d.label(x(hour*points/hours), bottom+15, "middle", ` fill="#687078"`, fmt.Sprintf("%02d:00", dashboardFrom+hour))
	}
	below := make([]float64, points)
	for i := range all {
		var upper, lower []string
		for point := range points {
			floor := below[point]
			v := floor + at(&all[i], point)
			if w.Properties.Stacked {
				below[point] = v
			}
			upper = append(upper, fmt.Sprintf("%.1f %.1f", x(point), y(v)))
			lower = append([]string{fmt.Sprintf("%.1f %.1f", x(point), y(floor))}, lower...)
		}
		if w.Properties.Stacked {
			d.print(`<path d="M%s L%sZ" fill="%s" fill-opacity="0.7"/>`, strings.Join(upper, " L"), strings.Join(lower, " L"), all[i].color)
		} else {
			d.print(`<path d="M%s" fill="none" stroke="%s" stroke-width="1.5"/>`, strings.Join(upper, " L"), all[i].color)
		}
	}
}

// legend draws the names and totals of the series from the bottom upwards, and returns its top.
func (d drawing) legend(all []series, left, right, bottom float64) float64 {
	type entry struct {
		s    *series
		text string
		x    float64
	}
	rows, x := [][]entry{nil}, left
	for i := range all {
		text := all[i].label + "  " + figure(all[i].total())
		width := 16 + float64(len(text))*letter + 8
		if x > left && x+width > right {
			rows, x = append(rows, nil), left
		}
		rows[len(rows)-1] = append(rows[len(rows)-1], entry{&all[i], text, x})
		x += width
	}
	top := bottom - 17*float64(len(rows)-1)
	for n, row := range rows {
		y := top + 17*float64(n)
		for _, e := range row {
			d.print(`<rect x="%.0f" y="%.0f" width="10" height="10" rx="2" fill="%s"/>`, e.x, y-8, e.s.color)
			d.label(e.x+15, y, "start", "", e.text)
		}
	}
	return top - 10
}

// table draws as many rows as fit, with their heading first.
func (d drawing) table(w *widget, rows [][]string) {
	left, top, right, bottom := d.frame(w)
	shares := []float64{0, 0.08, 0.27, 0.35, 0.53, 0.71, 1}
	for n, row := range rows {
		y := top + 12 + 22*float64(n)
		if y > bottom {
			break
		}
		attributes := ""
		if n == 0 {
			attributes = ` font-weight="600"`
		}
		for i, text := range row {
			from, to := shares[i], shares[i+1]
			d.label(left+from*(right-left), y, "start", attributes, terminal.Fit(text, int((to-from)*(right-left)/letter)))
		}
		d.print(`<path d="M%.0f %.0fH%.0f" stroke="#eaeded"/>`, left, y+7, right)
	}
}

// roundUp returns the next number that is 1, 2, 4, 6 or 8 times a power of ten, and at least 2.
func roundUp(v float64) float64 {
	if v <= 2 {
		return 2
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 2, 4, 6, 8} {
		if v <= step*power {
			return step * power
		}
	}
	return 10 * power
}

// figure formats a number for people.
func figure(v float64) string {
	if v >= 10_000 {
		return fmt.Sprintf("%.1fk", v/1000)
	}
	return fmt.Sprintf("%.0f", v)
}
