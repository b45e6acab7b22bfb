package main

// This file runs the commands in the documents and compares their output with what the documents
// show.

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// fence matches a fenced block of a document: its language and its text.
var fence = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

// shown is a command of a console block, and its output on the page.
type shown struct {
	command, output string
}

// sessions returns the commands of a console block. A backslash continues a command on the next
// line.
func sessions(block string) []shown {
	var all []shown
	for _, line := range strings.SplitAfter(block, "\n") {
		switch command, isCommand := strings.CutPrefix(line, "$ "); {
		case isCommand:
			all = append(all, shown{command: command})
		case len(all) == 0:
		case strings.HasSuffix(all[len(all)-1].command, "\\\n"):
			all[len(all)-1].command += line
		default:
			all[len(all)-1].output += line
		}
	}
	return all
}

// varies matches the parts of an output that differ from run to run, and names what stands for them
// in a comparison.
var varies = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?`), "TIME"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d(\.\d+)?`), "CLOCK"},
	{regexp.MustCompile(`\w+day, \d+ \w+ \d{4}`), "DAY"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "SHA256"},
	{regexp.MustCompile(`(?m)^  [0-9a-z]{8}(  |:)`), "  INPUT$1"},
	{regexp.MustCompile(`[0-9.]+m?s\b`), "DURATION"},
	{regexp.MustCompile(`[0-9.]+ [GMK]iB free`), "FREE"},
	{regexp.MustCompile(` {2,}`), "  "},
}

func withoutWhatVaries(text string) string {
	for _, v := range varies {
		text = v.pattern.ReplaceAllString(text, v.name)
	}
	return text
}

// ranElsewhere is the first lines of blocks that other tests run: TestReadmeQuickStart and
// TestReadmeRecipes.
var ranElsewhere = []string{"make build\n", "export AWS_ENDPOINT_URL=http://127.0.0.1:4586 ", "# what happened, in numbers\n"}

// indented matches a command in a block without a fence, whose output the page does not show.
var indented = regexp.MustCompile(`(?m)^    (?:perstack-shipper|aws) .*$`)

// TestPages runs each console block of the documents. A block that is not run says what it needs.
func TestPages(t *testing.T) {
	t.Parallel()
	w := newLocalWorld(t)
	dir := t.TempDir()
	w.Env = append(w.Env, "PERSTACK_SHIPPER_LOG_GROUP=/perstack/prod")
	// Stamp the recordings so that they end now. Going from the longest to the shortest, each
	// begins after the one before it however slow the machine is. The pages show that order.
	for _, name := range []string{"delegate-parallel.jsonl", "tools.jsonl", "error.jsonl", "simple.jsonl"} {
		stamped, err := exec.CommandContext(lifetime(t), "../../deploy/stamp.sh", "testdata/recordings/"+name).Output()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), stamped, 0o600); err != nil {
			t.Fatal(err)
		}
		if name != "simple.jsonl" { // a page ships that one
			w.ship(stamped)
		}
	}
	for _, page := range documents(t) {
		for _, command := range indented.FindAllString(fence.ReplaceAllString(document(t, page), ""), -1) {
			script := exec.CommandContext(lifetime(t), "sh", "-c", strings.ReplaceAll(command, "--into /workspace", "--into restored"))
			script.Dir, script.Env = dir, append(w.Env, "JOB=d9urbpfdpmij1axcii58vgzr")
			if out, err := script.CombinedOutput(); err != nil {
				t.Errorf("%s: %s: %v\n%s", page, command, err, out)
			}
		}
		for _, block := range fence.FindAllStringSubmatch(document(t, page), -1) {
			language, text := block[1], block[2]
			switch {
			case language == "console":
				for _, s := range sessions(text) {
					w.mustPrint(page, dir, s)
				}
			case language == "sh" && !strings.HasPrefix(text, "# needs ") && !strings.HasPrefix(text, "# set once\n") &&
				!slices.ContainsFunc(ranElsewhere, func(begin string) bool { return strings.HasPrefix(text, begin) }):
				t.Errorf("%s: no test runs this block, and it does not say what it needs:\n%s", page, text)
			}
		}
	}
}

// mustPrint runs a command of a page and compares its output. The command itself may fail, if the
// page shows that.
func (w *world) mustPrint(page, dir string, s shown) {
	w.T.Helper()
	command := exec.CommandContext(lifetime(w.T), "sh", "-c", s.command)
	command.Dir, command.Env = dir, w.Env
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if got, want := withoutWhatVaries(stdout.String()), withoutWhatVaries(s.output); got != want {
		w.T.Errorf("%s: $ %s(%v) prints\n%s%s\nand the page says\n%s", page, s.command, err, stdout.String(), stderr.String(), s.output)
	}
}
