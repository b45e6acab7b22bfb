package main

// This file draws the template's dashboard as it would look if each recording had been one hour of
// a day, and compares its figures with those of jobs and usage. `make docs` saves the picture.

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"perstack-shipper/batch"
)

const dashboardPicture = "../../docs/dashboard.svg"

// dashboardDay is the recordings of the day, one for each hour from dashboardFrom on.
var dashboardDay = []string{
	"delegate", "simple", "error", "delegate-parallel", "tools", "interactive", "maxsteps", "streaming", "error-500", "mixed", "jobid",
	"throw-truncated", "openai-warning",
}

const dashboardFrom = 7 // o'clock

// widget is a part of the dashboard's body, as the template has it.
type widget struct {
	Type                string
	X, Y, Width, Height int
	Properties          struct {
		Title, Markdown, Query string
		Stacked                bool
		Period                 int
		Metrics                [][]any
	}
}

// series is a line of a widget, with a value for each recording.
type series struct {
	label, color string
	values       []float64
}

func (s *series) total() (sum float64) {
	for _, v := range s.values {
		sum += v
	}
	return sum
}

// day is the events and the metrics of the recordings.
type day struct {
	filters map[string]metricFilter
	events  [][]string                      // of each recording
	sums    []map[string]map[string]float64 // of its metrics
}

// TestDashboardShowsWhatUsageCounts ships the recordings and compares the figures in the
// dashboard's widgets with those of the readers.
func TestDashboardShowsWhatUsageCounts(t *testing.T) {
	w := newWorld(t)
	d := &day{filters: readTemplate(t).metricFilters(t)}
	for _, name := range dashboardDay {
		d.events = append(d.events, w.shipped("testdata/recordings/"+name+".jsonl", d.events))
		d.sums = append(d.sums, metrics(t, d.filters, d.events[len(d.events)-1]))
	}

	shown := map[string]float64{} // totals by title and label
	var picture bytes.Buffer
	draw := newDrawing(&picture)
	for _, part := range dashboardWidgets(t) {
		switch part.Type {
		case "text":
			draw.text(&part)
		case "metric":
			all := d.series(t, &part)
			for _, one := range all {
				shown[part.Properties.Title+"/"+one.label] = one.total()
			}
			draw.metric(&part, all)
		case "log":
			rows := d.rows(t, part.Properties.Query)
			shown[part.Properties.Title] = float64(len(rows) - 1) // without the heading
			draw.table(&part, rows)
		default:
			t.Fatalf("a widget of type %q", part.Type)
		}
	}
	draw.end()

	for what, want := range w.readersFigures() {
		if got, ok := shown[what]; got != want || !ok && want != 0 {
			t.Errorf("the dashboard shows %v for %q, and the readers count %v", got, what, want)
		}
		delete(shown, what)
	}
	// No reader counts these as the dashboard does. TestTemplateCountsWhatUsageCounts checks them.
	unread := []string{"Calls, retries and steps/Retries", "Calls, retries and steps/Steps", "Shipped lines/PossiblyRepeatedEvents", "Shipped lines/RejectedLines"}
	if left := slices.Sorted(maps.Keys(shown)); !slices.Equal(left, unread) {
		t.Errorf("these are not compared with a reader: %q, want only %q", left, unread)
	}

	if os.Getenv("DASHBOARD") != "" {
		if err := os.WriteFile(dashboardPicture, picture.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(dashboardPicture)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kept, picture.Bytes()) {
		t.Errorf("docs/dashboard.svg is not what the template and the recordings give: run `make docs`\n%s", difference(picture.Bytes(), kept))
	}
}

// shipped ships a recording and returns its events, which are those that no recording before it
// has.
func (w *world) shipped(path string, before [][]string) (events []string) {
	w.T.Helper()
	recording, err := os.Open(path)
	if err != nil {
		w.T.Fatal(err)
	}
	defer recording.Close()
	c := w.command()
	c.Stdin = recording
	if out, err := c.CombinedOutput(); err != nil {
		w.T.Fatalf("%s: %v\n%s", path, err, out)
	}
	known := map[string]bool{}
	for _, others := range before {
		for _, message := range others {
			known[message] = true
		}
	}
	for _, stream := range w.Server.Streams(w.Group) {
		for _, e := range w.Server.Events(w.Group, stream) {
			if !known[e.Message] {
				events = append(events, e.Message)
			}
		}
	}
	return events
}

// readersFigures returns the figures of jobs and usage for the group, by the dashboard's titles and
// labels.
func (w *world) readersFigures() map[string]float64 {
	w.T.Helper()
	figures := map[string]float64{}
	run := func(args ...string) []byte {
		w.T.Helper()
		out, err := w.command(args...).Output()
		if err != nil {
			w.T.Fatalf("%q: %v", args, err)
		}
		return out
	}
	labels := map[string]string{
		"completed": "completed", "error": "failed", "maxSteps": "out of steps", "interactive": "waits for a person", "unfinished": "unfinished",
	}
	for line := range strings.Lines(string(run("jobs", "--since", "2020-01-01", "--json"))) {
		var job struct {
			Outcome string
			Lines   float64
		}
		if err := json.Unmarshal([]byte(line), &job); err != nil {
			w.T.Fatal(err)
		}
		figures["Jobs by outcome/"+labels[job.Outcome]]++
		figures["Shipped lines/Lines"] += job.Lines
		if job.Outcome == "error" {
			figures["Failed runs/FailedRuns"]++
			figures["What failed"]++
		}
		if job.Outcome == "maxSteps" {
			figures["What failed"]++
		}
	}
	rows, err := csv.NewReader(bytes.NewReader(run("usage", "--since", "2020-01-01", "--by", "expert", "--csv"))).ReadAll()
	if err != nil {
		w.T.Fatal(err)
	}
	for _, row := range rows[1:] {
		column := func(name string) float64 {
			n, err := strconv.ParseFloat(row[slices.Index(rows[0], name)], 64)
			if err != nil {
				w.T.Fatal(err)
			}
			return n
		}
		if tokens := column("total_tokens"); tokens > 0 {
			figures["Tokens by Expert/"+row[0]] = tokens
		}
		figures["Calls, retries and steps/Calls"] += column("calls")
	}
	return figures
}

// dashboardWidgets returns the widgets of the template's dashboard.
func dashboardWidgets(t *testing.T) []widget {
	t.Helper()
	var dashboard struct {
		DashboardBody string `yaml:"DashboardBody"`
	}
	properties := readTemplate(t).Resources["Dashboard"].Properties
	if err := properties.Decode(&dashboard); err != nil {
		t.Fatal(err)
	}
	var body struct{ Widgets []widget }
	resolved := strings.NewReplacer("${LogGroupName}", "/perstack/prod", "${Namespace}", "Perstack", "${AWS::Region}", "eu-west-1").Replace(dashboard.DashboardBody)
	if err := json.Unmarshal([]byte(resolved), &body); err != nil {
		t.Fatal(err)
	}
	return body.Widgets
}

// searched matches a search expression and finds its metric, which has a series for each value of
// its dimension.
var searched = regexp.MustCompile(`^SEARCH\('\{Perstack,\w+\} MetricName="(\w+)"', 'Sum', \d+\)$`)

// series returns the lines that a widget shows.
func (d *day) series(t *testing.T, w *widget) (all []series) {
	t.Helper()
	add := func(metric, dimension, label, color string) {
		if _, ok := d.filters[metric]; !ok {
			t.Fatalf("%s shows %s, which no filter counts", w.Properties.Title, metric)
		}
		one := series{label: label, color: color}
		for _, sums := range d.sums {
			one.values = append(one.values, sums[metric][dimension])
		}
		all = append(all, one)
	}
	for _, m := range w.Properties.Metrics {
		options, _ := m[len(m)-1].(map[string]any)
		if expression, ok := options["expression"].(string); ok {
			match := searched.FindStringSubmatch(expression)
			if match == nil {
				t.Fatalf("the test does not understand the expression %q", expression)
			}
			values := map[string]bool{}
			for _, sums := range d.sums {
				for value := range sums[match[1]] {
					values[value] = true
				}
			}
			for _, value := range slices.Sorted(maps.Keys(values)) {
				add(match[1], value, value, "")
			}
			continue
		}
		metric := m[1].(string)
		label, ok := options["label"].(string)
		if !ok {
			label = metric
		}
		color, _ := options["color"].(string)
		add(metric, "", label, color)
	}
	return all
}

// failures finds the types that the query of "What failed" selects, and the fields that it shows.
var failures = regexp.MustCompile(`filter type in \[([^]]*)\] and coalesce\(shipper\.part, 1\) = 1 \| fields (.*) \| sort @timestamp desc \| limit 50$`)

// rows returns the events that a query finds, newest first, below the names of its fields.
func (d *day) rows(t *testing.T, query string) [][]string {
	t.Helper()
	match := failures.FindStringSubmatch(query)
	if match == nil {
		t.Fatalf("the test does not understand the query %q", query)
	}
	fields := strings.Split(match[2], ", ")
	rows := [][]string{fields}
	for hour, events := range slices.Backward(d.events) {
		for _, message := range events {
			r, err := batch.Restore([]byte(message))
			if err != nil {
				t.Fatal(err)
			}
			if r.Type == "" || r.Part > 1 || !strings.Contains(match[1], strconv.Quote(r.Type)) {
				continue
			}
			var event map[string]any
			if err := json.Unmarshal([]byte(message), &event); err != nil {
				t.Fatal(err)
			}
			row := []string{fmt.Sprintf("%02d:00", dashboardFrom+hour)}
			for _, field := range fields[1:] {
				row = append(row, member(event, field))
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// member returns the text of an event's member, such as error.name, or "".
func member(event map[string]any, path string) string {
	name, rest, deeper := strings.Cut(path, ".")
	if object, ok := event[name].(map[string]any); ok && deeper {
		return member(object, rest)
	}
	text, _ := event[name].(string)
	return text
}
