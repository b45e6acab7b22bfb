package main

// This file checks that the documents describe the program: its options, its commands, and that
// links lead somewhere.

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"perstack-shipper/config"
)

// document returns the text of a Markdown file by its path from the top of the repository.
func document(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile("../../" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// section returns the text of a document from a heading to the next one of the same level.
func section(t *testing.T, path, heading string) string {
	t.Helper()
	_, text, found := strings.Cut(document(t, path), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("%s has no section %q", path, heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

// documents returns the paths of the repository's Markdown files from its top.
func documents(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"*.md", "docs/*.md", "deploy/*.md", "deploy/*/*.md"} {
		names, err := fs.Glob(os.DirFS("../.."), pattern)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, names...)
	}
	if len(found) < 10 {
		t.Fatalf("only %d documents are found", len(found))
	}
	return found
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	// notInAnchor matches the characters that GitHub drops when it turns a heading into an anchor.
	notInAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors returns the anchors of a document's headings.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, match := range heading.FindAllStringSubmatch(text, -1) {
		name := strings.ToLower(notInAnchor.ReplaceAllString(match[1], ""))
		found[strings.ReplaceAll(name, " ", "-")] = true
	}
	return found
}

func TestLinksInDocuments(t *testing.T) {
	for _, path := range documents(t) {
		for _, match := range link.FindAllStringSubmatch(document(t, path), -1) {
			target, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			to := path
			if target != "" {
				to = filepath.Join(filepath.Dir(path), target)
			}
			info, err := os.Stat("../../" + to)
			switch {
			case err != nil:
				t.Errorf("%s links to %s, which does not exist", path, match[1])
			case anchor != "" && !info.IsDir() && !anchors(document(t, to))[anchor]:
				t.Errorf("%s links to %s, which has no such heading", path, match[1])
			}
		}
	}
}

var (
	// helpLine matches an option in the help of a command: its name, its default or a word for its
	// value, and its description.
	helpLine = regexp.MustCompile(`(?m)^  --(\[no-\])?([a-z-]+)(?:=(\S+))?  +(.+)$`)
	// placeholder matches a word for a value, or for a pair or list of values.
	placeholder = regexp.MustCompile(`^[A-Z]+(=[A-Z]+|,…)?$`)
	// optionRow matches an option in docs/options.md: its name, its default and its description.
	optionRow = regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\| ([^|]+) \\| ([^|]+) \\|$")
)

// goFile matches a source file that a document names.
var goFile = regexp.MustCompile("`([a-z][a-z_/]*\\.go)`")

func TestGuidesNameFilesThatExist(t *testing.T) {
	for _, guide := range []string{"CONTRIBUTING.md", "docs/architecture.md"} {
		named := goFile.FindAllStringSubmatch(document(t, guide), -1)
		if len(named) < 8 {
			t.Fatalf("%s names only %d files", guide, len(named))
		}
		for _, match := range named {
			_, atTop := os.Stat("../../" + match[1])
			_, inShipper := os.Stat("../../shipper/" + match[1])
			if atTop != nil && inShipper != nil {
				t.Errorf("%s names %s, which is neither at the top nor in shipper", guide, match[1])
			}
		}
	}
}

func TestOptionsPage(t *testing.T) {
	type option struct {
		command, value, help string
	}
	declared := map[string][]option{}
	for _, command := range []string{"ship", "exec", "resume", "status", "healthcheck", "logs", "verify", "jobs", "usage", "report", "restore", "check", "local", "version"} {
		parsed, err := config.Parse([]string{command, "--help"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range helpLine.FindAllStringSubmatch(parsed.(*config.Help).Text, -1) {
			value := line[3]
			if placeholder.MatchString(value) {
				value = ""
			}
			declared[line[2]] = append(declared[line[2]], option{command, value, line[4]})
		}
	}
	if len(declared) < 30 {
		t.Fatalf("only %d options are found in the help", len(declared))
	}

	written := map[string]bool{}
	for _, row := range optionRow.FindAllStringSubmatch(document(t, "docs/options.md"), -1) {
		name, def, text := row[1], strings.Trim(row[2], "`"), row[3]
		written[name] = true
		options := declared[name]
		if len(options) == 0 {
			t.Errorf("docs/options.md has --%s, which is not an option", name)
			continue
		}
		fits := func(o option) bool { return o.value == "" || o.value == def }
		if !slices.ContainsFunc(options, fits) {
			t.Errorf("docs/options.md says the default of --%s is %q; the help has %q", name, def, options[0].value)
		}
		repeats := func(o option) bool {
			return strings.Contains(o.help, "May be repeated") == strings.Contains(text, "May be repeated")
		}
		if name != "stream" && !slices.ContainsFunc(options, repeats) {
			t.Errorf("docs/options.md and the help disagree on whether --%s may be repeated", name)
		}
	}
	for name, options := range declared {
		if !written[name] {
			t.Errorf("docs/options.md does not have --%s of %s", name, options[0].command)
		}
	}
}

// The recipes print no control characters of an agent's answer, which might clear the screen.
func TestReadmeRecipesHoldBackControlCharacters(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("jq"); err != nil {
		t.Skip("jq is not installed: the recipes are not run")
	}
	w := newLocalWorld(t)
	line := `{"type":"completeRun","expertKey":"e","jobId":"raw","runId":"r","stepNumber":1,"text":"a\u001b[2J\u009b31mb\nc"}` + "\n"
	w.ship([]byte(line), "--log-group", "/perstack/recipes")
	got := w.follows(shellBlocks(document(t, "docs/reading-back.md"))[0], "PATH="+os.Getenv("PATH"), "GROUP=/perstack/recipes", "JOB=raw", "PERSTACK_SHIPPER_LOG_LEVEL=error")
	if !strings.Contains(got, "e: a?[2J?31mb\nc\n") || strings.ContainsAny(got, "\x1b\u009b") {
		t.Errorf("the recipes print %q", got)
	}
}

// shellBlocks returns the blocks of shell commands in a text.
func shellBlocks(text string) []string {
	var blocks []string
	for _, block := range strings.Split(text, "```sh\n")[1:] {
		text, _, _ := strings.Cut(block, "```")
		blocks = append(blocks, text)
	}
	return blocks
}

// follows runs commands of a document in the repository's folder and returns their stdout. stderr
// may hold only a summary.
func (w *world) follows(script string, env ...string) string {
	w.T.Helper()
	command := exec.CommandContext(lifetime(w.T), "sh", "-e", "-c", script)
	command.Dir = "../.."
	command.Env = append(w.Env, env...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil || stderr.Len() > 0 && summary.FindString(stderr.String()) == "" {
		w.T.Fatalf("%v\n%s\n%s", err, script, &stderr)
	}
	return stdout.String()
}

func TestReadmeQuickStart(t *testing.T) {
	t.Parallel()
	w := newLocalWorld(t)
	blocks := shellBlocks(section(t, "README.md", "Quick start"))
	if len(blocks) != 2 {
		t.Fatalf("%d blocks of commands, want one for each shell", len(blocks))
	}
	// The test has its own endpoint and program.
	exported, commands, _ := strings.Cut(blocks[1], "\n")
	if !strings.HasPrefix(exported, "export AWS_ENDPOINT_URL=http://127.0.0.1:4586 ") {
		t.Errorf("the second shell begins with %q", exported)
	}
	got := w.follows(strings.ReplaceAll(commands, "bin/perstack-shipper", "perstack-shipper"), "PATH="+os.Getenv("PATH"))
	newest := int64(0)
	untimed := func(lines string) []byte {
		return timestamp.ReplaceAllFunc([]byte(lines), func(member []byte) []byte {
			ms, err := strconv.ParseInt(string(member[len(`"timestamp":`):]), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			newest = max(newest, ms)
			return nil
		})
	}
	want := untimed(string(w.recording("tools.jsonl")))
	newest = 0
	if got := untimed(got); !bytes.Equal(got, want) {
		t.Error(difference(got, want))
	}
	if ago := time.Since(time.UnixMilli(newest)); ago < 0 || ago > time.Minute {
		t.Errorf("the run ended %v ago: `aws logs tail` would not show it", ago)
	}
}

var timestamp = regexp.MustCompile(`"timestamp":\d+`)

// A stamped recording differs only in its times. All move by the same amount, so events keep their
// distances.
func TestStamp(t *testing.T) {
	t.Parallel()
	for _, recording := range []string{"tools.jsonl", "streaming.jsonl", "delegate-parallel.jsonl"} {
		path := "testdata/recordings/" + recording
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		after, err := exec.CommandContext(lifetime(t), "../../deploy/stamp.sh", path).Output()
		if err != nil {
			t.Fatal(err)
		}
		was, is := timestamp.FindAllString(string(before), -1), timestamp.FindAllString(string(after), -1)
		if !bytes.Equal(timestamp.ReplaceAll(before, nil), timestamp.ReplaceAll(after, nil)) || len(was) != len(is) || len(was) == 0 {
			t.Errorf("%s differs in more than its times when it is stamped", recording)
			continue
		}
		moved := map[int64]bool{}
		for i := range was {
			a, errA := strconv.ParseInt(was[i][len(`"timestamp":`):], 10, 64)
			b, errB := strconv.ParseInt(is[i][len(`"timestamp":`):], 10, 64)
			if err := errors.Join(errA, errB); err != nil {
				t.Fatal(err)
			}
			moved[b-a] = true
		}
		if len(moved) != 1 {
			t.Errorf("the times of %s move by %v", recording, moved)
		}
	}
}

func TestReadmeRecipes(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("jq"); err != nil {
		t.Skip("jq is not installed: the recipes are not run")
	}
	w := newLocalWorld(t)
	blocks := shellBlocks(document(t, "docs/reading-back.md"))
	if len(blocks) != 2 {
		t.Fatalf("%d blocks of commands, want the recipes and one that needs Perstack", len(blocks))
	}
	for _, test := range []struct {
		recording, job string
		want           []string
	}{
		{"delegate-parallel.jsonl", "rg5xjsjyitoxtwsf2dwjccga", []string{
			" callTools\n",
			"parallel-coordinator\t6\t400\t10\n",
			`{"expert":"math-expert","tokens":831}` + "\n",
			"parallel-coordinator: All three delegates answered; the combined report is ready.\n",
		}},
		// The first is of a version in which callTool and callDelegate are calls of their own, and
		// the second of a version that repeats their usage.
		{"old-tools.jsonl", "uyjdmiu0l8hnousb2ojqkc0k", []string{`{"expert":"solo","tokens":20147}` + "\n"}},
		{"mixed.jsonl", "rec-mixed-1795697507", []string{`{"expert":"lead","tokens":4297}` + "\n", `{"expert":"worker","tokens":9810}` + "\n"}},
		{"error.jsonl", "q9o1t5bt2ccir3316uu43jvy", []string{`"name": "AI_NoOutputGeneratedError"`}},
	} {
		w.ship(w.recording(test.recording), "--log-group", "/perstack/recipes")
		// logs warns about a job that has no line of a type, which is expected here.
		got := w.follows(blocks[0], "PATH="+os.Getenv("PATH"), "GROUP=/perstack/recipes", "JOB="+test.job, "PERSTACK_SHIPPER_LOG_LEVEL=error")
		for _, want := range test.want {
			if !strings.Contains(got, want) {
				t.Errorf("for %s the recipes do not print %q, but\n%s", test.recording, want, got)
			}
		}
	}
}
