package config

// These tests let the real shells complete command lines.

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// shell returns the path of a shell. Without that shell the test is skipped, or fails if CI=true.
func shell(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed: run make tools", name)
		}
		t.Skipf("%s is not installed, so its completions are not tested", name)
	}
	return path
}

// completionFile writes the completion script for a shell to a file of the name that the shell
// expects.
func completionFile(t *testing.T, shell, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(Completion(shell)), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// completions are command lines, and the completions of the last word of each.
var completions = []struct {
	line string
	want []string
}{
	{"us", []string{"usage"}},
	{"--log-le", []string{"--log-level"}},
	{"usage --by d", []string{"day"}},
	{"exec --te", []string{"--tee"}},
	{"exec --no-cr", []string{"--no-create"}},
	{"exec --log-group /perstack/prod --fail-on ma", []string{"max-steps"}},
	{"resume --reg", []string{"--region"}},
	{"resume --se", nil}, // --search and others belong to other commands
	{"logs --sea", []string{"--search"}},
	{"ver", []string{"verify", "version"}},
}

func TestBashCompletes(t *testing.T) {
	bash, file := shell(t, "bash"), completionFile(t, "bash", Program+".bash")
	const complete = `. "$0"; COMP_WORDS=(perstack-shipper "$@"); COMP_CWORD=$#; _perstack_shipper; printf '%s\n' "${COMPREPLY[@]}"`
	ask := func(words ...string) []string {
		out, err := exec.CommandContext(t.Context(), bash, append([]string{"--norc", "-c", complete, file}, words...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v\n%s", words, err, out)
		}
		return strings.Fields(string(out))
	}
	for _, c := range completions {
		if got := ask(strings.Fields(c.line)...); !slices.Equal(got, c.want) {
			t.Errorf("%q completes to %q, want %q", c.line, got, c.want)
		}
	}
	// Bash splits words at "=".
	if got := ask("--log-level", "=", "w"); !slices.Equal(got, []string{"warn"}) {
		t.Errorf("--log-level=w completes to %q", got)
	}
	if got := ask("exec", "--", "ls", filepath.Dir(file)+"/perstack-sh"); !slices.Equal(got, []string{file}) {
		t.Errorf("a word after -- completes to %q, want the file", got)
	}
}

func TestFishCompletes(t *testing.T) {
	fish, file := shell(t, "fish"), completionFile(t, "fish", Program+".fish")
	for _, c := range completions {
		command := exec.CommandContext(t.Context(), fish, "--no-config", "-c", "source $argv[1]; complete -C $argv[2]", file, Program+" "+c.line)
		command.Env = append(os.Environ(), "HOME="+t.TempDir())
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v\n%s", c.line, err, out)
		}
		var got []string
		for line := range strings.Lines(string(out)) {
			word, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			got = append(got, word)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q completes to %q, want %q", c.line, got, c.want)
		}
	}
}

// Zsh completes only interactively, so this test types into a terminal.
func TestZshCompletes(t *testing.T) {
	zsh, file := shell(t, "zsh"), completionFile(t, "zsh", "_"+Program)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, zsh, "-f", "-i")
	command.Env = append(os.Environ(), "HOME="+t.TempDir(), "TERM=dumb")
	terminal, err := pty.Start(command)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	fmt.Fprintf(terminal, "PS1=; setopt no_beep; fpath=(%q $fpath); autoload -U compinit; compinit -u -D\r", filepath.Dir(file))
	fmt.Fprintf(terminal, "perstack-shipper() { print -r -- \"<$*>\" }\r")
	var want []string
	for _, c := range completions {
		if len(c.want) == 1 {
			fmt.Fprintf(terminal, "perstack-shipper %s\t\r", c.line)
			words := strings.Fields(c.line)
			want = append(want, "<"+strings.Join(append(words[:len(words)-1], c.want[0]), " ")+">")
		}
	}
	fmt.Fprint(terminal, "exit\r")
	out, _ := io.ReadAll(terminal) // on Linux, reading a terminal ends with an error
	if err := command.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	said := strings.ReplaceAll(strings.ReplaceAll(string(out), "=>", ">"), " >", ">")
	for _, line := range want {
		if !strings.Contains(said, line) {
			t.Errorf("zsh does not complete to %s", line)
		}
	}
	if t.Failed() {
		t.Logf("%q", out)
	}
}

// TestReferencesHaveEveryOption checks that the man page and the completions have every option of
// every command.
func TestReferencesHaveEveryOption(t *testing.T) {
	page := ManPage("v1.2.3", time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC))
	if !strings.HasPrefix(page, `.TH PERSTACK-SHIPPER 1 "2026-11-26" "perstack-shipper v1.2.3"`+"\n") {
		t.Errorf("the man page begins with %.80q", page)
	}
	for _, name := range commandNames {
		if !strings.Contains(page, "\\fB"+name+"\\fR\n") {
			t.Errorf("the man page lacks %s", name)
		}
		for _, o := range optionsOf(new(commandLine).command(name)) {
			if !strings.Contains(page, roff(o.text())) || !strings.Contains(page, roff(o.help)) {
				t.Errorf("the man page lacks --%s of %s", o.name, name)
			}
			for _, shell := range Shells {
				for _, spelling := range o.spellings() {
					if script := Completion(shell); !strings.Contains(script, "--"+spelling) && !strings.Contains(script, "-l "+spelling+" ") {
						t.Errorf("the completion for %s lacks --%s", shell, spelling)
					}
				}
			}
		}
	}
	if groff, err := exec.LookPath("groff"); err == nil {
		command := exec.CommandContext(t.Context(), groff, "-man", "-Tutf8", "-ww", "-z")
		command.Stdin = strings.NewReader(page)
		if out, err := command.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("groff: %v\n%s", err, out)
		}
	}
}
