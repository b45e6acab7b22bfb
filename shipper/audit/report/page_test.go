package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perstack-shipper/shipper/audit/proof"
	"perstack-shipper/shipper/quantity"
)

// write returns the page about a job in the stream.
func (s stream) write(t testing.TB, job string) []byte {
	t.Helper()
	return page(t, s.report(t, job), job)
}

// page returns the page of a report.
func page(t testing.TB, r *Report, job string) []byte {
	t.Helper()
	var b bytes.Buffer
	head := Head{
		Job: job, Group: "/perstack/prod", Region: "eu-west-1", Written: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC), Version: "0.9.0",
		Proof: &proof.Job{Verdict: proof.Complete, Inputs: []*proof.Input{{ID: "k3v9x2ab", Lines: 1, SHA256: "1f3a", Verdict: proof.Complete}}},
	}
	if err := r.Write(&b, head); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func recordedPage(t testing.TB, name string) []byte {
	return stream{}.input("k3v9x2ab", "", recording(t, name)).write(t, "job")
}

// seen returns the visible text of a page, without folded text and markup.
func (b *browser) seen() string { return b.evaluate(`document.body.innerText`) }

func TestPageInBrowser(t *testing.T) {
	dir := t.TempDir()
	b := openBrowser(t)
	open := func(name string, page []byte) time.Duration {
		t.Helper()
		path := filepath.Join(dir, name+".html")
		if err := os.WriteFile(path, page, 0o600); err != nil {
			t.Fatal(err)
		}
		took := b.open(path)
		if err := b.complaints(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return took
	}
	has := func(name string, wants ...string) {
		t.Helper()
		text := b.seen()
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is not visible in\n%s", name, want, start(text, 3000))
			}
		}
	}

	open("simple", recordedPage(t, "simple.jsonl"))
	has("simple", "completed", "What is the capital of France?", "Paris", "claude-sonnet-4-5", "Complete", "SHA-256 1f3a",
		"arn:aws:ecs:eu-west-1:123456789012:task/agents/0f9de17a6465404e8b1b2356dc13c2f8", "AttributeKey=Username,AttributeValue=0f9de17a6465404e8b1b2356dc13c2f8", "9 rows")

	open("delegate-parallel", recordedPage(t, "delegate-parallel.jsonl"))
	has("delegate-parallel", "Do all three.", "All three delegates answered", "3,318\ntokens", "5\nruns", "prose-expert\t\n\t1\t4\t779\t258\t72\t0\t851")
	if labels := b.evaluate(`[...document.querySelectorAll('.chart .label')].map((e) => e.textContent).join('|')`); labels != "parallel-coordinator|↳ math-expert|↳ prose-expert|↳ code-expert|parallel-coordinator" {
		t.Errorf("the rows of the timeline are %s", labels)
	}
	if got := b.evaluate(`(() => {
		const row = document.querySelector('.ev[data-k~=work]');
		const hidden = () => getComputedStyle(row.querySelector('.more')).display === 'none' || row.querySelector('.more').checkVisibility() === false;
		const before = hidden();
		row.querySelector('summary').click();
		const open = hidden();
		document.getElementById('fold').click();
		return [before, open, hidden()].join();
	})()`); got != "true,false,true" {
		t.Errorf("folding: hidden before, after a click, after Fold all: %s", got)
	}
	filter := func(id, value string) string {
		return b.evaluate(fmt.Sprintf(`(async () => {
			const e = document.getElementById(%q);
			e.value = %q;
			e.dispatchEvent(new Event(e.tagName === 'INPUT' ? 'input' : 'change'));
			await new Promise((done) => setTimeout(done, 300));
			const rows = [...document.querySelectorAll('.block .ev')].filter((r) => r.checkVisibility());
			return document.getElementById('shown').textContent + '; ' + [...new Set(rows.map((r) => r.querySelector('summary').children[1].textContent))].join();
		})()`, id, value))
	}
	if got := filter("expert", "1"); !strings.HasPrefix(got, "21 of 108 rows; math-expert") && !strings.HasSuffix(got, "; math-expert") {
		t.Errorf("of one Expert: %s", got)
	}
	if got := filter("find", "calltools"); got != "3 of 108 rows; math-expert" {
		t.Errorf("of these, calls: %s", got)
	}

	open("error", stream{}.input("k3v9x2ab", "", recording(t, "error.jsonl")).input("k3v9x2ab.err", "stderr", recording(t, "error.stderr")).write(t, "job"))
	has("error", "stopped by an error", "1\nerror", "AI_NoOutputGeneratedError: No output generated.", "APICallError [AI_APICallError]: invalid x-api-key")

	open("maxsteps", recordedPage(t, "maxsteps.jsonl"))
	has("maxsteps", "out of steps", "The run was stopped because it ran out of steps")

	open("interactive", stream{}.input("a", "", recording(t, "interactive.jsonl")).input("b", "", recording(t, "interactive-continue.jsonl")).write(t, "job"))
	has("interactive", "Which theme do you want?", "Reply", "blue", "Thanks, I will use the blue theme.")
}

// An agent's text stays text. Here each of its strings tries to be a script, an image, an attribute
// and a control character at once.
func TestHostilePage(t *testing.T) {
	const attack = "</script><script>attacked = 1</script><img src=x onerror='attacked = 2'>\"'><svg onload=attacked=3>{{.}}\x1b[2J\u202e</style></title><!--"
	var poison func(value any) any
	poison = func(value any) any {
		switch value := value.(type) {
		case string:
			return value + attack
		case []any:
			for i := range value {
				value[i] = poison(value[i])
			}
		case map[string]any:
			for k := range value {
				if k != "type" {
					value[k] = poison(value[k])
				}
			}
		}
		return value
	}
	var data []byte
	for _, name := range []string{"delegate-parallel.jsonl", "error.jsonl", "old-error.jsonl", "interactive.jsonl"} {
		for line := range bytes.Lines(recording(t, name)) {
			var event map[string]any
			if err := json.Unmarshal(line, &event); err != nil {
				t.Fatal(err)
			}
			event = poison(event).(map[string]any)
			poisoned, err := json.Marshal(event)
			if err != nil {
				t.Fatal(err)
			}
			data = append(append(data, poisoned...), '\n')
		}
	}
	data = append(data, []byte(attack+"\n{\"type\":\""+strings.ReplaceAll(attack[:60], `"`, "")+"\"}\n")...)
	page := stream{}.input("k3v9x2ab", "", data).input("x.err", "stderr", []byte(attack)).write(t, "job"+attack)
	for _, tag := range []string{"<script", "</script", "<style", "</style"} {
		if n := bytes.Count(page, []byte(tag)); n != 1 {
			t.Errorf("%s is in the page %d times, want once", tag, n)
		}
	}
	for _, raw := range []string{"<img", "<svg onload", "\x1b", "\u202e", "<!--"} {
		if bytes.Contains(page, []byte(raw)) {
			t.Errorf("%q is in the page", raw)
		}
	}
	path := filepath.Join(t.TempDir(), "hostile.html")
	if err := os.WriteFile(path, page, 0o600); err != nil {
		t.Fatal(err)
	}
	b := openBrowser(t)
	b.open(path)
	if err := b.complaints(); err != nil {
		t.Error(err)
	}
	if got := b.evaluate(`typeof attacked + ' ' + document.scripts.length + ' ' + document.images.length`); got != "undefined 1 0" {
		t.Errorf("the attack, scripts and images in the page: %s", got)
	}
	if text := b.seen(); !strings.Contains(text, attack[:20]) || !strings.Contains(text, `\x1b[2J\u202e`) {
		t.Errorf("the attack is not shown as text:\n%s", start(text, 2000))
	}
}

// A page of 10,000 events is small and opens fast. The test logs the time, but allows much more,
// because it depends on how busy the machine is.
func TestLongPageInBrowser(t *testing.T) {
	var one []byte
	for _, name := range []string{"tools.jsonl", "delegate-parallel.jsonl", "delegate.jsonl", "maxsteps.jsonl"} {
		one = append(one, recording(t, name)...)
	}
	data := bytes.Repeat(one, 10_000/bytes.Count(one, []byte("\n"))+1)
	page := stream{}.input("k3v9x2ab", "", data).write(t, "job")
	if bytes.Contains(page, []byte("Too long for one page")) {
		t.Error("some events are not in the page")
	}
	path := filepath.Join(t.TempDir(), "long.html")
	if err := os.WriteFile(path, page, 0o600); err != nil {
		t.Fatal(err)
	}
	b := openBrowser(t)
	took := b.open(path)
	t.Logf("%d events, %d bytes as lines: a page of %d bytes, opened in %v", bytes.Count(data, []byte("\n")), len(data), len(page), took)
	if err := b.complaints(); err != nil {
		t.Error(err)
	}
	if len(page) > 16<<20 || took > 20*time.Second {
		t.Errorf("the page has %d bytes and opened in %v", len(page), took)
	}
}

// If a job is too long for one page, the page keeps what matters and says what is not in it.
func TestPageThatIsTooLong(t *testing.T) {
	var data bytes.Buffer
	for i := range 30_000 {
		typ := []string{"startGeneration", "callTools", "streamRunResult", "finishToolCall", "resolveToolResults"}[i%5]
		if i%1000 == 0 {
			typ = "retry"
		}
		fmt.Fprintf(&data, `{"type":%q,"expertKey":"e%d","timestamp":%d,"jobId":"job","runId":"r%d","stepNumber":%d,"delta":"x","reason":"because"}`+"\n", typ, i%7, 1_795_348_705_863+i, i%7, i)
	}
	data.WriteString(`{"type":"completeRun","expertKey":"e0","timestamp":1795348799999,"jobId":"job","runId":"r0","text":"the answer"}` + "\n")
	s := stream{}.input("k3v9x2ab", "", data.Bytes())
	r := s.report(t, "job")
	if len(r.rows.all) > maxRows || r.rows.size > maxRowBytes {
		t.Errorf("%d rows of %d bytes", len(r.rows.all), r.rows.size)
	}
	kept, retries := int64(0), 0
	for _, row := range r.rows.all {
		kept += row.count
		if row.typ == "retry" {
			retries++
		}
	}
	left, total := r.rows.leftOut()
	if kept+total != 30_001 || retries != 30 || r.rows.all[len(r.rows.all)-1].typ != "completeRun" {
		t.Errorf("%d events are kept and %d left out, %d retries are kept", kept, total, retries)
	}
	page := page(t, r, "job")
	for _, want := range []string{"Too long for one page", "30 warnings", quantity.Number(left[0].count) + " " + left[0].typ} {
		if !bytes.Contains(page, []byte(want)) && !strings.Contains(string(bytes.ReplaceAll(page, []byte("</b><span>"), []byte(" "))), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

// If all events are essential, the table drops some in the middle.
func TestPageOfEssentialEvents(t *testing.T) {
	var data bytes.Buffer
	for i := range maxRows + 5000 {
		fmt.Fprintf(&data, `{"type":"retry","expertKey":"e","timestamp":%d,"jobId":"job","runId":"r"}`+"\n", 1+i)
	}
	r := stream{}.input("k3v9x2ab", "", data.Bytes()).report(t, "job")
	first, last := r.rows.all[0], r.rows.all[len(r.rows.all)-1]
	if len(r.rows.all) > maxRows || first.seq != 1 || last.seq != maxRows+5000 {
		t.Errorf("%d rows, from %d to %d", len(r.rows.all), first.seq, last.seq)
	}
}
