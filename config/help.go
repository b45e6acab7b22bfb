package config

// This file prints the help: one screen for the program and one for each command, with one line per
// option.

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

const overview = `Usage: perstack run … 2>&1 | perstack-shipper --log-group NAME [flags]
       perstack-shipper exec --log-group NAME [flags] -- perstack run …
       perstack-shipper COMMAND --help

Ships a Perstack agent's events to CloudWatch Logs and loses none. Input is kept
on disk until CloudWatch has accepted it, and the agent never waits.

Commands:
`

// overviewFlags are the flags in the overview. The help of each command lists all of its flags.
var overviewFlags = []string{"log-group", "region", "endpoint-url", "log-stream", "field", "journal-dir"}

const overviewEnd = `
Try it without AWS: perstack-shipper local
`

// environmentHelp follows the options in the help of a command.
const environmentHelp = `Each flag is also an environment variable, such as PERSTACK_SHIPPER_LOG_GROUP.
`

const redirectHelp = `Another target applies to everything left in the journal. Run resume without
one first: it delivers what can still go where it was meant to.
`

// shipping lists the commands whose help ends with exitCodes.
var shipping = []string{"ship", "exec", "resume"}

const exitCodes = `Exit codes: 0 all delivered, 1 by --fail-on, 2 usage error, 65 something refused
by CloudWatch, 75 something left in the journal. exec: the command's, if not 0.
`

// examples holds examples of each command.
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

// usages holds the usage line of each command.
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

// overviewHelp returns the help of the program.
func overviewHelp() string {
	var text strings.Builder
	text.WriteString(overview)
	for _, name := range commandNames {
		fmt.Fprintf(&text, "  %-11s  %s\n", name, purpose(name))
	}
	text.WriteString("\nCommon flags (ship --help lists all):\n")
	for _, o := range optionsOf(new(Ship)) {
		if slices.Contains(overviewFlags, o.name) {
			fmt.Fprintf(&text, "  %-20s  %s\n", o.text(), o.help)
		}
	}
	text.WriteString("\n" + environmentHelp + overviewEnd)
	return text.String()
}

// purpose returns one line about what a command is for.
func purpose(command string) string {
	field, _ := reflect.TypeFor[commandLine]().FieldByNameFunc(func(name string) bool { return strings.EqualFold(name, command) })
	return field.Tag.Get("help")
}

// commandHelp returns the help of a command with its options.
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
