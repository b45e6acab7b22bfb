package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// This file prints the help: a screen for the program and one for each command, every option in one
// line.

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

const redirectHelp = `Another target is for everything that is left in the journal. Run resume without
one first: it delivers what still can be delivered where it was meant to go.
`

// shipping are the commands that end with exitCodes.
var shipping = []string{"ship", "exec", "resume"}

const exitCodes = `Exit codes: 0 all delivered, 1 by --fail-on, 2 usage, 65 something rejected by
CloudWatch, 75 something left in the journal. exec: the command's own, if not 0.
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
  perstack-shipper resume --log-group /perstack/prod
`,
	"status": `  perstack-shipper status --journal-dir /var/lib/perstack-shipper
  perstack-shipper status --json | jq .waiting
`,
	"healthcheck": `  perstack-shipper healthcheck --older-than 10m --ignore-rejects
  perstack-shipper healthcheck --live
`,
	"logs": `  perstack-shipper logs --log-group /perstack/prod --job uo5p1q | jq -r .type
  perstack-shipper logs --log-group agents --job uo5p1q --follow --pretty
`,
	"jobs": `  perstack-shipper jobs --log-group /perstack/prod --since 7d --failed
  perstack-shipper jobs --log-group /perstack/prod --json | jq -r .jobId
`,
	"usage": `  perstack-shipper usage --log-group /perstack/prod --job uo5p1q --by step
  perstack-shipper usage --log-group /perstack/prod --since 7d --by day --csv
`,
	"report": `  perstack-shipper report --log-group /perstack/prod --job uo5p1q >job.html
`,
	"restore": `  perstack-shipper restore --log-group /perstack/prod --job uo5p1q
  perstack-shipper restore --log-group /perstack/prod --job uo5p1q --list
`,
	"check": `  perstack-shipper check --log-group /perstack/prod
  perstack-shipper check --log-group /perstack/prod --read --json | jq .ok
`,
	"verify": `  perstack-shipper verify --log-group /perstack/prod --job uo5p1q
  perstack-shipper verify --log-group /perstack/prod --job uo5p1q events.jsonl
  perstack-shipper verify --log-group /perstack/prod --since 7d --json
`,
	"local": `  perstack-shipper local --dir /tmp/cloudwatch
  export AWS_ENDPOINT_URL=http://127.0.0.1:4586 AWS_REGION=us-east-1
  export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local
  perstack-shipper --log-group demo <events.jsonl
`,
}

// usages are the first lines of each command's help.
var usages = map[string]string{
	"ship":        "perstack-shipper [ship] --log-group NAME [flags] <EVENTS",
	"exec":        "perstack-shipper exec --log-group NAME [flags] -- COMMAND ARG…",
	"resume":      "perstack-shipper resume [flags]",
	"status":      "perstack-shipper status [flags]",
	"healthcheck": "perstack-shipper healthcheck [flags]",
	"logs":        "perstack-shipper logs --log-group NAME --job ID [flags]",
	"jobs":        "perstack-shipper jobs --log-group NAME [flags]",
	"usage":       "perstack-shipper usage --log-group NAME --job ID [flags]",
	"report":      "perstack-shipper report --log-group NAME --job ID [flags] >FILE",
	"restore":     "perstack-shipper restore --log-group NAME --job ID [flags]",
	"check":       "perstack-shipper check --log-group NAME [flags]",
	"verify":      "perstack-shipper verify --log-group NAME --job ID [flags] [FILE…]",
	"local":       "perstack-shipper local [flags]",
	"version":     "perstack-shipper version",
}

// overviewHelp is the help of the program.
func overviewHelp() string {
	var text strings.Builder
	text.WriteString(overview)
	for _, name := range commandNames {
		fmt.Fprintf(&text, "  %-11s  %s\n", name, purpose(name))
	}
	text.WriteString("\nFlags to begin with (ship --help shows all):\n")
	for _, o := range optionsOf(new(Ship)) {
		if slices.Contains(overviewFlags, o.name) {
			fmt.Fprintf(&text, "  %-20s  %s\n", o.text(), o.help)
		}
	}
	text.WriteString("\n" + environmentHelp + overviewEnd)
	return text.String()
}

// purpose says what a command is for.
func purpose(command string) string {
	field, _ := reflect.TypeFor[commandLine]().FieldByNameFunc(func(name string) bool { return strings.EqualFold(name, command) })
	return field.Tag.Get("help")
}

// commandHelp is the help of a command with its options.
func commandHelp(command string, options []option) string {
	var text strings.Builder
	fmt.Fprintf(&text, "Usage: %s\n%s\n", usages[command], purpose(command))
	if len(options) > 0 {
		text.WriteString("\n")
	}
	width := 0
	for _, o := range options {
		width = max(width, len(o.text()))
	}
	group := ""
	for _, o := range options {
		if o.group != group {
			group = o.group
			fmt.Fprintf(&text, "%s\n", group)
		}
		fmt.Fprintf(&text, "  %-*s  %s\n", width, o.text(), o.help)
	}
	if len(options) > 0 {
		text.WriteString(environmentHelp)
	}
	if command == "resume" {
		text.WriteString("\n" + redirectHelp)
	}
	if slices.Contains(shipping, command) {
		text.WriteString(exitCodes)
	}
	if example := examples[command]; example != "" {
		text.WriteString("\nExamples:\n" + example)
	}
	return text.String()
}
