package report

// This file maps times to positions on the timeline.

import (
	"cmp"
	"math"
	"slices"
)

// scale maps times to x coordinates. It consists of stretches of time in which something happened,
// with breaks between them.
type scale struct {
	parts []stretch
	perMS float64
}

type stretch struct {
	from, to int64
	x        float64
}

// newScale finds the stretches in which any run was active. It cuts out a gap without activity that
// is long compared with the activity, because an agent may wait all night for a person.
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

// x returns the x coordinate of a time.
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

// tenths rounds to a tenth of a unit. More digits would be invisible and make the page larger.
func tenths(x float64) float64 { return math.Round(10*x) / 10 }

// steps are the possible distances between ticks, in ms.
var steps = []int64{
	1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000,
	3_600_000, 7_200_000, 14_400_000, 43_200_000, 86_400_000, 7 * 86_400_000, 30 * 86_400_000, 365 * 86_400_000,
}

// ticks returns ticks at regular intervals from the beginning, about 90 units apart.
func (s *scale) ticks() []tick {
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
	var ticks []tick
	began := s.parts[0].from
	for _, p := range s.parts {
		first := (p.from - began + step - 1) / step * step
		for at := began + first; at <= p.to && len(ticks) < 200; at += step {
			ticks = append(ticks, tick{s.x(at), "+" + duration(at-began)})
		}
	}
	if len(ticks) > 0 && ticks[0].text == "+0 ms" {
		ticks[0].text = "0"
	}
	return ticks
}
