package report

// This file prepares what the page shows, and its wording.

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/audit/proof"
	"perstack-shipper/shipper/quantity"
)

var (
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
)

// policy is a Content-Security-Policy that allows only the page's own style and script, by their
// digests. Whatever an agent manages to get into the page, a browser neither runs nor fetches it.
var policy = fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; script-src 'sha256-%s'; base-uri 'none'; form-action 'none'",
	digest(pageCSS), digest(pageJS))

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Head is what the page shows besides the contents of the [Report].
type Head struct {
	Job           string
	Group, Region string
	Proof         *proof.Job // the result of verify
	Written       time.Time
	Version       string // of this program
}

// input is the proof of an input as the page shows it.
type input struct {
	*proof.Input
	seqs, says string
	sealed     int64
}

// inputs returns the proofs of the inputs.
func (r *Report) inputs(job *proof.Job) []input {
	var list []input
	for _, in := range job.Inputs {
		seqs := "none"
		if in.LastSeq > 0 {
			seqs = "1–" + quantity.Number(in.LastSeq)
		}
		list = append(list, input{in, seqs, strings.Join(in.Why, "; "), r.sealed[in.ID]})
	}
	return list
}

// verdictWords returns the verdict of a proof as a sentence.
func verdictWords(job *proof.Job) string {
	var lines, missing int64
	for _, in := range job.Inputs {
		lines += in.Lines
		for _, r := range in.Missing {
			missing += r[1] - r[0] + 1
		}
	}
	says := "See below."
	switch {
	case job.Verdict == proof.Complete:
		says = "All " + quantity.Count(lines, "line is", "lines are") + " present, in order and unaltered, as the digest in the seal proves."
	case missing > 0:
		says = quantity.Count(missing, "line is", "lines are") + " missing."
	}
	return strings.TrimSpace(says + " " + strings.Join(job.Why, " "))
}

// view is what the page shows.
type view struct {
	Head

	verdictSays string
	inputs      []input
	tone        string // of the verdict: good, bad or wait
	outcome     string
	outcomeTone string
	tiles       []tile
	talk        []turn
	talkLost    int64
	errors      []problem
	errorsLost  int64
	warnings    int
	stderr      *stderrView
	timeline    *timeline
	runsLost    int64
	experts     []expertTokens
	total       expertTokens
	origins     []originView
	originsLost int64
	models      string
	runtime     string
	started     int64
	blocks      [][]rowView
	rowExperts  []string
	left        []left
	leftTotal   int64
}

// tile is a number at the top.
type tile struct{ value, label, tone string }

type stderrView struct {
	head, tail string
	lost       int64
	lines      int64
}

// rowView is a row of the table of events.
type rowView struct {
	class  string
	expert int // index into rowExperts, or -1
	group  string
	time   int64
	name   string // the Expert's
	step   int64
	typ    string
	text   string
	tokens int64
	where  string
	pieces []piece
}

// blockRows is how many rows the browser lays out together once they are close to the visible part.
const blockRows = 100

// Write writes the page. Call it after all lines and records have been added.
func (r *Report) Write(w io.Writer, head Head) error {
	r.stderr.trim()
	palette := newPalette(r.runs.all)
	v := view{
		Head:        head,
		tone:        tone(head.Proof.Verdict),
		verdictSays: verdictWords(head.Proof), inputs: r.inputs(head.Proof),
		started: r.first,
		talk:    r.talk, talkLost: r.talkLost, errors: r.errors, errorsLost: r.errorsLost,
		timeline: r.timeline(palette), runsLost: r.runs.lost,
		origins: r.originViews(head), originsLost: r.originsLost,
		models: strings.Join(r.models, ", "), runtime: strings.Join(r.versions, ", "),
		rowExperts: palette.names,
	}
	v.outcome, v.outcomeTone = outcomeWords(r.outcome())
	for _, p := range r.errors {
		if p.warning {
			v.warnings++
		}
	}
	if r.stderr.lines > 0 {
		v.stderr = &stderrView{string(r.stderr.head), string(r.stderr.tail), r.stderr.lost, r.stderr.lines}
	}
	v.experts, v.total = r.tokens(palette)
	v.tiles = r.tiles(&v)
	v.left, v.leftTotal = r.rows.leftOut()
	for rows := range slices.Chunk(r.rows.all, blockRows) {
		block := make([]rowView, len(rows))
		for i, row := range rows {
			block[i] = newRowView(row, palette)
		}
		v.blocks = append(v.blocks, block)
	}
	return writePage(w, &v)
}

// tone returns the CSS class of a verdict.
func tone(v proof.Verdict) string {
	switch v {
	case proof.Complete:
		return "good"
	case proof.NotComplete:
		return "bad"
	}
	return "wait"
}

// outcomeWords returns the outcome of a job in words, and its CSS class.
func outcomeWords(o batch.Outcome) (words, tone string) {
	switch o {
	case batch.Completed:
		return "completed", "good"
	case batch.Failed:
		return "stopped by an error", "bad"
	case batch.MaxSteps:
		return "out of steps", "wait"
	case batch.Interactive:
		return "waits for a person", "wait"
	}
	return "no end was seen", "wait"
}

func (r *Report) tiles(v *view) []tile {
	var steps, tools int64
	for _, run := range r.runs.all {
		tools += run.tools
	}
	for _, job := range r.receipt.Jobs() {
		steps += job.Steps
	}
	failures, tone := int64(len(r.errors)-v.warnings), ""
	if failures > 0 {
		tone = "bad"
	}
	tiles := []tile{
		{duration(r.last - r.first), "from first to last event", ""},
		{quantity.Number(int64(len(r.runs.all))), quantity.Plural(int64(len(r.runs.all)), "run", "runs"), ""},
		{quantity.Number(steps), quantity.Plural(steps, "step", "steps"), ""},
		{quantity.Number(v.total.calls), quantity.Plural(v.total.calls, "call of the model", "calls of the model"), ""},
		{quantity.Number(tools), quantity.Plural(tools, "call of a tool", "calls of tools"), ""},
		{quantity.Number(v.total.usage.TotalTokens), "tokens", ""},
		{quantity.Number(failures), quantity.Plural(failures, "error", "errors"), tone},
	}
	if v.warnings > 0 {
		tiles = append(tiles, tile{quantity.Number(int64(v.warnings)), quantity.Plural(int64(v.warnings), "warning", "warnings"), "wait"})
	}
	return tiles
}

// groups maps levels to the groups by which events can be filtered.
var groups = map[level]string{essential: "run", work: "work", routine: "routine", pieces: "routine"}

func newRowView(r *row, palette *palette) rowView {
	v := rowView{
		expert: -1, group: groups[r.level], time: r.time, step: r.step, typ: r.typ,
		text: strings.Join(strings.Fields(start(r.text, 400)), " "), tokens: r.tokens, pieces: r.detail,
	}
	if r.expert != nil && r.expert.expert != "" {
		v.name = r.expert.expert
		v.expert = palette.index[v.name]
		v.class = palette.class(v.name)
	}
	if r.typ == "" {
		v.typ = "text"
	}
	if r.bad {
		v.class += " err"
		v.group += " bad"
	}
	if r.level >= routine {
		v.class += " faint"
	}
	if r.level == pieces {
		v.class += " piece"
	}
	v.where = fmt.Sprintf("input %s, line %d", r.input, r.seq)
	if r.count > 1 {
		v.where = fmt.Sprintf("input %s, lines %d to %d", r.input, r.seq, r.last)
		v.typ += fmt.Sprintf(" ×%d", r.count)
	}
	if r.detail == nil && r.text != "" {
		v.pieces = []piece{{text: r.text}}
	}
	return v
}

// palette assigns colours to Experts, in order of appearance.
type palette struct {
	names []string
	index map[string]int
}

const colours = 8

func newPalette(list []*run) *palette {
	p := &palette{index: map[string]int{}}
	for _, r := range list {
		if _, known := p.index[r.expert]; !known && r.expert != "" {
			p.index[r.expert] = len(p.names)
			p.names = append(p.names, r.expert)
		}
	}
	return p
}

func (p *palette) class(expert string) string {
	i, ok := p.index[expert]
	if !ok {
		return "x"
	}
	return fmt.Sprintf("e%d", i%colours)
}
