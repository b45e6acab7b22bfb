package report

// This file writes the page. It does not use html/template, which calls methods by name: the linker
// would then keep every exported method of the program, including 5 MB of the AWS SDK.

import (
	"bufio"
	"cmp"
	"fmt"
	"html"
	"io"
	"strings"

	"perstack-shipper/shipper/quantity"
	"perstack-shipper/shipper/terminal"
)

// markup is HTML that is written unescaped. Untyped constants convert to markup implicitly, but an
// agent's text is a string, which the compiler does not accept as markup.
type markup string

// line makes the control characters in a single line visible.
func line(text string) string { return terminal.Escape(text) }

// text makes the control characters in several lines visible.
func text(text string) string { return terminal.EscapeText(text) }

// htmlWriter writes HTML. The bufio.Writer keeps the first error until it is flushed.
type htmlWriter struct{ *bufio.Writer }

// put writes markup and replaces each {} with a value, escaped for text and for quoted attributes.
// No value is put into a script, style or address, which need other escaping.
func (w htmlWriter) put(format markup, values ...any) {
	for _, value := range values {
		before, after, _ := strings.Cut(string(format), "{}")
		w.WriteString(before)
		w.WriteString(html.EscapeString(fmt.Sprint(value)))
		format = markup(after)
	}
	w.WriteString(string(format))
}

// putIf calls put if is holds.
func (w htmlWriter) putIf(is bool, format markup, values ...any) {
	if is {
		w.put(format, values...)
	}
}

// writePage writes the page.
func writePage(to io.Writer, v *view) error {
	w := htmlWriter{bufio.NewWriterSize(to, 64<<10)}
	w.put(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>Job {}</title>
<style>`, policy, line(v.Job))
	w.put(markup(pageCSS))
	w.put(`</style>
</head>
<body>
<main>

`)
	w.top(v)
	w.verdict(v)
	w.put(`<section class="tiles" aria-label="In numbers">
`)
	for _, t := range v.tiles {
		w.put(`<div class="tile {}"><b>{}</b><span>{}</span></div>
`, t.tone, t.value, t.label)
	}
	w.put("</section>\n\n")
	w.problems(v)
	w.talk(v)
	if v.timeline != nil {
		w.timeline(v.timeline, v.runsLost)
	}
	w.put("\n\n")
	w.tokens(v)
	w.origins(v)
	w.stderr(v.stderr)
	w.events(v)
	w.put(`<footer>
<p>Read back from CloudWatch Logs by perstack-shipper {} on {}. Control characters in the text of agents are shown as <code>\x1b</code>.</p>
</footer>
</main>
<script>`, v.Version, moment(v.Written.UnixMilli()))
	w.put(markup(pageJS))
	w.put(`</script>
</body>
</html>
`)
	return w.Flush()
}

func (w htmlWriter) top(v *view) {
	w.put(`<header class="top">
<p class="kicker">Perstack job</p>
<h1>{}</h1>
<p class="facts">`, line(v.Job))
	w.putIf(v.outcome != "", `<span class="badge {}">{}</span>`, v.outcomeTone, line(v.outcome))
	w.putIf(v.started != 0, `<span>{}</span>`, moment(v.started))
	w.putIf(v.models != "", `<span>{}</span>`, line(v.models))
	w.putIf(v.runtime != "", `<span>Perstack {}</span>`, line(v.runtime))
	if v.Group != "" {
		w.put(`<span>{}`, line(v.Group))
		w.putIf(v.Region != "", ` in {}`, line(v.Region))
		w.put(`</span>`)
	}
	w.put(`</p>
</header>

`)
}

func (w htmlWriter) verdict(v *view) {
	says := map[string]string{"good": "Complete", "bad": "Not complete"}
	w.put(`<section class="verdict {}" id="verdict">
<h2>{}</h2>
<p>{}</p>
`, v.tone, cmp.Or(says[v.tone], "Cannot be told"), text(v.verdictSays))
	if len(v.inputs) > 0 {
		w.put(`<div class="wide"><table>
<thead><tr><th>Input</th><th>Source</th><th class="n">Lines</th><th class="n">Bytes</th><th>Sequence</th><th>State</th><th>Sealed</th></tr></thead>
`)
		for _, in := range v.inputs {
			w.put(`<tbody>
<tr><td class="mono">{}</td><td>{}</td><td class="n">{}</td><td class="n">{}</td><td class="num">{}</td><td class="state {}">{}`,
				line(in.ID), line(in.Source), quantity.Number(in.Lines), quantity.Number(in.Bytes), line(in.seqs), tone(in.Verdict), in.Verdict)
			w.putIf(in.says != "", `: {}`, text(in.says))
			w.put(`</td><td class="num">{}</td></tr>
`, moment(in.sealed))
			w.putIf(in.SHA256 != "", `<tr class="sum"><td colspan="7"><span>SHA-256</span> <code>{}</code></td></tr>
`, line(in.SHA256))
			w.put(`</tbody>
`)
		}
		w.put(`</table></div>`)
	}
	w.put(`
</section>

`)
}

func (w htmlWriter) problems(v *view) {
	if len(v.errors) > 0 {
		w.put(`<section id="errors">
<h2>What went wrong</h2>
`)
		for i := range v.errors {
			p := &v.errors[i]
			tone := "bad"
			if p.warning {
				tone = "wait"
			}
			w.put(`<article class="problem {}">
<h3>{}</h3>
<p class="where">`, tone, line(p.title))
			w.putIf(p.expert != "", `<span>{}</span>`, line(p.expert))
			w.putIf(p.step != 0, `<span>step {}</span>`, p.step)
			w.putIf(p.time != 0, `<time>{}</time>`, clock(p.time))
			w.put(`</p>
<pre>{}`, text(p.text))
			w.putIf(p.cut != 0, ` … {} more`, size(p.cut))
			w.put(`</pre>
</article>
`)
		}
		w.putIf(v.errorsLost != 0, `<p class="note">{} more are not listed here.</p>`, quantity.Number(v.errorsLost))
		w.put(`
</section>`)
	}
	w.put("\n\n")
}

func (w htmlWriter) talk(v *view) {
	if len(v.talk) > 0 {
		w.put(`<section id="talk">
<h2>What was asked and answered</h2>
`)
		for i := range v.talk {
			t := &v.talk[i]
			w.put(`<article class="turn {}">
<h3>{}`, t.tone, t.who)
			w.putIf(t.time != 0, ` <time>{}</time>`, clock(t.time))
			w.put(`</h3>
<div class="body">{}`, text(t.text))
			w.putIf(t.cut != 0, ` <em>… {} more</em>`, size(t.cut))
			w.put(`</div>
</article>
`)
		}
		w.putIf(v.talkLost != 0, `<p class="note">{} more turns are not listed here.</p>`, quantity.Number(v.talkLost))
		w.put(`
</section>`)
	}
	w.put("\n\n")
}

func (w htmlWriter) tokens(v *view) {
	if len(v.experts) > 0 {
		w.put(`<section id="tokens">
<h2>Tokens by Expert</h2>
<div class="wide"><table class="tokens">
<thead><tr><th>Expert</th><th></th><th class="n">Runs</th><th class="n">Calls</th><th class="n">Input</th><th class="n">Cached</th><th class="n">Output</th><th class="n">Reasoning</th><th class="n">Total</th></tr></thead>
<tbody>
`)
		for i := range v.experts {
			e := &v.experts[i]
			w.put(`<tr class="{}"><td><i class="dot"></i>`, e.class)
			if e.expert != "" {
				w.put(`{}`, line(e.expert))
			} else {
				w.put(`<em>others</em>`)
			}
			w.put(`</td>
<td class="bars"><svg viewBox="0 0 1000 16" preserveAspectRatio="none" width="220" height="12">`)
			for _, b := range e.bars {
				w.put(`<rect class="{}" x="{}" width="{}" height="16"><title>{}</title></rect>`, b.what, b.x, b.w, b.title)
			}
			w.put(`</svg></td>
`)
			w.counts(e)
			w.put(`</tr>
`)
		}
		w.put(`</tbody>
<tfoot><tr><td>all</td><td class="key"><i class="in"></i>input <i class="out"></i>output</td>`)
		w.counts(&v.total)
		w.put(`</tr></tfoot>
</table></div>
</section>`)
	}
	w.put("\n\n")
}

// counts writes the cells with numbers in a row of the table of tokens.
func (w htmlWriter) counts(e *expertTokens) {
	u := &e.usage
	w.put(`<td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n"><b>{}</b></td>`,
		quantity.Number(e.runs), quantity.Number(e.calls), quantity.Number(u.InputTokens), quantity.Number(u.CachedInputTokens), quantity.Number(u.OutputTokens), quantity.Number(u.ReasoningTokens), quantity.Number(u.TotalTokens))
}

func (w htmlWriter) origins(v *view) {
	if len(v.origins) > 0 {
		w.put(`<section id="where">
<h2>Who, where and when</h2>
`)
		for _, o := range v.origins {
			w.put(`<article class="origin"><dl>
`)
			for _, fact := range o.facts {
				w.put(`<div><dt>{}</dt><dd>{}</dd></div>
`, line(fact.name), line(fact.value))
			}
			w.put(`</dl>
`)
			w.putIf(o.session != "", `<p>The task calls AWS in the role session <code>{}</code>: in CloudTrail, the <code>userIdentity.arn</code> of its calls ends with this name. CloudTrail records <code>CreateLogStream</code>, which created the log stream, but not <code>PutLogEvents</code>. It keeps events for 90 days, and longer in a trail.</p>
<pre class="command">{}</pre>`, line(o.session), text(o.look))
			w.put(`
</article>
`)
		}
		w.putIf(v.originsLost != 0, `<p class="note">{} more processes are not listed here.</p>`, quantity.Number(v.originsLost))
		w.put(`
</section>`)
	}
	w.put("\n\n")
}

func (w htmlWriter) stderr(s *stderrView) {
	if s != nil {
		w.put(`<section id="stderr">
<h2>Output on stderr</h2>
<details open><summary>{}</summary>
<pre class="panel">{}`, quantity.Count(s.lines, "line", "lines"), text(s.head))
		w.putIf(s.lost != 0, `
… {} bytes omitted …
`, quantity.Number(s.lost))
		w.put(`{}</pre></details>
</section>`, text(s.tail))
	}
	w.put("\n\n")
}

func (w htmlWriter) events(v *view) {
	w.put(`<section id="events">
<h2>Events</h2>
<form id="filter" hidden>
<input type="search" id="find" placeholder="Find in these events" aria-label="Find" autocomplete="off" spellcheck="false">
<select id="kind" aria-label="Which events"><option value="">all events</option><option value="bad">errors</option><option value="run">starts and ends of runs</option><option value="work">calls, tools and text</option><option value="routine">everything else</option></select>
<select id="expert" aria-label="Expert"><option value="">all Experts</option>`)
	for i, expert := range v.rowExperts {
		w.put(`<option value="{}">{}</option>`, i, line(expert))
	}
	w.put(`</select>
<button type="button" id="fold">Fold all</button>
<output id="shown"></output>
</form>
`)
	if len(v.left) > 0 {
		w.put(`<p class="note left">Too long for one page: {} left out (`, quantity.Count(v.leftTotal, "event is", "events are"))
		for i, l := range v.left {
			w.putIf(i > 0, `, `)
			w.put(`{} {}`, quantity.Number(l.count), line(l.typ))
		}
		w.put(`). They are in CloudWatch; <code>perstack-shipper logs --job ID</code> prints all of them.</p>`)
	}
	w.put(`
<div class="events">
<div class="ev head" aria-hidden="true"><span>Time (UTC)</span><span>Expert</span><span>Step</span><span>Event</span><span>What happened</span><span>Tokens</span></div>
`)
	for _, block := range v.blocks {
		w.put(`<div class="block">
`)
		for i := range block {
			w.row(&block[i])
		}
		w.put(`</div>
`)
	}
	w.put(`</div>
</section>

`)
}

func (w htmlWriter) row(r *rowView) {
	w.put(`<details class="ev {}" data-k="{}"`, r.class, r.group)
	w.putIf(r.expert >= 0, ` data-x="{}"`, r.expert)
	w.put(`><summary><span>{}</span><span>{}</span><span>`, clock(r.time), line(r.name))
	w.putIf(r.step != 0, `{}`, r.step)
	w.put(`</span><span>{}</span><span>{}</span><span>`, line(r.typ), line(r.text))
	w.putIf(r.tokens != 0, `{}`, quantity.Number(r.tokens))
	w.put(`</span></summary>
<div class="more">`)
	for _, p := range r.pieces {
		if !p.long {
			w.put(`<pre>{}</pre>`, text(p.text))
			continue
		}
		w.put(`<details><summary>{} <em>{}</em></summary><pre>{}`, line(p.preview), size(p.size), text(p.text))
		w.putIf(p.cut != 0, ` … {} more`, size(p.cut))
		w.put(`</pre></details>`)
	}
	w.put(`<p class="src">{}</p></div></details>
`, line(r.where))
}
