package config

// This file writes the man page from the same declarations as the help.

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const manDescription = `The program keeps its input on disk until CloudWatch Logs has accepted it, and reads it back byte for byte as the agent wrote it.
Without a command, it ships what it reads from stdin.`

// ManPage returns the manual page perstack-shipper(1) for a version, in roff with the man macros.
func ManPage(version string, date time.Time) string {
	var page manWriter
	fmt.Fprintf(&page, ".TH %s 1 %q %q\n", strings.ToUpper(Program), date.UTC().Format(time.DateOnly), Program+" "+version)
	page.WriteString(".nh\n.ad l\n") // do not hyphenate the names of variables
	page.section("NAME")
	page.text(Program + " - ship the events of a Perstack agent to CloudWatch Logs")
	page.section("SYNOPSIS")
	page.WriteString(".nf\n")
	for _, name := range commandNames {
		page.text(usages[name])
	}
	page.WriteString(".fi\n")
	page.section("DESCRIPTION")
	page.text(manDescription)
	page.section("COMMANDS")
	for _, name := range commandNames {
		page.item(name, purpose(name))
	}
	page.section("OPTIONS")
	page.text("Each option is also an environment variable, unless it is marked \"flag only\". The command line overrides the variable. " +
		"The variable of an option that may be repeated holds several values separated by commas; \\, stands for a comma in a value.")
	group := ""
	for _, o := range allOptions() {
		if o.group != group {
			group = o.group
			page.subsection(strings.TrimSuffix(group, ":"))
		}
		variable := envName(o.name)
		if o.flagOnly {
			variable = "flag only"
		}
		page.item(o.text(), o.help, fmt.Sprintf("(%s; %s)", strings.Join(o.commands, ", "), variable))
	}
	page.section("EXIT STATUS")
	page.text(strings.TrimPrefix(exitCodes, "Exit codes: "))
	page.section("EXAMPLES")
	page.WriteString(".nf\n")
	for _, name := range commandNames {
		for line := range strings.Lines(examples[name]) {
			page.text(strings.TrimSpace(line))
		}
	}
	page.WriteString(".fi\n")
	return page.String()
}

// sharedOption is an option and the commands that have it.
type sharedOption struct {
	option
	commands []string
}

// allOptions returns the options of all commands, sorted by group. An option that two commands
// describe differently appears twice.
func allOptions() []sharedOption {
	var all []sharedOption
	var groups []string
	for _, name := range commandNames {
		for _, o := range optionsOf(new(commandLine).command(name)) {
			same := func(s sharedOption) bool {
				return s.text() == o.text() && s.help == o.help && s.group == o.group && s.flagOnly == o.flagOnly
			}
			if i := slices.IndexFunc(all, same); i >= 0 {
				all[i].commands = append(all[i].commands, name)
				continue
			}
			all = append(all, sharedOption{o, []string{name}})
			if !slices.Contains(groups, o.group) {
				groups = append(groups, o.group)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b sharedOption) int {
		return slices.Index(groups, a.group) - slices.Index(groups, b.group)
	})
	return all
}

// manWriter writes roff.
type manWriter struct{ strings.Builder }

func (w *manWriter) section(heading string) { fmt.Fprintf(w, ".SH %s\n", heading) }

func (w *manWriter) subsection(heading string) { fmt.Fprintf(w, ".SS %s\n", roff(heading)) }

func (w *manWriter) text(text string) { w.WriteString(roff(strings.TrimSuffix(text, "\n")) + "\n") }

// item writes a term in bold and its meaning indented below it.
func (w *manWriter) item(term string, lines ...string) {
	fmt.Fprintf(w, ".TP\n\\fB%s\\fR\n", roff(term))
	for _, line := range lines {
		w.text(line)
	}
}

// roff escapes characters that roff would read as a request or replace by a typographic character.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "~", `\(ti`, "^", `\(ha`, "'", `\(aq`, "`", `\(ga`, "…", "...").Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
