package report

import (
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/audit/proof"
)

// This file says what the page shows, and in which words.

var (
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
)

// policy allows the page its own style and script, by their digests, and nothing else: whatever an
// agent might get into the page, a browser would neither run nor fetch it.
var policy = fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; script-src 'sha256-%s'; base-uri 'none'; form-action 'none'",
	digest(pageCSS), digest(pageJS))

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Head is what the page says before and besides the events.
type Head struct {
	Job           string
	Group, Region string
	Proof         *proof.Job // what verify finds
	Written       time.Time
	Version       string // of this program
}

// input is an input of the job as the page shows its proof.
type input struct {
	*proof.Input
	Seqs, Says string
	Sealed     int64
}

// inputs shows the proofs of the inputs.
func (r *Report) inputs(job *proof.Job) []input {
	var list []input
	for _, in := range job.Inputs {
		seqs := "none"
		if in.LastSeq > 0 {
			seqs = "1–" + number(in.LastSeq)
		}
		list = append(list, input{in, seqs, strings.Join(in.Why, "; "), r.sealed[in.ID]})
	}
	return list
}

// verdictWords says in a sentence what a proof comes to.
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
		says = "All " + count(lines, "line is", "lines are") + " there, in order and unaltered, by the digest in the seal."
	case missing > 0:
		says = count(missing, "line is", "lines are") + " missing."
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
	Expert int // of RowExperts, or -1
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

// blockRows is how many rows are laid out by the browser together, once they are near what is seen.
const blockRows = 100

// Write writes the page. It is for when all lines and records are added.
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

// tone is the class of the page's style for a verdict.
func tone(v proof.Verdict) string {
	switch v {
	case proof.Complete:
		return "good"
	case proof.NotComplete:
		return "bad"
	}
	return "wait"
}

// outcomeWords says how a job ended, and in which tone.
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
		{number(int64(len(r.runs.all))), plural(len(r.runs.all), "run", "runs"), ""},
		{number(steps), plural(int(steps), "step", "steps"), ""},
		{number(v.Total.Calls), plural(int(v.Total.Calls), "call of the model", "calls of the model"), ""},
		{number(tools), plural(int(tools), "call of a tool", "calls of tools"), ""},
		{number(v.Total.Usage.TotalTokens), "tokens", ""},
		{number(failures), plural(int(failures), "error", "errors"), tone},
	}
	if v.Warnings > 0 {
		tiles = append(tiles, Tile{number(int64(v.Warnings)), plural(v.Warnings, "warning", "warnings"), "wait"})
	}
	return tiles
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// groups are what the events can be filtered by.
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

// palette gives each Expert a colour, in order of appearance.
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

// OriginView is a process as the page names it.
type OriginView struct {
	Facts   []Pair
	Session string // the task's role session in CloudTrail
	Look    string // the command that finds it
}

func (r *Report) originViews(head Head) []OriginView {
	slices.SortStableFunc(r.origins, func(a, b Origin) int { return cmp.Compare(a.Opened, b.Opened) })
	var views []OriginView
	for _, o := range r.origins {
		var v OriginView
		fact := func(name, value string) {
			if value != "" {
				v.Facts = append(v.Facts, Pair{name, value})
			}
		}
		fact("Opened", moment(o.Opened))
		fact("Task", o.ECS["taskArn"])
		fact("Cluster", o.ECS["cluster"])
		definition := o.ECS["family"]
		if o.ECS["revision"] != "" {
			definition += ":" + o.ECS["revision"]
		}
		fact("Task definition", definition)
		fact("Container", o.ECS["container"])
		fact("Launch type", o.ECS["launchType"])
		for _, name := range []string{"image", "imageDigest", "imageId"} {
			fact(map[string]string{"image": "Image", "imageDigest": "Image digest", "imageId": "Image digest"}[name], o.ECS[name])
		}
		for _, p := range o.Also {
			fact(strings.ToUpper(p.Name[:1])+p.Name[1:], p.Value)
		}
		fact("Host", o.Hostname)
		if o.PID > 0 {
			fact("Process", number(o.PID))
		}
		fact("Shipper", o.Version)
		fact("Log group", o.Target["group"])
		fact("Region", o.Target["region"])
		fact("Account", o.Target["account"])
		fact("Endpoint", o.Target["endpoint"])
		fact("File", o.Path)
		fact("Inputs", strings.Join(o.Inputs, ", "))
		if arn := o.ECS["taskArn"]; arn != "" {
			v.Session = arn[strings.LastIndexByte(arn, '/')+1:]
			v.Look = r.lookUp(v.Session, cmp.Or(o.Target["region"], head.Region))
		}
		views = append(views, v)
	}
	return views
}

// lookUp is the command that finds what a task did, among the management events of its account.
// CloudTrail shows them within a quarter of an hour and keeps them for 90 days.
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/view-cloudtrail-events-cli.html
func (r *Report) lookUp(session, region string) string {
	command := "aws cloudtrail lookup-events \\\n  --lookup-attributes AttributeKey=Username,AttributeValue=" + quoted(session)
	if region != "" {
		command += " \\\n  --region " + quoted(region)
	}
	if r.first > 0 {
		day := func(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }
		command += " \\\n  --start-time " + day(r.first-3_600_000) + " --end-time " + day(r.last+3_600_000)
	}
	return command
}

var plain = regexp.MustCompile(`^[A-Za-z0-9_.:/@-]+$`)

// quoted writes a word as a shell takes it.
func quoted(word string) string {
	if plain.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
