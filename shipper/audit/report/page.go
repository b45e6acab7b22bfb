package report

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

// This file prepares what the page shows, and its wording.

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
	Seqs, Says string
	Sealed     int64
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

	Verdict        proof.Verdict
	VerdictSays    string
	Inputs         []input
	Tone           string // of the verdict: good, bad or wait
	Outcome        string
	OutcomeTone    string
	Tiles          []Tile
	Talk           []Turn
	TalkLost       int64
	Errors         []Problem
	ErrorsLost     int64
	Warnings       int
	Stderr         *stderrView
	Timeline       *Timeline
	RunsLost       int64
	Experts        []ExpertTokens
	Total          ExpertTokens
	Origins        []OriginView
	OriginsLost    int64
	Models         string
	Runtime        string
	Started, Ended int64
	Blocks         [][]RowView
	Rows           int
	RowExperts     []string
	Left           []Left
	LeftTotal      int64
}

// Tile is a number at the top.
type Tile struct{ Value, Label, Tone string }

type stderrView struct {
	Head, Tail string
	Lost       int64
	Lines      int64
}

// RowView is a row of the table of events.
type RowView struct {
	Class  string
	Expert int // index into RowExperts, or -1
	Group  string
	Time   int64
	Name   string // the Expert's
	Step   int64
	Type   string
	Verb   string
	Text   string
	Tokens int64
	Where  string
	Pieces []piece
}

// blockRows is how many rows the browser lays out together once they are close to the visible part.
const blockRows = 100

// Write writes the page. Call it after all lines and records have been added.
func (r *Report) Write(w io.Writer, head Head) error {
	r.stderr.trim()
	palette := newPalette(r.runs.all)
	v := view{
		Head:    head,
		Tone:    tone(head.Proof.Verdict),
		Verdict: head.Proof.Verdict, VerdictSays: verdictWords(head.Proof), Inputs: r.inputs(head.Proof),
		Started: r.first, Ended: r.last,
		Talk: r.talk, TalkLost: r.talkLost, Errors: r.errors, ErrorsLost: r.errorsLost,
		Timeline: r.timeline(palette), RunsLost: r.runs.lost,
		Origins: r.originViews(head), OriginsLost: r.originsLost,
		Models: strings.Join(r.models, ", "), Runtime: strings.Join(r.versions, ", "),
		RowExperts: palette.names, Rows: len(r.rows.all),
	}
	v.Outcome, v.OutcomeTone = outcomeWords(r.outcome())
	for _, p := range r.errors {
		if p.Warning {
			v.Warnings++
		}
	}
	if r.stderr.lines > 0 {
		v.Stderr = &stderrView{string(r.stderr.head), string(r.stderr.tail), r.stderr.lost, r.stderr.lines}
	}
	v.Experts, v.Total = r.tokens(palette)
	v.Tiles = r.tiles(&v)
	v.Left, v.LeftTotal = r.rows.leftOut()
	for rows := range slices.Chunk(r.rows.all, blockRows) {
		block := make([]RowView, len(rows))
		for i, row := range rows {
			block[i] = rowView(row, palette)
		}
		v.Blocks = append(v.Blocks, block)
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

func (r *Report) tiles(v *view) []Tile {
	var steps, tools int64
	for _, run := range r.runs.all {
		tools += run.tools
	}
	for _, job := range r.receipt.Jobs() {
		steps += job.Steps
	}
	failures, tone := int64(len(r.errors)-v.Warnings), ""
	if failures > 0 {
		tone = "bad"
	}
	tiles := []Tile{
		{duration(r.last - r.first), "from first to last event", ""},
		{quantity.Number(int64(len(r.runs.all))), quantity.Plural(int64(len(r.runs.all)), "run", "runs"), ""},
		{quantity.Number(steps), quantity.Plural(steps, "step", "steps"), ""},
		{quantity.Number(v.Total.Calls), quantity.Plural(v.Total.Calls, "call of the model", "calls of the model"), ""},
		{quantity.Number(tools), quantity.Plural(tools, "call of a tool", "calls of tools"), ""},
		{quantity.Number(v.Total.Usage.TotalTokens), "tokens", ""},
		{quantity.Number(failures), quantity.Plural(failures, "error", "errors"), tone},
	}
	if v.Warnings > 0 {
		tiles = append(tiles, Tile{quantity.Number(int64(v.Warnings)), quantity.Plural(int64(v.Warnings), "warning", "warnings"), "wait"})
	}
	return tiles
}

// groups maps levels to the groups by which events can be filtered.
var groups = map[level]string{essential: "run", work: "work", routine: "routine", pieces: "routine"}

func rowView(r *row, palette *palette) RowView {
	v := RowView{
		Expert: -1, Group: groups[r.level], Time: r.time, Step: r.step, Type: r.typ, Verb: r.verb,
		Text: strings.Join(strings.Fields(start(r.text, 400)), " "), Tokens: r.tokens, Pieces: r.detail,
	}
	if r.expert != nil && r.expert.expert != "" {
		v.Name = r.expert.expert
		v.Expert = palette.index[v.Name]
		v.Class = palette.class(v.Name)
	}
	if r.typ == "" {
		v.Type = "text"
	}
	if r.bad {
		v.Class += " err"
		v.Group += " bad"
	}
	if r.level >= routine {
		v.Class += " faint"
	}
	if r.level == pieces {
		v.Class += " piece"
	}
	v.Where = fmt.Sprintf("input %s, line %d", r.input, r.seq)
	if r.count > 1 {
		v.Where = fmt.Sprintf("input %s, lines %d to %d", r.input, r.seq, r.last)
		v.Type += fmt.Sprintf(" ×%d", r.count)
	}
	if r.detail == nil && r.text != "" {
		v.Pieces = []piece{{Text: r.text}}
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
