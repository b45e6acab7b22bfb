package config

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// This file prints the help: a screen for the program and one for each command, every option in one line.

const overview = `Usage: perstack run … 2>&1 | perstack-shipper --log-group NAME [flags]
       perstack-shipper exec --log-group NAME [flags] -- perstack run …
       perstack-shipper COMMAND --help

Ships the events of a Perstack agent to CloudWatch Logs and loses none: what
comes in is kept on disk until CloudWatch has it, and the agent never waits.

Commands:
`

// overviewFlags are the flags that the program's own help shows; the commands' help has all.
var overviewFlags = []string{"log-group", "region", "endpoint-url", "log-stream", "field", "journal-dir"}

const overviewEnd = `
Try it without AWS: perstack-shipper local
`

// environmentHelp ends the help of each command that has options.
const environmentHelp = `Each is also an environment variable: PERSTACK_SHIPPER_LOG_GROUP, for example.
`

// shipping are the commands that end with exitCodes.
var shipping = []string{"ship", "exec", "resume"}

const exitCodes = `Exit codes: 0 all delivered, 2 usage, 65 something rejected by CloudWatch, 75
something left in the journal. exec: those of the command first, if not 0.
`

// examples show each command as it is used.
var examples = map[string]string{
	"ship": `  perstack run expert "query" 2>&1 | perstack-shipper --log-group /perstack/prod
  perstack-shipper --log-group /perstack/prod --input /events --until-idle 1m
`,
	"exec": `  perstack-shipper exec --log-group /perstack/prod -- perstack run expert query
  perstack-shipper exec --log-group /perstack/prod --fail-on error -- ./agent.sh
`,
	"resume": `  perstack-shipper resume --journal-dir /var/lib/perstack-shipper
`,
	"logs": `  perstack-shipper logs --log-group /perstack/prod --job uo5p1q | jq -r .type
`,
	"local": `  perstack-shipper local --dir /tmp/cloudwatch
  export AWS_ENDPOINT_URL=http://127.0.0.1:4586
  perstack-shipper --log-group demo <events.jsonl
`,
}

// usages are the first lines of each command's help.
var usages = map[string]string{
	"ship":    "perstack-shipper [ship] --log-group NAME [flags] <EVENTS",
	"exec":    "perstack-shipper exec --log-group NAME [flags] -- COMMAND ARG…",
	"resume":  "perstack-shipper resume [flags]",
	"logs":    "perstack-shipper logs --log-group NAME --job ID [flags]",
	"local":   "perstack-shipper local [flags]",
	"version": "perstack-shipper version",
}

// printHelp writes the help of the selected command, or of the program where none is.
func printHelp(_ kong.HelpOptions, ctx *kong.Context) error {
	if command := ctx.Selected(); command != nil {
		return printCommand(ctx.Stdout, command)
	}
	var text strings.Builder
	text.WriteString(overview)
	for _, command := range ctx.Model.Children {
		fmt.Fprintf(&text, "  %-8s  %s\n", command.Name, command.Help)
	}
	text.WriteString("\nFlags to begin with (ship --help shows all):\n")
	for _, flag := range ctx.Model.DefaultCmd.Flags {
		if slices.Contains(overviewFlags, flag.Name) {
			fmt.Fprintf(&text, "  %-20s  %s\n", flagText(flag), flag.Help)
		}
	}
	text.WriteString("\n" + environmentHelp + overviewEnd)
	_, err := io.WriteString(ctx.Stdout, text.String())
	return err
}

func printCommand(w io.Writer, command *kong.Node) error {
	var text strings.Builder
	fmt.Fprintf(&text, "Usage: %s\n\n%s\n", usages[command.Name], command.Help)
	if len(command.Flags) > 0 {
		text.WriteString("\n")
	}
	width := 0
	for _, flag := range command.Flags {
		width = max(width, len(flagText(flag)))
	}
	group := ""
	for _, flag := range command.Flags {
		if flag.Group != nil && flag.Group.Title != group {
			group = flag.Group.Title
			fmt.Fprintf(&text, "%s\n", group)
		}
		fmt.Fprintf(&text, "  %-*s  %s\n", width, flagText(flag), flag.Help)
	}
	if len(command.Flags) > 0 {
		text.WriteString("\n" + environmentHelp)
	}
	if slices.Contains(shipping, command.Name) {
		text.WriteString("\n" + exitCodes)
	}
	if example := examples[command.Name]; example != "" {
		text.WriteString("\nExamples:\n" + example)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// flagText is a flag as it is written, with its default or a word for its value.
func flagText(flag *kong.Flag) string {
	switch {
	case flag.IsBool() && flag.Tag.Negatable != "":
		return "--[no-]" + flag.Name
	case flag.IsBool():
		return "--" + flag.Name
	case flag.PlaceHolder != "":
		return "--" + flag.Name + "=" + flag.PlaceHolder
	}
	return "--" + flag.Name + "=" + flag.Default
}
